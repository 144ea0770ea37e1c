"""The one listening port: each connection's first request decides who speaks with it.

A WebSocket upgrade for a Socket.IO session goes to picows; everything else (pages, HTTP calls,
long-polling, and whatever is not quite right) goes to aiohttp, which also has the answers to
broken requests. A later upgrade on a connection that aiohttp keeps alive is served by aiohttp.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import parse_qsl, urlsplit

from picows import WSAutoPingStrategy
from picows.picows import WSProtocol  # type: ignore[attr-defined] # the stub leaves it out

from protocol import engineio
from protocol.bounds import MAX_FIRST_REQUEST_BYTES
from protocol.errors import MALFORMED, REQUEST_TIMEOUT, TOO_LARGE, ErrorKind, Failure
from server.sockets.addresses import peer_address
from server.sockets.admission import PACKETS_PER_HANDSHAKE, PACKETS_PER_REQUEST
from server.sockets.deadlines import Deadlines
from server.sockets.engine import Engine
from server.sockets.handshake import Handshake, carried, read_handshake
from server.sockets.places import Places
from server.sockets.refused import Refused
from server.sockets.slices import Slices
from server.sockets.upgrade import Upgrade, read_upgrade
from server.sockets.websocket import LOGGER, WebSocket

HttpProtocolFactory = Callable[[], asyncio.Protocol]

# The smallest that picows has; it grows with what a client sends. Idle connections stay small.
_READ_BUFFER_BYTES: Final = 2_048
# What the kernel keeps of a flood while the loop is busy elsewhere. It bounds how much of one
# connection a turn of the loop has to work through, and how far picows' buffer grows with it.
_RECEIVE_BUFFER_BYTES: Final = 16_384
_HEAD_END: Final = b"\r\n\r\n"
# A session that polls has a GET waiting while a POST brings packets.
_HTTP_PER_SESSION: Final = 2
# A browser opens as many to one host for pages and calls.
_HTTP_PER_BROWSER: Final = 6
# Connections at a time that are being told why there is no room. More are cut off unheard: it is a
# flood then, and telling must not become the load.
MAX_REFUSING: Final = 1_000


class Listener:
    """Accepts connections on any number of ports. `make_http` makes aiohttp's protocols."""

    def __init__(self, engine: Engine, make_http: HttpProtocolFactory) -> None:
        self.engine = engine
        self.make_http = make_http
        self.peeking: Deadlines[Arrival] = Deadlines(
            engine.options.request_timeout_ms / 1000, lambda slow, _: slow.time_out()
        )
        options = engine.options
        # aiohttp waits for ever for an answer to be read.
        self.unread: Deadlines[Arrival] = Deadlines(
            options.unread_timeout_ms / 1000, lambda slow, _: slow.give_up()
        )
        # Connections that are aiohttp's, or nobody's yet.
        self.places = Places(
            options.max_http_connections,
            _HTTP_PER_SESSION * options.max_connections_per_ip + _HTTP_PER_BROWSER,
            options.retry_after_ms,
        )
        self.refusing: Deadlines[Refused] = Deadlines(
            options.close_timeout_ms / 1000, lambda slow, _: slow.abort()
        )
        self._servers: list[asyncio.Server] = []
        self._closed = False
        # Connections whose first request has come, each once, so that `places` bounds them.
        self.asking: Slices[Arrival] = Slices(lambda arrival: arrival.read_request())

    async def listen(self, host: str, port: int, *, shared: bool = False) -> int:
        """Listen on an address; port 0 takes a free one. The port, as it is.

        With `shared`, other processes of this user may listen there too, and the kernel gives each
        connection to one of them.
        """
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, reuse_port=shared
        )
        # Every accepted connection inherits it.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        bound_port = cast(int, listening.getsockname()[1])
        server = await loop.create_server(lambda: Arrival(self), sock=listening, backlog=_BACKLOG)
        self._servers.append(server)
        return bound_port

    def close(self) -> None:
        """Accept no more. Connections that are open stay."""
        self._closed = True
        for server in self._servers:
            server.close()
        for waiting in self.peeking.running():
            waiting.abort()
        for refused in self.refusing.running():
            refused.abort()
        self.peeking.close()
        self.refusing.close()
        self.unread.close()

    def counted_address(self, transport: asyncio.Transport) -> str | None:
        """The address that a connection counts for; None if it is a proxy, which has many users."""
        peer = peer_address(transport)
        addresses = self.engine.admission.addresses
        return None if addresses.is_proxy(peer) else addresses.of(peer, {})

    def refuse(
        self, transport: asyncio.Transport, failure: Failure, *, has_asked: bool = False
    ) -> None:
        """Tell a connection why it may not stay, once it `has_asked`, and close it."""
        self.count_refusal(failure.kind)
        refused = Refused(self, transport, failure)
        transport.set_protocol(refused)
        if len(self.refusing) >= MAX_REFUSING:
            refused.abort()
            return
        if has_asked:
            refused.answer()
        if self._closed:
            # Nobody looks after it any more.
            transport.close()
        else:
            self.refusing.add(refused)

    def count_refusal(self, kind: ErrorKind) -> None:
        """One more connection may not stay."""
        self.engine.counters.refused[kind.code] += 1


