"""A session on its way from one node to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from protocol.engineio import Binary

if TYPE_CHECKING:
    from server.sockets.socket import Socket


class MovedSocket(msgspec.Struct, frozen=True):
    """A namespace that is joined. `state` is the application's own.

    Who may come back has a `pid`; `newest` is the offset of the last event, if there was one.
    """

    namespace: str
    id: str
    pid: str
    newest: str | None
    rooms: Sequence[str]
    state: msgspec.Raw


class MovedSession(msgspec.Struct, frozen=True):
    """All that another node has to know to carry a session on."""

    address: str
    speaks_msgpack: bool
    dismissed: Sequence[str]
    sockets: Sequence[MovedSocket]
    packets: Sequence[Any]
    """What was not sent yet: text packets as text, binary ones as bytes."""


class Movable(Protocol):
    """An application whose sockets may go on at another node."""

    def state_of(self, socket: Socket) -> Any:
        """What another node has to know of a socket, for msgpack."""

    def take_up(self, socket: Socket, state: msgspec.Raw) -> None:
        """A socket goes on here. What `connect` would have done for it is done, without asking."""


def wired(packets: Sequence[bytes]) -> list[str | bytes]:
    """Packets as they travel: msgpack tells text from bytes."""
    return [bytes(packet) if isinstance(packet, Binary) else packet.decode() for packet in packets]


def unwired(packets: Sequence[str | bytes]) -> list[bytes]:
    """Packets that have travelled, as they were."""
    return [packet.encode() if isinstance(packet, str) else Binary(packet) for packet in packets]
