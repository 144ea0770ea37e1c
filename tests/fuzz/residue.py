"""What a server keeps: every registry's size and every object, to be compared before and after."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter, deque
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from server.sockets.counters import Counters
from server.sockets.options import SocketOptions
from server.sockets.places import Places
from tests.fuzz.house import House

_REGISTRIES: Final = (dict, list, set, deque)
# Whose objects are counted, and whose attributes are looked into.
_OURS: Final = (
    "server.sockets.",
    "server.hub",
    "server.rooms.",
    "protocol.socketio",
    "protocol.engineio",
)
_COUNTED: Final = (*_OURS, "picows.", "aiohttp.web_ws", "aiohttp.http_websocket")
# These only ever grow, or are constant.
_SKIPPED: Final = (Counters, SocketOptions)
_TALLIES: Final = frozenset({"outcomes"})


def residue(house: House) -> Counter[str]:
    """What is kept now: sizes of registries by their path, objects by their type, and tasks."""
    kept = Counter(_objects())
    roots = {"server": house.server, "listener": house.listener}
    for path, size in sizes(roots):
        kept[path] += size
    kept["tasks"] = len(asyncio.all_tasks())
    for transport, count in house.server.engine.counters.open_by_transport.items():
        kept[f"open by {transport}"] = count
    return kept


def _objects() -> Iterator[str]:
    """The type of each object of the socket layer that is alive."""
    gc.collect()
    for item in gc.get_objects():
        kind = type(item)
        # picows makes a member of its enum for each close code it meets: 65,536 at most.
        if str(kind.__module__).startswith(_COUNTED) and not isinstance(item, Enum):
            yield f"object {kind.__qualname__}"


def sizes(owners: dict[str, Any], seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """The sizes of all registries that are attributes of ours, however deep, by their path."""
    seen = set() if seen is None else seen
    for path, owner in owners.items():
        if id(owner) in seen or isinstance(owner, _SKIPPED):
            continue
        seen.add(id(owner))
        if isinstance(owner, _REGISTRIES):
            yield path, _total(owner)
        elif type(owner).__module__.startswith(_OURS):
            if isinstance(owner, Places):
                yield f"{path}.taken", owner.taken
            yield from sizes({f"{path}.{name}": value for name, value in _fields(owner)}, seen)


def _total(registry: Any) -> int:
    """How many entries; of a registry of registries, those inside; of a counter, its sum."""
    if isinstance(registry, Counter):
        return registry.total()
    inside = registry.values() if isinstance(registry, dict) else registry
    return sum(_total(item) if isinstance(item, _REGISTRIES) else 1 for item in inside)


def _fields(owner: object) -> Iterator[tuple[str, Any]]:
    for kind in type(owner).__mro__:
        for name in kind.__dict__.get("__slots__", ()):
            if hasattr(owner, name) and name not in _TALLIES:
                yield name, getattr(owner, name)
    yield from getattr(owner, "__dict__", {}).items()
