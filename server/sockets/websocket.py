"""Engine.IO over picows: one listener for each WebSocket, called with every frame."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSCloseHandshake

from protocol import disconnects, engineio
from protocol.disconnects import DisconnectReason, ProtocolViolation, sent_code
from protocol.engineio import Binary
from server.sockets.connection import Carried

if TYPE_CHECKING:
    from server.sockets.engine import Engine

# picows makes a child of the logger it is given for every connection, but not of an adapter: that
# saves half a kilobyte each. Its messages about broken frames are debugging matter here.
_QUIET = logging.getLogger("picows.pitboss")
_QUIET.setLevel(logging.CRITICAL)
LOGGER: Final = logging.LoggerAdapter(_QUIET, {})

_LOG = logging.getLogger(__name__)

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CLOSE: Final = WSMsgType.CLOSE

_NO_HEADERS: Final = CIMultiDict[str]()

# Up to here picows copies a frame into its own buffer; larger ones it hands to the transport by
# reference to that buffer, which a later write in the same tick would overwrite.
_LARGEST_COPIED: Final = 8_192

_FIN_TEXT: Final = 0x81
_FIN_BINARY: Final = 0x82
_SHORT_HEADERS: Final = {
    opcode: tuple(bytes((opcode, length)) for length in range(126))
    for opcode in (_FIN_TEXT, _FIN_BINARY)
}
# What a close frame may carry: the assigned codes, and those for libraries and applications.
_CLOSE_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_MEDIUM_HEADER: Final = Struct("!BBH")
_LONG_HEADER: Final = Struct("!BBQ")


def frame_header(packet: bytes) -> bytes:
    """The header of an unmasked, whole frame for `packet` (RFC 6455, section 5.2)."""
    opcode = _FIN_BINARY if isinstance(packet, Binary) else _FIN_TEXT
    length = len(packet)
    if length < 126:
        return _SHORT_HEADERS[opcode][length]
    if length < 65_536:
        return _MEDIUM_HEADER.pack(opcode, 126, length)
    return _LONG_HEADER.pack(opcode, 127, length)


def check_close(payload: bytes) -> None:
    """Raise `ProtocolViolation` for a code that no close frame carries (RFC 6455, section 7.4).

    picows has judged the length and the text.
    """
    if payload and int.from_bytes(payload[:2], "big") not in _CLOSE_CODES:
        raise ProtocolViolation(disconnects.BAD_FRAME)


class WebSocket(WSListener):
    """One WebSocket on picows: a connection's transport, or a candidate for it in an upgrade."""

    __slots__ = (
        "_address",
        "_closed",
        "_connection",
        "_engine",
        "_fragments",
        "_fragments_type",
        "_give_place",
        "_paused",
        "_picows",
    )

    name = engineio.WEBSOCKET
    max_packets = sys.maxsize
    _picows: WSTransport

    def __init__(
        self,
        engine: Engine,
        address: str,
        upgrading: Carried | None = None,
        give_place: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._address = address
        self._connection: Carried | None = upgrading
        # A candidate is no session's transport yet, so it keeps a place among those that are not.
        self._give_place = give_place
        self._paused = False
        self._closed = False
        # What has come of a fragmented message, bounded like a whole one.
        self._fragments: bytearray | None = None
        self._fragments_type = _TEXT

    @property
    def writable(self) -> bool:
        """The network takes more: its buffer is below the high-water mark."""
        return not (self._paused or self._closed)

    @property
    def _is_candidate(self) -> bool:
        return self._give_place is not None

    # Called by picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The WebSocket is open: a new session, or a candidate for one."""
        self._picows = transport
        # Read already; they would take two kilobytes for as long as the connection lives.
        transport.request.headers = transport.response.headers = _NO_HEADERS
        if self._connection is None:
            self._connection = self._engine.open(self._address, self)
            return
        try:
            self._connection.open_candidate(self)
        except ProtocolViolation as violation:
            self._engine.counters.disconnects[violation.reason.name] += 1
            self.close(violation.reason)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come. What it breaks ends this connection and no other."""
        # picows goes on with a frame after it has closed for that very frame.
        if self._closed or transport.is_close_frame_sent:
            if frame.msg_type is _CLOSE:
                transport.disconnect()
            return
        try:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                self._fail(disconnects.BAD_FRAME)
            elif frame.msg_type is _TEXT and frame.fin and self._fragments is None:
                self._receive_text(frame.get_payload_as_bytes())
            else:
                self._receive_other(frame)
        except ProtocolViolation as violation:
            self._fail(violation.reason)
        except Exception:  # noqa: BLE001 - a fault on one connection ends that one alone
            _LOG.exception("a frame could not be handled")
            self._fail(disconnects.INTERNAL)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The network connection has ended."""
        self._engine.closing.discard(self)
        if not self._closed:
            self._closed = True
            self._lost(_picows_reason(transport))
        self._end_candidacy()

    def pause_writing(self) -> None:
        """The network's buffer is full: packets wait in the connection's queue."""
        self._paused = True

    def resume_writing(self) -> None:
        """The network's buffer has emptied."""
        self._paused = False
        if self._connection is not None and not self._is_candidate:
            self._connection.flush()

    # Called by the connection.

    def carry(self, session: Carried) -> None:
        """Another node's session has come over, and is a connection here."""
        self._connection = session

    def write(self, packets: list[bytes]) -> int:
        """Send packets, each in its frame, with one system call where the network takes them."""
        if len(packets) == 1 and len(packets[0]) <= _LARGEST_COPIED:
            packet = packets[0]
            self._picows.send(_BINARY if isinstance(packet, Binary) else _TEXT, packet)
            return len(packet)
        frames: list[bytes] = []
        for packet in packets:
            frames.append(frame_header(packet))
            frames.append(packet)
        wire = b"".join(frames)
        self._picows.underlying_transport.write(wire)
        return len(wire)

    def close(self, reason: DisconnectReason) -> None:
        """Say why, and wait a bounded time for the peer's close frame."""
        if self._closed:
            return
        self._closed = True
        self._picows.send_close(WSCloseCode(sent_code(reason)), reason.message.encode())
        self._engine.closing.add(self)

    def abort(self) -> None:
        """Cut the network connection."""
        self._picows.disconnect(graceful=False)

    # Frames to packets.

    def _receive_text(self, packet: bytes) -> None:
        if not packet.isascii():
            engineio.check_text(packet)
        assert self._connection is not None
        if self._is_candidate:
            self._connection.receive_frame()
            self._connection.receive_on_candidate(self, packet)
            if self._connection.transport is self:
                self._end_candidacy()
        else:
            self._connection.receive_text(packet)

    def _receive_message(self, kind: WSMsgType, message: bytes) -> None:
        if kind is _TEXT:
            self._receive_text(message)
        elif self._is_candidate:
            raise ProtocolViolation(disconnects.BAD_PROBE)
        else:
            assert self._connection is not None
            self._connection.receive_binary(Binary(message))

    def _receive_other(self, frame: WSFrame) -> None:
        """Binary frames, fragments and control frames."""
        kind = frame.msg_type
        if kind is _TEXT or kind is _BINARY:
            if self._fragments is not None:
                raise ProtocolViolation(disconnects.BAD_FRAME)
            if frame.fin:
                self._receive_message(kind, frame.get_payload_as_bytes())
                return
            self._fragments = bytearray(frame.get_payload_as_memoryview())
            self._fragments_type = kind
        elif kind is _CLOSE:
            self._receive_close(frame.get_payload_as_bytes())
            return
        elif kind is WSMsgType.PING:
            # picows would answer even a peer that reads nothing; the RFC lets us skip pings.
            if not self._paused:
                self._picows.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CONTINUATION:
            self._continue(frame)
        assert self._connection is not None
        self._connection.receive_frame()

    def _receive_close(self, payload: bytes) -> None:
        check_close(payload)
        self._closed = True
        self._picows.send_close(WSCloseCode.OK)
        self._picows.disconnect()
        self._lost(disconnects.TRANSPORT_CLOSED)

    def _continue(self, frame: WSFrame) -> None:
        if self._fragments is None:
            raise ProtocolViolation(disconnects.BAD_FRAME)
        if len(self._fragments) + frame.payload_size > self._engine.options.max_payload_bytes:
            raise ProtocolViolation(disconnects.TOO_LARGE)
        self._fragments += frame.get_payload_as_memoryview()
        if frame.fin:
            message, self._fragments = bytes(self._fragments), None
            self._receive_message(self._fragments_type, message)

    def _end_candidacy(self) -> None:
        if self._give_place is not None:
            self._give_place()
            self._give_place = None

    # The end.

    def _fail(self, reason: DisconnectReason) -> None:
        assert self._connection is not None
        if self._is_candidate:
            self._connection.drop_candidate(reason)
        else:
            self._connection.close(reason)

    def _lost(self, reason: DisconnectReason) -> None:
        if self._connection is not None:
            self._connection.transport_lost(self, reason)


def _picows_reason(transport: WSTransport) -> DisconnectReason:
    """Why the WebSocket ended: picows closes broken ones by itself and keeps the code it sent."""
    handshake: WSCloseHandshake | None = transport.close_handshake
    if handshake is None or handshake.sent is None:
        return disconnects.TRANSPORT_CLOSED
    return disconnects.of_close_code(handshake.sent.code.value)
