"""Sockets that remember what they were told, and rooms full of them."""

from typing import Any, cast

from protocol.outgoing import Outgoing
from server.hub import Hub
from server.rooms.room import MAX_SMALL_ROOM
from server.sockets.socket import Socket
from tests.unit.virtual_loop import virtual_loop

CROWD = 5 * MAX_SMALL_ROOM
WRITE_S = 0.000_010


class FakeConnection:
    """Takes a given time for every write, like a system call."""

    def __init__(self, write_s: float) -> None:
        self.writable = True
        self.flushes = 0
        self._write_s = write_s

    def flush(self) -> None:
        self.flushes += 1
        virtual_loop().advance(self._write_s)


class FakeSocket:
    """As much of a socket as the hub needs."""

    def __init__(self, namespace: str = "/", write_s: float = 0.0) -> None:
        self.namespace = namespace
        self.rooms: set[str] = set()
        self.connection = FakeConnection(write_s)
        self.history: object = None
        self.awaited = False
        self.events: list[Outgoing] = []

    def deliver(self, event: Outgoing) -> None:
        self.events.append(event)

    def heard(self) -> list[Any]:
        """The data of every event so far."""
        return [event.args[0] for event in self.events]


def inside(hub: Hub, room: str, count: int = 1, **kinds: Any) -> list[Any]:
    sockets = [FakeSocket(**kinds) for _ in range(count)]
    for socket in sockets:
        hub.join(cast(Socket, socket), room)
    return sockets
