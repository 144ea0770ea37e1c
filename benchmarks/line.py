"""One Socket.IO connection on a raw socket: it joins, answers heartbeats, and reads the rest."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from benchmarks.frames import masked, split
from benchmarks.target import upgrade_request

REQUEST: Final = upgrade_request("127.0.0.1")
_SWITCHING: Final = b"HTTP/1.1 101 "
_PING: Final = b"2"
_PONG: Final = masked(b"3")
# A server has this long to answer the network's handshake: its queue of arrivals may be full.
_CONNECT_LIMIT_S: Final = 10.0
# Some minutes of one connection's bets: who does not read them is as good as gone.
_MOST_UNSENT_BYTES: Final = 64_000_000


class LineError(Exception):
    """The server refused or ended a connection, or broke the protocol."""


class Line:
    """One connection. Whoever writes more to it than the network takes has to call `flush`."""

    __slots__ = ("_auth", "_upgraded", "joined", "pings", "socket", "unfinished", "unsent")

    def __init__(self, auth: Mapping[str, Any]) -> None:
        self.joined = False
        self.pings = 0
        self._auth = auth
        self._upgraded = False
        # The bytes of a frame that is not whole yet.
        self.unfinished = b""
        # What the network has not taken yet.
        self.unsent = bytearray()
        self.socket: socket.socket

    def open(
        self,
        host: str,
        port: int,
        source: str | None,
        tls: ssl.SSLContext | None = None,
        request: bytes = REQUEST,
    ) -> None:
        """Connect, from the address `source` if there is one, and ask for a WebSocket.

        Raises:
            OSError: There is no connection.
        """
        from_ = None if source is None else (source, 0)
        made = socket.create_connection((host, port), _CONNECT_LIMIT_S, from_)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = made if tls is None else tls.wrap_socket(made, server_hostname=host)
        self.socket.setblocking(False)
        self.write(request)

    def write(self, data: bytes) -> None:
        """Send some bytes after all others, or keep what the network does not take.

        Raises:
            LineError: It has not taken any for long, or the connection broke.
        """
        if self.unsent:
            self.unsent += data
            if len(self.unsent) > _MOST_UNSENT_BYTES:
                raise LineError("the server has stopped reading a connection")
        else:
            self.unsent += data[self._hand_over(data) :]

    def flush(self) -> None:
        """Try again to send what the network has not taken. Raises LineError as `write` does."""
        if self.unsent:
            del self.unsent[: self._hand_over(self.unsent)]

    def _hand_over(self, data: bytes | bytearray) -> int:
        try:
            return self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            raise LineError(f"a connection broke: {error}") from error

    def restart(self) -> None:
        """Forget the connection, to begin another."""
        self.joined = self._upgraded = False
        self.unfinished = b""
        self.unsent.clear()

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
        self.take(payloads, now_ns)

    def take(self, payloads: Sequence[bytes], now_ns: int) -> None:
        """Messages have come together, of whatever kind."""
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
            self.write(_PONG)
        elif self.joined:
            self.message(payload, now_ns)
        elif payload[:1] == b"0":
            self.write(masked(b"40" + msgspec.json.encode(self._auth)))
        elif payload[:2] == b"40":
            self.joined = True
        else:
            raise LineError(f"the server sent {payload[:200]!r} to who wanted to join")
