"""The lists and objects of a decoded packet: how deep and how many there may be."""

from collections.abc import Iterator
from typing import Any, Final

from protocol import disconnects
from protocol.bounds import MAX_ATTACHMENT_DEPTH, MAX_CONTAINERS
from protocol.disconnects import ProtocolViolation

Container = list[Any] | dict[Any, Any]

_CONTAINERS: Final = frozenset({list, dict})


def walk(payload: list[Any]) -> Iterator[Container]:
    """The payload and every list and dict in it, outer ones first.

    Whoever walks may put other values into the one at hand before asking for the next. Raises
    `ProtocolViolation`: too_deep, too_many_containers.
    """
    level: list[Container] = [payload]
    room = MAX_CONTAINERS
    for _ in range(MAX_ATTACHMENT_DEPTH + 1):
        room -= len(level)
        if room < 0:
            raise ProtocolViolation(disconnects.TOO_MANY_CONTAINERS)
        inner: list[Container] = []
        for container in level:
            yield container
            items = container.values() if isinstance(container, dict) else container
            # Most of what there is are scalars: a call for each would take longer than reading it.
            inner += [item for item in items if type(item) in _CONTAINERS]
        if not inner:
            return
        level = inner
    raise ProtocolViolation(disconnects.TOO_DEEP)
