"""Engine.IO over aiohttp's WebSocket, for an upgrade on a connection that was kept alive.

A proxy such as nginx reuses its connections, so that an upgrade may follow other requests; aiohttp
has the connection then. Compression, where it is turned on, is here too. Slower than picows, the
same to everyone above.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from protocol import disconnects, engineio
from protocol.disconnects import DisconnectReason, ProtocolViolation, sent_code
from protocol.engineio import Binary
from protocol.errors import MALFORMED, Failure
from server.sockets.masks import MaskedOnly

if TYPE_CHECKING:
    from server.sockets.connection import Carried
    from server.sockets.engine import Engine
    from server.sockets.options import SocketOptions

# Below this a message fits in a packet of the network anyway, and compressing gains nothing.
MIN_COMPRESSED_BYTES: Final = 1_024
_CONTROL: Final = (WSMsgType.PING, WSMsgType.PONG)


class FallbackResponse(web.WebSocketResponse):
    """aiohttp's WebSocket, made as strict as picows, and to compress message by message."""

    guard: MaskedOnly

    def __init__(self, options: SocketOptions) -> None:
        super().__init__(
            # aiohttp refuses a message that reaches its bound.
            max_msg_size=options.max_payload_bytes + 1,
            timeout=options.close_timeout_ms / 1000,
            compress=options.websocket_compression,
            # Pings are answered here, where they are counted.
            autoping=False,
        )

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Answer the handshake. From that answer on the client sends frames.

        Raises `Failure` malformed for what came sooner: nobody has looked at it.
        """
        if request.protocol._message_tail:  # noqa: SLF001 - aiohttp has no other word for it
            raise Failure(MALFORMED, reason="frames come after the handshake's answer")
        if request.transport is not None and self.can_prepare(request):
            self.guard = MaskedOnly.guard(request.transport)
        prepared = await super().prepare(request)
        assert self._writer is not None, "it is prepared"
        # Otherwise aiohttp compresses every message, and with what it remembers of those before:
        # who can write to a player and count bytes on the way could then guess at what else the
        # player was sent. It would also keep a quarter of a megabyte for each connection.
        self._writer.compress = 0
        return prepared

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close with a close frame. aiohttp has no code of its own for broken compression."""
        if isinstance(self.exception(), zlib.error):
            code = disconnects.BAD_FRAME.close_code
        return await super().close(code=code, message=message, drain=drain)

    async def send(self, packet: bytes) -> None:
        """Send one packet in a frame, compressed by itself where agreed and worth it."""
        kind = WSMsgType.BINARY if isinstance(packet, Binary) else WSMsgType.TEXT
        worth_it = len(packet) >= MIN_COMPRESSED_BYTES
        await self.send_frame(packet, kind, int(self.compress) if worth_it else None)


