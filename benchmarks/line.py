"""One Socket.IO connection on a raw socket: it joins, answers heartbeats, and reads the rest."""

import socket
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from benchmarks.frames import masked, split

REQUEST: Final = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
_SWITCHING: Final = b"HTTP/1.1 101 "
_PING: Final = b"2"
_PONG: Final = masked(b"3")
# A server has this long to answer the network's handshake: its queue of arrivals may be full.
_CONNECT_LIMIT_S: Final = 10.0


class LineError(Exception):
    """The server refused or ended a connection, or broke the protocol."""


class Line:
    """One connection. What is written must fit into the network's buffer: a few small frames."""

    __slots__ = ("_auth", "_upgraded", "joined", "pings", "socket", "unfinished")

    def __init__(self, auth: Mapping[str, Any]) -> None:
        self.joined = False
        self.pings = 0
        self._auth = auth
        self._upgraded = False
        # The bytes of a frame that is not whole yet.
        self.unfinished = b""
        self.socket: socket.socket

    def open(self, host: str, port: int, source: str) -> None:
        """Connect from the address `source`, and ask for a WebSocket."""
        self.socket = socket.create_connection((host, port), _CONNECT_LIMIT_S, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.socket.sendall(REQUEST)

    def restart(self) -> None:
        """Forget the connection, to begin another."""
        self.joined = self._upgraded = False
        self.unfinished = b""

    def received(self, data: bytes, now_ns: int) -> None:
        """Bytes have come; `message` gets each message of the application.

        Raises:
            LineError: The server did not let us in, or ended the connection.
            FrameError: It sent what is no message.
        """
        if not data:
            raise LineError("the server ended a connection")
        data = self.unfinished + data
        if not self._upgraded:
            data = self._upgrade(data)
        payloads, self.unfinished = split(data) if self._upgraded else ([], data)
        for payload in payloads:
            self._take(payload, now_ns)

    def message(self, payload: bytes, _now_ns: int) -> None:
        """A message of the application has come; a line that only waits expects none."""
        raise LineError(f"the server sent {payload[:200]!r}")

    def _upgrade(self, data: bytes) -> bytes:
        """Read the answer to the request, once it is whole, and return what follows it."""
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return data
        if not head.startswith(_SWITCHING):
            raise LineError(f"the server answered {data[:500]!r}")
        self._upgraded = True
        return rest

    def _take(self, payload: bytes, now_ns: int) -> None:
        if payload == _PING:
            self.pings += 1
            self.socket.sendall(_PONG)
        elif self.joined:
            self.message(payload, now_ns)
        elif payload[:1] == b"0":
            self.socket.sendall(masked(b"40" + msgspec.json.encode(self._auth)))
        elif payload[:2] == b"40":
            self.joined = True
        else:
            raise LineError(f"the server sent {payload[:200]!r} to who wanted to join")
