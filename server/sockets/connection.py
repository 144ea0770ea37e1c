"""One Engine.IO connection: its session, its outbound queue, and the transport that carries it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from protocol import disconnects, engineio
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.engineio import Received

if TYPE_CHECKING:
    from server.sockets.engine import Engine

_LOG = logging.getLogger(__name__)

# A large packet counts as one for each of these begun: it takes as long to decode, and compressed
# it may have come in a few bytes.
PACKET_BYTES: Final = 1_024


class Transport(Protocol):
    """What carries packets: picows' WebSocket, aiohttp's, or long-polling."""

    @property
    def name(self) -> str:
        """`websocket` or `polling`."""

    @property
    def writable(self) -> bool:
        """Whether packets may be written now rather than wait in the connection's queue."""

    @property
    def max_packets(self) -> int:
        """How many packets one write may carry."""

    def write(self, packets: list[bytes]) -> int:
        """Send all of `packets`, in order, in one write. The bytes it took on the wire."""

    def close(self, reason: DisconnectReason) -> None:
        """End the transport, after what was written. It reports nothing more."""

    def abort(self) -> None:
        """End the transport at once, whatever was written."""


class Candidate(Transport, Protocol):
    """A WebSocket that wants to carry on a session, which may be another node's."""

    def carry(self, session: Carried) -> None:
        """Give what comes from now on to `session`, which is the same one, and here now."""


class Carried(Protocol):
    """A session as its WebSocket knows it."""

    @property
    def transport(self) -> Transport | None:
        """What carries the session; None while nobody here does."""

    def receive_text(self, packet: bytes) -> None:
        """Take one text packet. The text is known to be UTF-8."""

    def receive_binary(self, message: bytes) -> None:
        """Take one binary message."""

    def receive_frame(self) -> None:
        """Count a frame that is no packet by itself."""

    def open_candidate(self, transport: Candidate) -> None:
        """A WebSocket wants to carry this on. Raises `ProtocolViolation` if it may not."""

    def receive_on_candidate(self, transport: Candidate, packet: bytes) -> None:
        """Take a text packet from a WebSocket that does not carry the session yet."""

    def drop_candidate(self, reason: DisconnectReason) -> None:
        """The upgrade has failed; the session goes on with polling."""

    def flush(self) -> None:
        """The transport takes more."""

    def transport_lost(self, transport: Transport, reason: DisconnectReason) -> None:
        """A transport has gone by itself."""

    def close(self, reason: DisconnectReason) -> None:
        """End the session."""


class MessageHandler(Protocol):
    """Who takes a connection's messages: the Socket.IO layer. May raise `ProtocolViolation`."""

    def opened(self) -> None:
        """The open packet has been queued."""

    def text(self, message: bytes) -> None:
        """A text message, its type character included."""

    def binary(self, message: bytes) -> None:
        """A binary message."""

    def heartbeat(self) -> None:
        """The peer was asked whether it is there."""

    def closed(self, reason: DisconnectReason) -> None:
        """Called once; nothing comes after it."""


class _Gone:
    """Stands where the transport and the handler of an ended connection were: it takes nothing.

    Both know their connection, and objects that know each other stay until a garbage collection,
    which is rare here.
    """

    name = ""
    writable = False
    max_packets = 0

    def write(self, _packets: list[bytes]) -> int:
        """Nobody is written to."""
        return 0

    def close(self, reason: DisconnectReason) -> None:
        """It has ended already."""

    def abort(self) -> None:
        """It has ended already."""

    def opened(self) -> None:
        """It does not open again."""

    def text(self, message: bytes) -> None:
        """Nobody listens."""

    def binary(self, message: bytes) -> None:
        """Nobody listens."""

    def heartbeat(self) -> None:
        """Nobody is asked."""

    def closed(self, reason: DisconnectReason) -> None:
        """It was told."""


_GONE: Final = _Gone()


