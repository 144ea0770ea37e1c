"""A player whose server runs in this very process: nothing here may wait for an answer."""

import socket
from typing import Final

import msgspec

from benchmarks.frames import masked, split
from benchmarks.line import REQUEST

_BYTES: Final = 1 << 20
_NEWS: Final = b"42"
_ACK: Final = b"43"
_SUCCESS: Final = b'[{"success":true'


class SeatedError(Exception):
    """The server sent what a player who only bets does not expect."""


class Seated:
    """One connection, which counts the bets that were settled. It does not answer heartbeats."""

    def __init__(self, port: int, token: str) -> None:
        self.joined = False
        self.acknowledged = 0
        self._auth = msgspec.json.encode({"token": token})
        self._upgraded = False
        self._rest = b""
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._socket.sendall(REQUEST)

    def send(self, frames: bytes) -> None:
        """Write some frames; the network's buffer must have room."""
        self._socket.sendall(frames)

    def read(self) -> None:
        """Take what has come.

        Raises:
            SeatedError: It is no settled bet.
        """
        try:
            self._rest += self._socket.recv(_BYTES)
        except BlockingIOError:
            return
        if not self._upgraded:
            _head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            self._upgraded, self._rest = True, rest
        payloads, self._rest = split(self._rest)
        for payload in payloads:
            self._take(payload)

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _take(self, payload: bytes) -> None:
        if payload[:1] == b"0":
            self.send(masked(b"40" + self._auth))
        elif payload[:2] == b"40":
            self.joined = True
        elif payload[:2] == _ACK and _SUCCESS in payload:
            self.acknowledged += 1
        elif payload[:2] != _NEWS:
            raise SeatedError(f"the server sent {payload[:200]!r}")
