"""Engine.IO, revision 4, server side and without I/O: encodings, and the life of one session.

A packet is `bytes` that begin with its type's character, or a `Binary` message, which has none.
Source: docs/engine.io-protocol/v4-current.md in the socketio/socket.io repository.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

import msgspec

from protocol import disconnects
from protocol.bounds import MAX_PACKETS_PER_PAYLOAD
from protocol.disconnects import ProtocolViolation

OPEN: Final = b"0"
CLOSE: Final = b"1"
PING: Final = b"2"
PONG: Final = b"3"
MESSAGE: Final = b"4"
UPGRADE: Final = b"5"
NOOP: Final = b"6"
PROBE_PING: Final = b"2probe"
PROBE_PONG: Final = b"3probe"

SEPARATOR: Final = b"\x1e"

POLLING: Final = "polling"
WEBSOCKET: Final = "websocket"


class Binary(bytes):
    """A binary message. On a WebSocket it is a binary frame, in a polling payload base64."""

    __slots__ = ()


class Handshake(msgspec.Struct, frozen=True, rename="camel"):
    """The open packet: what a client needs to know of its session."""

    sid: str
    upgrades: Sequence[str]
    ping_interval: int
    ping_timeout: int
    max_payload: int


def encode_open(handshake: Handshake) -> bytes:
    """The packet that opens a session."""
    return OPEN + msgspec.json.encode(handshake)


def encode_payload(packets: Iterable[bytes]) -> bytes:
    """The body of a polling response or request that carries `packets`, in order."""
    return SEPARATOR.join(
        b"b" + b64encode(packet) if isinstance(packet, Binary) else packet for packet in packets
    )


def decode_payload(body: bytes) -> list[bytes]:
    """The packets of a polling body, in order; binary messages are `Binary`.

    Raises `ProtocolViolation`: invalid_text, too_many_packets, empty_packet, bad_base64.
    """
    check_text(body)
    if body.count(SEPARATOR) >= MAX_PACKETS_PER_PAYLOAD:
        raise ProtocolViolation(disconnects.TOO_MANY_PACKETS)
    return [_decode_part(part) for part in body.split(SEPARATOR)]


def _decode_part(part: bytes) -> bytes:
    if not part:
        raise ProtocolViolation(disconnects.EMPTY_PACKET)
    if part[:1] != b"b":
        return part
    try:
        return Binary(b64decode(part[1:], validate=True))
    except binascii.Error:
        raise ProtocolViolation(disconnects.BAD_BASE64) from None


def check_text(data: bytes) -> None:
    """Raise `ProtocolViolation` invalid_text unless `data` is UTF-8."""
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(disconnects.INVALID_TEXT) from None


class Received(Enum):
    """What a packet from the client asks for."""

    MESSAGE = "message"
    PONG = "pong"
    CLOSE = "close"
    PROBE = "probe"
    UPGRADE = "upgrade"
    NOTHING = "nothing"


class Phase(Enum):
    """Where a session is: which transport carries it, and whether it is moving to the other."""

    POLLING = "polling"
    UPGRADING = "upgrading"
    WEBSOCKET = "websocket"
    CLOSED = "closed"


class Session:
    """What one session may do next, on the server's side.

    Its methods are told what happened and raise `ProtocolViolation` for what must not; the caller
    then closes the session, or only the candidate where `receive_on_candidate` raised.
    """

    __slots__ = ("_polled", "_posted", "_probed", "phase")

    def __init__(self, transport: str) -> None:
        self.phase = Phase.POLLING if transport == POLLING else Phase.WEBSOCKET
        self._polled = False
        self._posted = False
        self._probed = False

    @property
    def posting(self) -> bool:
        """A POST is being read: its packets are still to come."""
        return self._posted

    def receive(self, packet: bytes) -> Received:
        """Judge a text packet that came on the current transport."""
        if self.phase is Phase.CLOSED:
            raise ProtocolViolation(disconnects.SESSION_CLOSED)
        if not packet:
            raise ProtocolViolation(disconnects.EMPTY_PACKET)
        received = _RECEIVED.get(packet[:1])
        if received is None:
            raise ProtocolViolation(disconnects.UNKNOWN_PACKET)
        if isinstance(received, disconnects.DisconnectReason):
            raise ProtocolViolation(received)
        return received

    def open_candidate(self) -> None:
        """A WebSocket names this session: the client wants to move to it."""
        if self.phase is not Phase.POLLING:
            raise ProtocolViolation(disconnects.UPGRADE_REFUSED)
        self.phase = Phase.UPGRADING
        self._probed = False

    def receive_on_candidate(self, packet: bytes) -> Received:
        """Judge a text packet on the candidate: PROBE wants a probe's pong, UPGRADE has moved."""
        if self.phase is not Phase.UPGRADING:
            raise ProtocolViolation(disconnects.UPGRADE_REFUSED)
        if packet == PROBE_PING:
            self._probed = True
            return Received.PROBE
        if packet == UPGRADE and self._probed:
            self.phase = Phase.WEBSOCKET
            return Received.UPGRADE
        raise ProtocolViolation(disconnects.BAD_PROBE)

    def drop_candidate(self) -> None:
        """The candidate has gone or misbehaved: the session stays with polling."""
        if self.phase is Phase.UPGRADING:
            self.phase = Phase.POLLING

    def begin_poll(self) -> None:
        """A polling GET has come."""
        self._check_polling()
        if self._polled:
            raise ProtocolViolation(disconnects.CONCURRENT_POLL)
        self._polled = True

    def end_poll(self) -> None:
        """The GET has its answer, or has gone."""
        self._polled = False

    def begin_post(self) -> None:
        """A polling POST has come."""
        self._check_polling()
        if self._posted:
            raise ProtocolViolation(disconnects.CONCURRENT_POST)
        self._posted = True

    def end_post(self) -> None:
        """The POST has its answer, or has gone."""
        self._posted = False

    def close(self) -> bool:
        """End the session. False if it had ended already."""
        if self.phase is Phase.CLOSED:
            return False
        self.phase = Phase.CLOSED
        return True

    def _check_polling(self) -> None:
        if self.phase is Phase.CLOSED:
            raise ProtocolViolation(disconnects.SESSION_CLOSED)
        if self.phase is Phase.WEBSOCKET:
            raise ProtocolViolation(disconnects.SESSION_UPGRADED)


_RECEIVED: Final[dict[bytes, Received | disconnects.DisconnectReason]] = {
    OPEN: disconnects.WRONG_DIRECTION,
    CLOSE: Received.CLOSE,
    # From revision 4 on the server sends the pings.
    PING: disconnects.WRONG_DIRECTION,
    PONG: Received.PONG,
    MESSAGE: Received.MESSAGE,
    # The upgrade packet belongs on the candidate.
    UPGRADE: disconnects.UPGRADE_UNEXPECTED,
    # The reference server takes a client's noop, and so do we.
    NOOP: Received.NOTHING,
}