# A reconnecting crowd arrives within a second; the kernel cuts this to its own bound.
_BACKLOG: Final = 4_096


class Arrival(asyncio.Protocol):
    """A network connection as it arrives: reads the head of its first request and hands it on.

    The head is bounded in bytes and in time; past either the connection is told so. A handshake
    waits here for its turn. picows takes its connections over whole; for aiohttp this stays in
    front and passes everything on, so that its connections are counted.
    """

    __slots__ = (
        "_address",
        "_asked",
        "_data",
        "_head_bytes",
        "_http",
        "_listener",
        "_transport",
        "broken",
        "on_broken",
    )

    _transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._address: str | None = None
        self._data = bytearray()
        # How long the head of the first request is, once it has come.
        self._head_bytes: int | None = None
        self._http: asyncio.Protocol | None = None
        # The handshake that waits for its turn.
        self._asked: tuple[Upgrade, Handshake] | None = None
        # Whether it ended with an error: what was written last may not have arrived.
        self.broken = False
        # Who is told so, if what was written last is another node's.
        self.on_broken: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the time for the first request, if there is room for one more."""
        self._transport = cast(asyncio.Transport, transport)
        listener = self._listener
        self._address = listener.counted_address(self._transport)
        try:
            listener.places.check(self._address)
        except Failure as failure:
            listener.refuse(self._transport, failure)
            return
        listener.places.enter(self._address)
        listener.peeking.add(self)

    def data_received(self, data: bytes) -> None:
        """Wait for the end of the head; from then on aiohttp gets everything."""
        if self._http is not None:
            self._http.data_received(data)
            return
        searched_bytes = len(self._data)
        self._data += data
        if self._head_bytes is not None:
            if len(self._data) > MAX_FIRST_REQUEST_BYTES:
                self._transport.pause_reading()
            return
        if not _may_begin_request(self._data[0]):
            self._refuse(Failure(MALFORMED, reason="this port speaks plain HTTP"))
            return
        head_bytes = self._data.find(_HEAD_END, max(0, searched_bytes - len(_HEAD_END) + 1))
        if (head_bytes if head_bytes >= 0 else len(self._data)) > MAX_FIRST_REQUEST_BYTES:
            self._refuse(Failure(TOO_LARGE, limit_bytes=MAX_FIRST_REQUEST_BYTES))
        elif head_bytes >= 0:
            self._listener.peeking.discard(self)
            self._head_bytes = head_bytes
            self._listener.asking.add(self)

    def eof_received(self) -> bool | None:
        """The peer sends no more. It is taken to have left, as a poller that leaves looks so."""
        self._listener.engine.admission.turnstile.discard(self)
        return self._http.eof_received() if self._http is not None else None

    def pause_writing(self) -> None:
        """The network's buffer is full."""
        if self._http is not None:
            self._listener.unread.add(self)
            self._http.pause_writing()

    def resume_writing(self) -> None:
        """The network's buffer has emptied."""
        if self._http is not None:
            self._listener.unread.discard(self)
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The network connection has ended."""
        self.broken = self.broken or exc is not None
        if self.broken and self.on_broken is not None:
            self.on_broken()
        self._leave()
        if self._http is not None:
            self._http.connection_lost(exc)

    def abort(self) -> None:
        """Cut the network connection."""
        self._transport.abort()

    def give_up(self) -> None:
        """An answer was not read in time."""
        self.broken = True
        self._listener.engine.counters.unread += 1
        self._transport.abort()

    def time_out(self) -> None:
        """The first request took too long."""
        if self._data:
            self._refuse(Failure(REQUEST_TIMEOUT))
        else:
            # Nothing was asked: browsers do so to have a connection ready.
            self._listener.count_refusal(REQUEST_TIMEOUT)
            self._transport.abort()

    def let_in(self) -> None:
        """The handshake's turn has come."""
        assert self._asked is not None, "only handshakes wait"
        if self._transport.is_closing():
            return
        try:
            # Others came in meanwhile.
            self._listener.engine.admission.check(self._asked[1].address)
        except Failure as failure:
            self._refuse(failure)
        else:
            self._to_picows(*self._asked)

    def read_request(self) -> None:
        """Decide whose the connection is, now that the head of its first request has come."""
        if self._transport.is_closing():
            return
        head_bytes = self._head_bytes
        assert head_bytes is not None, "it has come"
        admission = self._listener.engine.admission
        upgrade = read_upgrade(bytes(self._data[:head_bytes]))
        try:
            handshake = self._handshake(upgrade) if upgrade is not None else None
            if handshake is not None:
                self._charge(handshake)
        except Failure as failure:
            self._refuse(failure)
            return
        if upgrade is None or handshake is None:
            self._to_aiohttp()
            return
        del self._data[: head_bytes + len(_HEAD_END)]
        if handshake.opens:
            self._asked = (upgrade, handshake)
            admission.turnstile.queue(self)
        else:
            self._to_picows(upgrade, handshake)

    def _handshake(self, upgrade: Upgrade) -> Handshake | None:
        """The handshake that is picows' to carry on; None for any other request."""
        engine = self._listener.engine
        # picows has no compression, so that those who want it go to the other WebSocket.
        if engine.options.websocket_compression and upgrade.offers_deflate:
            return None
        try:
            target = urlsplit(upgrade.target)
            query = dict(parse_qsl(target.query))
        except ValueError:
            return None
        if target.path != engine.options.path or query.get("transport") != engineio.WEBSOCKET:
            return None
        return read_handshake(engine, query, upgrade.headers, peer_address(self._transport))

    def _charge(self, handshake: Handshake) -> None:
        """Take what a handshake costs from its address. Raises the `Failure` that refuses it."""
        admission = self._listener.engine.admission
        if handshake.opens:
            admission.charge(handshake.address, PACKETS_PER_HANDSHAKE)
            admission.turnstile.check()
        else:
            admission.charge(handshake.address, PACKETS_PER_REQUEST)

    def _leave(self) -> None:
        """Give up the place of a connection that is nobody's or aiohttp's."""
        self._listener.places.release(self._address)
        self._listener.peeking.discard(self)
        self._listener.unread.discard(self)
        self._listener.engine.admission.turnstile.discard(self)

    def _refuse(self, failure: Failure) -> None:
        self._leave()
        self._listener.refuse(self._transport, failure, has_asked=True)

    def _to_aiohttp(self) -> None:
        data, self._data = bytes(self._data), bytearray()
        self._http = self._listener.make_http()
        self._http.connection_made(self._transport)
        # Harmless unless it was paused meanwhile; aiohttp may pause it again.
        self._transport.resume_reading()
        self._http.data_received(data)

    def _to_picows(self, upgrade: Upgrade, handshake: Handshake) -> None:
        engine, transport = self._listener.engine, self._transport
        upgrading = carried(engine, handshake)
        if upgrading is None:
            self._leave()
            socket = WebSocket(engine, handshake.address)
        else:
            socket = WebSocket(engine, handshake.address, upgrading, self._leave)
        protocol = _picows_protocol(socket, engine.options.max_payload_bytes)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        # Harmless unless it was paused meanwhile.
        transport.resume_reading()
        _feed(protocol, upgrade.request() + bytes(self._data))
        # uvloop keeps its first protocol for as long as the connection lives.
        self._asked, self._data = None, bytearray()


def _may_begin_request(byte: int) -> bool:
    """Whether HTTP may begin so: with a method, or with an empty line. TLS and much else do not."""
    return 0x20 < byte < 0x7F or byte in b"\r\n"


def _picows_protocol(socket: WebSocket, max_frame_bytes: int) -> WSProtocol:
    """A server's picows protocol whose handshake always succeeds; no timers, pings or pongs."""
    return WSProtocol(
        None,
        None,
        False,
        lambda _request: socket,
        LOGGER,
        True,
        None,
        False,
        0,
        0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,
        max_frame_bytes,
        None,
        _READ_BUFFER_BYTES,
    )


def _feed(protocol: WSProtocol, data: bytes) -> None:
    """Give a buffered protocol bytes that were read already, as much at a time as it takes."""
    view = memoryview(data)
    while view:
        buffer = protocol.get_buffer(-1)
        count = min(len(view), len(buffer))
        buffer[:count] = view[:count]
        protocol.buffer_updated(count)
        view = view[count:]
