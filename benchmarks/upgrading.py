"""A client that polls first and moves to a WebSocket, as the official one does by default.

It opens its session over HTTP, sends on that connection, polls on another, and meanwhile probes a
WebSocket on a third. Once that has answered, the poll under way is its last.
"""

import re
from typing import Final

import msgspec

from benchmarks.frames import masked
from benchmarks.line import REQUEST, LineError
from benchmarks.returning import Dial, Returning

_OPEN: Final = (
    b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"
)
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SEPARATOR: Final = b"\x1e"
_NOOP: Final = b"6"
_PING: Final = b"2"
_PONG: Final = b"3"
_PROBE: Final = masked(b"2probe")
_PROBED: Final = b"3probe"
_UPGRADE: Final = masked(b"5")


class _Handshake(msgspec.Struct):
    sid: str


class Answers:
    """The bodies of HTTP answers on one connection, as their bytes come."""

    __slots__ = ("_unfinished",)

    def __init__(self) -> None:
        self._unfinished = b""

    def received(self, data: bytes) -> list[bytes]:
        """Bytes have come: the bodies that are whole with them.

        Raises:
            LineError: The server refused, or ended the connection.
        """
        if not data:
            raise LineError("the server ended a connection")
        self._unfinished += data
        bodies = []
        while (body := self._next()) is not None:
            bodies.append(body)
        return bodies

    def _next(self) -> bytes | None:
        head, end, rest = self._unfinished.partition(_HEAD_END)
        if not end:
            return None
        length = _LENGTH.search(head)
        if length is None:
            raise LineError(f"the server answered {head!r}")
        size = int(length[1])
        if len(rest) < size:
            return None
        body, self._unfinished = rest[:size], rest[size:]
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LineError(f"the server answered {head[:200]!r} {body[:300]!r}")
        return body


class Upgrading(Returning):
    """The client. Its `socket` is the WebSocket."""

    __slots__ = (
        *("_dial", "_moved", "_poll_answers", "_poll_socket", "_polling", "_post_answers"),
        *("_post_socket", "_posting", "_probed", "_sid"),
    )

    connections = 3

    @property
    def settled(self) -> bool:
        """It has joined, and has left polling."""
        return self.joined and self._moved

    def begin(self, dial: Dial) -> None:
        """Start to connect: open a session that polls."""
        self.attempts += 1
        self.restart()
        self._dial = dial
        self._sid = ""
        self._polling = self._probed = self._moved = False
        # Packets on their way whose arrival the server has not confirmed.
        self._posting = 0
        self._poll_answers, self._post_answers = Answers(), Answers()
        self._post_socket = dial(_OPEN, self._answered)

    def _answered(self, data: bytes, _now_ns: int) -> None:
        """The connection that opened the session and then sends: an open packet, then each `ok`."""
        for body in self._post_answers.received(data):
            if not self._sid:
                self._opened(body)
                continue
            self._posting -= 1
            self._move()

    def _opened(self, body: bytes) -> None:
        self._sid = msgspec.json.decode(body[1:], type=_Handshake).sid
        self._send(b"40" + msgspec.json.encode(self._auth))
        self._polling = True
        self._poll_socket = self._dial(self._request(b"GET"), self._polled)
        probe = REQUEST.replace(b"=websocket", b"=websocket&sid=" + self._sid.encode(), 1)
        self.socket = self._dial(probe, self.received)

    def _request(self, method: bytes, body: bytes = b"") -> bytes:
        head = _OPEN.replace(b"GET", method, 1).replace(
            b"=polling", b"=polling&sid=" + self._sid.encode(), 1
        )
        if not body:
            return head
        about = b"\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: %d" % len(body)
        return head.removesuffix(_HEAD_END) + about + _HEAD_END + body

    def _send(self, packet: bytes) -> None:
        self._posting += 1
        self._post_socket.sendall(self._request(b"POST", packet))

    def _polled(self, data: bytes, now_ns: int) -> None:
        for body in self._poll_answers.received(data):
            self._polling = False
            for packet in body.split(_SEPARATOR):
                self._take_polled(packet, now_ns)
            if self._probed:
                self._move()
            else:
                self._polling = True
                self._poll_socket.sendall(self._request(b"GET"))

    def _take_polled(self, packet: bytes, now_ns: int) -> None:
        if packet == _PING:
            self.pings += 1
            self._send(_PONG)
        elif packet != _NOOP:
            super()._take(packet, now_ns)

    def _upgrade(self, data: bytes) -> bytes:
        """The WebSocket is there: ask whether messages come through."""
        rest = super()._upgrade(data)
        if self._upgraded:
            self.socket.sendall(_PROBE)
        return rest

    def _take(self, payload: bytes, now_ns: int) -> None:
        if payload == _PROBED:
            self._probed = True
            self._move()
        else:
            super()._take(payload, now_ns)

    def _move(self) -> None:
        """Leave polling, if the WebSocket works and nothing is on its way over HTTP."""
        if self._probed and not self._polling and not self._posting:
            self.socket.sendall(_UPGRADE)
            self._moved = True