class Connection:
    """One session. Packets sent in one tick of the loop leave together, in order.

    What the transport cannot take waits here, bounded in bytes and packets; past either bound the
    peer is a slow consumer and is disconnected.
    """

    __slots__ = (
        "_candidate",
        "_dirty",
        "_outbound",
        "_outbound_bytes",
        "_packets_left",
        "_second_began",
        "_second_left",
        "address",
        "counters",
        "ended",
        "engine",
        "handler",
        "number",
        "opened_at_s",
        "session",
        "sid",
        "transport",
    )

    handler: MessageHandler

    def __init__(self, engine: Engine, sid: str, address: str, transport: Transport) -> None:
        self.engine = engine
        self.counters = engine.counters
        self.sid = sid
        self.address = address
        self.transport = transport
        self.session = engineio.Session(transport.name)
        # Newer connections of a process have higher numbers.
        self.number = engine.counters.opened + 1
        self.opened_at_s = engine.now()
        # Why the connection ended, once it has.
        self.ended: DisconnectReason | None = None
        self._candidate: Transport | None = None
        self._outbound: list[bytes] = []
        self._outbound_bytes = 0
        self._dirty = False
        # How many packets may come before the bounds on them are looked at.
        self._packets_left = engine.packets_per_look
        self._second_left = engine.options.max_packets_per_second
        self._second_began = self.opened_at_s

    @property
    def writable(self) -> bool:
        """Whether the transport takes packets now. A volatile event skips those that do not."""
        return self.transport.writable

    @property
    def waiting_bytes(self) -> int:
        """The bytes that the transport has not taken yet."""
        return self._outbound_bytes

    @property
    def counted_packets(self) -> int:
        """The packets from the peer in the second that is running, as far as they were counted."""
        engine = self.engine
        if engine.now() - self._second_began >= 1.0:
            return 0
        return engine.options.max_packets_per_second - self._second_left

    # Outbound.

    def send(self, packets: tuple[bytes, ...]) -> None:
        """Queue packets for the end of this tick. Harmless after the end of the connection."""
        outbound = self._outbound
        for packet in packets:
            outbound.append(packet)
            self._outbound_bytes += len(packet)
        if not self._dirty:
            self._dirty = True
            self.engine.flush_soon(self)
        options = self.engine.options
        if (
            self._outbound_bytes > options.max_outbound_bytes
            or len(outbound) > options.max_outbound_packets
        ):
            self._overflow()

    def flush(self) -> None:
        """Write what is queued, if the transport takes it now."""
        self._dirty = False
        if not self._outbound or not self.transport.writable:
            return
        if self.engine.before_write is not None:
            self.engine.before_write()
        packets = self._take(self.transport.max_packets)
        self.counters.packets_out += len(packets)
        try:
            self.counters.bytes_out += self.transport.write(packets)
        except Exception:  # noqa: BLE001 - whoever flushes many must get past a broken one
            _LOG.exception("a connection could not be written")
            self.close(disconnects.INTERNAL)

    def take_unsent(self) -> list[bytes]:
        """All that the transport has not taken, for whoever is to send it instead."""
        return self._take(len(self._outbound))

    def _take(self, count: int) -> list[bytes]:
        """The first packets of the queue, taken out of it."""
        packets, self._outbound = self._outbound, []
        self._outbound_bytes = 0
        if len(packets) > count:
            packets, self._outbound = packets[:count], packets[count:]
            self._outbound_bytes = sum(map(len, self._outbound))
        return packets

    def _overflow(self) -> None:
        """A burst within one tick is written at once; what is still too much is too slow."""
        if self.session.phase is engineio.Phase.CLOSED:
            self._outbound.clear()
            self._outbound_bytes = 0
        elif self.transport.writable:
            self.flush()
        else:
            self.close(disconnects.SLOW_CONSUMER)

    # Inbound.

    def receive_text(self, packet: bytes) -> None:
        """Take one text packet from the transport. The text is known to be UTF-8."""
        self.counters.packets_in += 1
        self.counters.bytes_in += len(packet)
        self._packets_left -= 1 + len(packet) // PACKET_BYTES
        if self._packets_left < 0 and self._floods():
            return
        try:
            if packet[:1] == b"4":
                self.handler.text(packet)
            else:
                self._receive_control(packet)
        except ProtocolViolation as violation:
            self.close(violation.reason)
        except Exception:  # noqa: BLE001 - a fault on one connection ends that one alone
            self._failed()

    def receive_binary(self, message: bytes) -> None:
        """Take one binary message from the transport."""
        self.counters.packets_in += 1
        self.counters.bytes_in += len(message)
        self._packets_left -= 1 + len(message) // PACKET_BYTES
        if self._packets_left < 0 and self._floods():
            return
        try:
            self.handler.binary(message)
        except ProtocolViolation as violation:
            self.close(violation.reason)
        except Exception:  # noqa: BLE001 - as above
            self._failed()

    def receive_frame(self) -> None:
        """Count a frame that is no packet by itself: a ping, a pong, a fragment or a probe."""
        self._packets_left -= 1
        if self._packets_left < 0:
            self._floods()

    def _failed(self) -> None:
        _LOG.exception("what came on a connection could not be handled")
        self.close(disconnects.INTERNAL)

    def _floods(self) -> bool:
        """Some packets have come: past either bound of a second the connection ends."""
        engine = self.engine
        packets = engine.packets_per_look - self._packets_left
        self._packets_left = engine.packets_per_look
        now_s = engine.now()
        if now_s - self._second_began >= 1.0:
            self._second_began = now_s
            self._second_left = engine.options.max_packets_per_second
        self._second_left -= packets
        if self._second_left < 0:
            self.close(disconnects.FLOODING)
        elif not engine.admission.takes(self.address, packets, now_s):
            self.close(disconnects.ADDRESS_FLOODING)
        return self.ended is not None

    def _receive_control(self, packet: bytes) -> None:
        received = self.session.receive(packet)
        if received is Received.PONG:
            self.engine.pong_received(self)
        elif received is Received.CLOSE:
            self.close(disconnects.CLIENT_CLOSED)

    def ping(self) -> None:
        """Ask whether the peer is there."""
        self.send((engineio.PING,))
        self.handler.heartbeat()

    # Upgrade.

    def open_candidate(self, transport: Transport) -> None:
        """A WebSocket wants to carry this session on. Raises `ProtocolViolation` if it may not."""
        self.session.open_candidate()
        self._candidate = transport
        self.engine.upgrades.add(self)

    def receive_on_candidate(self, transport: Transport, packet: bytes) -> None:
        """Take a text packet from a WebSocket that is not yet this session's transport."""
        if transport is not self._candidate:
            transport.close(disconnects.UPGRADE_REFUSED)
            return
        try:
            received = self.session.receive_on_candidate(packet)
        except ProtocolViolation as violation:
            self.drop_candidate(violation.reason)
            return
        if received is Received.PROBE:
            transport.write([engineio.PROBE_PONG])
            # A poll that waits is answered, so that the client can pause polling.
            if self.transport.writable and not self._outbound:
                self.transport.write([engineio.NOOP])
        else:
            self._upgraded(transport)

    def drop_candidate(self, reason: DisconnectReason) -> None:
        """The upgrade has failed; the session goes on with polling."""
        candidate, self._candidate = self._candidate, None
        self.engine.upgrades.discard(self)
        self.session.drop_candidate()
        if candidate is not None:
            candidate.close(reason)

    def _upgraded(self, transport: Transport) -> None:
        polling, self.transport, self._candidate = self.transport, transport, None
        self.engine.upgrades.discard(self)
        self.engine.upgraded(self, polling.name)
        if polling.writable:
            polling.write([engineio.NOOP])
        self.flush()

    # The end.

    def transport_lost(self, transport: Transport, reason: DisconnectReason) -> None:
        """A transport has gone by itself."""
        if transport is self._candidate:
            self.drop_candidate(reason)
        elif transport is self.transport:
            self.close(reason)

    def close(self, reason: DisconnectReason) -> None:
        """End the connection: what is queued is written first where the transport takes it."""
        if not self.session.close():
            return
        self.ended = reason
        self.engine.forget(self, reason)
        try:
            self.handler.closed(reason)
        except Exception:  # noqa: BLE001 - the transport still has to be closed
            _LOG.exception("the handler of a closing connection failed")
        self.flush()
        if self._candidate is not None:
            self._candidate.close(reason)
            self._candidate = None
        if self.transport.name == engineio.POLLING and not self.transport.writable:
            self._leave_last_words(reason)
        self.transport.close(reason)
        self.transport = self.handler = _GONE
        self._outbound.clear()

    def _leave_last_words(self, reason: DisconnectReason) -> None:
        """The client is between two polls: if it did nothing wrong, the next one is answered.

        A client that closes may have sent a poll just before, which came on another network
        connection and was overtaken: it is let go like one that had waited.
        """
        if reason is disconnects.CLIENT_CLOSED:
            self.engine.leave_last_words(self.sid, [engineio.NOOP])
        elif reason.orderly:
            packets = [*self._outbound[: self.transport.max_packets - 1], engineio.CLOSE]
            self.engine.leave_last_words(self.sid, packets)
