"""Engine.IO over HTTP long-polling: a GET waits for packets, a POST brings them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from protocol import disconnects, engineio
from protocol.bounds import MAX_PACKETS_PER_POLL
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.engineio import Binary
from protocol.errors import INTERNAL, MALFORMED, Failure
from protocol.outgoing import is_connect
from server.encoding import refuse_compressed
from server.sockets.connection import Connection
from server.sockets.engine import Engine
from server.sockets.handshake import error_response
from server.sockets.listener import Arrival
from server.sockets.options import SocketOptions

BodyReader = Callable[[SocketOptions, web.Request], Awaitable[bytes]]
"""Reads a request's body, as `read_body` does."""

_TEXT: Final = "text/plain; charset=UTF-8"


class Polling:
    """The transport of a session that polls: writable while a GET waits."""

    __slots__ = ("_answer", "_carrier", "_closed", "connection", "polls")

    name = engineio.POLLING
    max_packets = MAX_PACKETS_PER_POLL
    connection: Connection

    def __init__(self) -> None:
        self._answer: asyncio.Future[web.Response] | None = None
        # What the last answer went out on, until the next poll.
        self._carrier: Arrival | None = None
        self._closed = False
        # How many have come.
        self.polls = 0

    @property
    def writable(self) -> bool:
        """A GET waits."""
        return self._answer is not None and not self._closed

    def write(self, packets: list[bytes]) -> int:
        """Answer the GET that waits."""
        assert self._answer is not None, "only written while writable"
        payload = engineio.encode_payload(packets)
        answer, self._answer = self._answer, None
        if not answer.done():
            answer.set_result(poll_response(packets, payload))
        return len(payload)

    def close(self, reason: DisconnectReason) -> None:
        """End the GET that waits: told so, or with nothing if it was the client who closed."""
        if self.writable:
            asked = reason is disconnects.CLIENT_CLOSED
            self.write([engineio.NOOP if asked else engineio.CLOSE])
        self._closed = True
        self._carrier = None

    def abort(self) -> None:
        """There is nothing to cut: a GET ends with its answer."""

    async def poll(self, request: web.Request) -> web.Response:
        """The answer to a GET: what is queued, or what comes next. One at a time.

        Raises `ProtocolViolation` transport_closed where the answer before may not have arrived,
        which a client that asks again by itself does not know.
        """
        assert self._answer is None, "the session refuses a second poll"
        if self._carrier is not None and self._carrier.broken:
            raise ProtocolViolation(disconnects.TRANSPORT_CLOSED)
        self._carrier = carrier_of(request)
        self.polls += 1
        self._answer = asyncio.get_running_loop().create_future()
        answer = self._answer
        session = self.connection.session
        self.connection.flush()
        if not answer.done() and session.phase is engineio.Phase.UPGRADING:
            # The client waits for this poll's end before it moves to the WebSocket.
            self.write([engineio.NOOP])
        try:
            return await answer
        finally:
            self._answer = None


def carrier_of(request: web.Request) -> Arrival | None:
    """The network connection that a request came on, if clients come on such."""
    network = request.transport.get_protocol() if request.transport is not None else None
    return network if isinstance(network, Arrival) else None


async def open_session(engine: Engine, address: str, request: web.Request) -> web.Response:
    """Answer the GET that opens a session."""
    transport = Polling()
    transport.connection = engine.open(address, transport)
    return await transport.poll(request)


async def receive(connection: Connection, request: web.Request) -> web.Response:
    """Answer a GET of a session, once there is something to say."""
    connection.engine.run_heartbeats()
    try:
        connection.session.begin_poll()
    except ProtocolViolation as violation:
        return _refuse(connection, violation)
    transport = connection.transport
    assert isinstance(transport, Polling), "the session polls"
    try:
        return await transport.poll(request)
    except ProtocolViolation as violation:
        return _refuse(connection, violation)
    except asyncio.CancelledError:
        connection.close(disconnects.TRANSPORT_CLOSED)
        raise
    finally:
        connection.session.end_poll()


async def read_body(options: SocketOptions, request: web.Request) -> bytes:
    """The body, bounded in bytes and in time.

    Raises `ProtocolViolation` too_large or transport_closed, which end the session.
    """
    if (request.content_length or 0) > options.max_payload_bytes:
        raise ProtocolViolation(disconnects.TOO_LARGE)
    body = bytearray()
    try:
        async with asyncio.timeout(options.request_timeout_ms / 1000):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > options.max_payload_bytes:
                    raise ProtocolViolation(disconnects.TOO_LARGE)
    except (TimeoutError, ConnectionError, web.RequestPayloadError):
        raise ProtocolViolation(disconnects.TRANSPORT_CLOSED) from None
    return bytes(body)


async def send(
    connection: Connection, request: web.Request, read: BodyReader = read_body
) -> web.Response:
    """Take the packets of a POST. Raises `Failure` unsupported_encoding, which ends nothing.

    A Failure of `read` ends nothing either.
    """
    refuse_compressed(request)
    try:
        connection.session.begin_post()
    except ProtocolViolation as violation:
        return _refuse(connection, violation)
    try:
        packets = engineio.decode_payload(await read(connection.engine.options, request))
    except ProtocolViolation as violation:
        connection.close(violation.reason)
        return refused(violation.reason)
    except asyncio.CancelledError:
        connection.close(disconnects.TRANSPORT_CLOSED)
        raise
    finally:
        connection.session.end_post()
    for packet in packets:
        if isinstance(packet, Binary):
            connection.receive_binary(packet)
        else:
            connection.receive_text(packet)
        if connection.ended is not None:
            break
    if connection.ended is None or connection.ended.orderly:
        return _text_response(b"ok")
    return refused(connection.ended)


def _refuse(connection: Connection, violation: ProtocolViolation) -> web.Response:
    """A request that may not be: the session ends too, unless it goes on over its WebSocket."""
    if violation.reason is not disconnects.SESSION_UPGRADED:
        connection.close(violation.reason)
    return refused(violation.reason)


def poll_response(packets: Sequence[bytes], payload: bytes) -> web.Response:
    """An answer that carries packets. A `pid` beside words of others must not be compressed."""
    response = _text_response(payload)
    if any(map(is_connect, packets)):
        response.headers["Cache-Control"] = "no-store, no-transform"
    return response


def _text_response(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": _TEXT, "Cache-Control": "no-store"})


def refused(reason: DisconnectReason) -> web.Response:
    """The answer to a request that breaks the protocol."""
    if reason is disconnects.INTERNAL:
        return error_response(Failure(INTERNAL))
    return error_response(Failure(MALFORMED, reason=reason.name, explanation=reason.message))
