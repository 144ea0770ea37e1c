"""A client that comes back: how it connects and joins, whoever reads its sockets for it."""

import socket
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, ClassVar, Final

from benchmarks.line import REQUEST, Line

_FIRST_DELAY_S: Final = 1.0
_LONGEST_DELAY_S: Final = 5.0

# Takes bytes that came, and when they did, as `Line.received` does.
Read = Callable[[bytes, int], None]
# Begins a network connection, on which a request is written once it is there.
Dial = Callable[[bytes, Read], socket.socket]


class Returning(Line):
    """A client that does not give up. This one asks for a WebSocket at once."""

    __slots__ = ("attempts", "source")

    # Network connections at a time, at most.
    connections: ClassVar = 1

    def __init__(self, auth: Mapping[str, Any], source: str) -> None:
        super().__init__(auth)
        self.source = source
        self.attempts = 0

    @property
    def settled(self) -> bool:
        """It has joined, and is where it will stay."""
        return self.joined

    def begin(self, dial: Dial) -> None:
        """Start to connect, without waiting for it."""
        self.attempts += 1
        self.restart()
        self.socket = dial(REQUEST, self.received)

    def delay_s(self, random: Random) -> float:
        """How long the official JavaScript client waits before the next attempt."""
        delay_s = _FIRST_DELAY_S * 2.0 ** (self.attempts - 1) * random.uniform(0.5, 1.5)
        return min(_LONGEST_DELAY_S, delay_s)
