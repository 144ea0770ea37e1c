"""A network connection that may not stay: it is told why, once it has asked something."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from protocol.errors import Failure
from server.sockets.handshake import error_body, error_headers

if TYPE_CHECKING:
    from server.sockets.listener import Listener

# The request is not read here, so that any page may know why it is refused: no secret is in it.
_FOR_PAGES: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After",
}


class Refused(asyncio.Protocol):
    """Answers whatever is asked with one numbered error, and reads on until the peer has closed.

    A client takes an answer only after its request, and closing before everything was read could
    tear the answer down on its way. The listener bounds both the time of that and the number.
    """

    __slots__ = ("_answered", "_failure", "_listener", "_transport")

    def __init__(self, listener: Listener, transport: asyncio.Transport, failure: Failure) -> None:
        self._listener = listener
        self._transport = transport
        self._failure = failure
        self._answered = False

    def data_received(self, _data: bytes) -> None:
        """Answer the first bytes, whatever they are; nothing of them is kept."""
        self.answer()

    def answer(self) -> None:
        """Say why, once; nothing if the peer has left."""
        if not self._answered and not self._transport.is_closing():
            self._answered = True
            self._transport.write(_response(self._failure))
            self._transport.write_eof()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The network connection has ended."""
        self._listener.refusing.discard(self)

    def abort(self) -> None:
        """Cut the network connection: its time is over."""
        self._transport.abort()


def _response(failure: Failure) -> bytes:
    """The whole HTTP response, with the body of a refused handshake."""
    content = error_body(failure)
    headers = {
        **error_headers(failure),
        **_FOR_PAGES,
        "Content-Length": str(len(content)),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {failure.kind.status} {failure.kind.code}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content