class FallbackWebSocket:
    """One WebSocket on aiohttp. Its request's task reads; one more task writes."""

    __slots__ = (
        "_closed",
        "_connection",
        "_engine",
        "_is_candidate",
        "_packets",
        "_request",
        "_response",
        "_wake",
    )

    name = engineio.WEBSOCKET
    max_packets = sys.maxsize

    def __init__(self, engine: Engine, request: web.Request, response: FallbackResponse) -> None:
        self._engine = engine
        self._request = request
        self._response = response
        self._connection: Carried | None = None
        self._is_candidate = False
        # Taken from the connection's bounded queue, and taken again only when these are written.
        self._packets: list[bytes] = []
        self._wake = asyncio.Event()
        self._closed: DisconnectReason | None = None

    @property
    def writable(self) -> bool:
        """What was written last has reached the network's buffer."""
        return not self._packets and self._closed is None

    def carry(self, session: Carried) -> None:
        """Another node's session has come over, and is a connection here."""
        self._connection = session
        self._response.guard.on_fragment = session.receive_frame

    def write(self, packets: list[bytes]) -> int:
        """Hand packets to the writing task."""
        self._packets += packets
        self._wake.set()
        return sum(map(len, packets))

    def close(self, reason: DisconnectReason) -> None:
        """Close after what was written, in a bounded time; the writing task does it."""
        if self._closed is None:
            self._closed = reason
            self._wake.set()
            self._engine.closing.add(self)

    def abort(self) -> None:
        """Cut the network connection: a write or a close that waits for the peer ends."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def serve(self, address: str, upgrading: Carried | None) -> None:
        """Carry a session until either side ends it."""
        writer = asyncio.get_running_loop().create_task(self._write_packets())
        reason = disconnects.TRANSPORT_CLOSED
        try:
            self._open(address, upgrading)
            reason = await self._read_packets()
        finally:
            if self._connection is not None:
                self._connection.transport_lost(self, reason)
            self.close(disconnects.TRANSPORT_CLOSED)
            try:
                await writer
            finally:
                self._engine.closing.discard(self)

    def _open(self, address: str, upgrading: Carried | None) -> None:
        self._connection = upgrading or self._engine.open(address, self)
        self._response.guard.on_fragment = self._connection.receive_frame
        if upgrading is None:
            return
        self._is_candidate = True
        try:
            upgrading.open_candidate(self)
        except ProtocolViolation as violation:
            self.close(violation.reason)

    async def _read_packets(self) -> DisconnectReason:
        """Take what comes until the end, and say why it came."""
        async for message in self._response:
            if self._closed is not None:
                break
            if message.type is WSMsgType.TEXT:
                self._receive(message.data.encode())
            elif message.type is WSMsgType.BINARY:
                self._receive(Binary(message.data))
            elif message.type in _CONTROL:
                await self._receive_control(message.type, message.data)
            elif isinstance(message.data, WebSocketError):
                return disconnects.of_close_code(message.data.code)
            elif isinstance(message.data, zlib.error):
                return disconnects.BAD_FRAME
        return disconnects.TRANSPORT_CLOSED

    def _receive(self, packet: bytes) -> None:
        assert self._connection is not None
        if len(packet) > self._engine.options.max_payload_bytes:
            # The bound that aiohttp has from us is one more, which decompressed messages may reach.
            self._fail(disconnects.TOO_LARGE)
        elif not self._is_candidate:
            if isinstance(packet, Binary):
                self._connection.receive_binary(packet)
            else:
                self._connection.receive_text(packet)
        elif isinstance(packet, Binary):
            self._fail(disconnects.BAD_PROBE)
        else:
            self._connection.receive_frame()
            self._connection.receive_on_candidate(self, packet)
            self._is_candidate = self._connection.transport is not self

    async def _receive_control(self, kind: WSMsgType, payload: bytes) -> None:
        """Count a ping or a pong, and answer a ping. A peer that reads nothing gets no answer."""
        assert self._connection is not None
        self._connection.receive_frame()
        if kind is WSMsgType.PING and self.writable:
            # A peer that has gone shows at the next read.
            with suppress(ConnectionError):
                await self._response.pong(payload)

    def _fail(self, reason: DisconnectReason) -> None:
        assert self._connection is not None
        if self._is_candidate:
            self._connection.drop_candidate(reason)
        else:
            self._connection.close(reason)

    async def _write_packets(self) -> None:
        """Write what there is until the end; a write waits while the network's buffer is full."""
        try:
            while self._packets or self._closed is None:
                if not self._packets:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._write_some()
            await self._say_why(self._closed)
        except ConnectionError:
            self._packets.clear()

    async def _write_some(self) -> None:
        packets = self._packets
        for packet in packets:
            await self._response.send(packet)
        self._packets = self._packets[len(packets) :]
        if self.writable and self._connection is not None and not self._is_candidate:
            self._connection.flush()

    async def _say_why(self, reason: DisconnectReason) -> None:
        """Send the close frame, unless the peer closed first, and wait for the peer's in return."""
        if self._request.transport is None:
            # The peer has left. aiohttp would try, and keep the error in a cycle of references.
            return
        await self._response.close(code=sent_code(reason), message=reason.message.encode())
