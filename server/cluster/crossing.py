"""The upgrade of a session that is another member's, by a WebSocket that came here."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from protocol import disconnects, engineio
from protocol.disconnects import DisconnectReason
from protocol.engineio import Binary
from protocol.errors import Failure
from server.sockets.connection import Candidate, Connection, Transport
from server.sockets.elsewhere import Far

_LOG = logging.getLogger(__name__)

# What a client may send before its session is here, beside the packets of a second: as much as may
# wait for a client. Past it: `flooding`.
MAX_HELD_BYTES: Final = 1_048_576
_KEY_BYTES: Final = 8


class _Phase(Enum):
    NEW = "new"
    PROBING = "probing"
    READY = "ready"
    TAKING = "taking"
    DONE = "done"


class Upgrade(NamedTuple):
    """One try to carry on a session here. The `key` tells it from others of the same session."""

    far: Far
    key: str


class Mover(Protocol):
    """Who moves sessions."""

    def waits(self, crossing: Crossing) -> None:
        """Its time for the upgrade runs from now on."""

    def waits_no_more(self, crossing: Crossing) -> None:
        """The upgrade has been asked for, or is over."""

    def begin(self, task: asyncio.Task[None]) -> None:
        """Keep a task until it is done."""

    async def probe(self, upgrade: Upgrade) -> None:
        """Have its member expect the upgrade. Raises Failure."""

    def drop(self, upgrade: Upgrade) -> None:
        """Tell its member that nothing comes of the upgrade."""

    async def take(self, upgrade: Upgrade, transport: Transport) -> Connection:
        """Have its member let go of a session, and make it one of ours. Raises Failure."""


class Crossing:
    """Stands for a session until it is here, for the WebSocket that is to carry it on.

    The probe is answered once the session's member expects the upgrade. With the client's word that
    it has moved the session is taken; what the client sends meanwhile is held.
    """

    __slots__ = (
        "_candidate",
        "_counted",
        "_held",
        "_held_bytes",
        "_lost",
        "_max_packets",
        "_mover",
        "_phase",
        "_task",
        "_upgrade",
        "transport",
    )

    def __init__(self, far: Far, mover: Mover, max_packets: int) -> None:
        self._upgrade = Upgrade(far, secrets.token_hex(_KEY_BYTES))
        self._mover = mover
        self._max_packets = max_packets
        self._phase = _Phase.NEW
        self._candidate: Candidate | None = None
        self._task: asyncio.Task[None] | None = None
        # What has come from the client after its word that it has moved.
        self._held: list[bytes] = []
        self._held_bytes = 0
        # Packets and other frames, from the start.
        self._counted = 0
        # Why the client has gone meanwhile.
        self._lost: DisconnectReason | None = None
        self.transport: Transport | None = None

    # The candidate.

    def open_candidate(self, transport: Candidate) -> None:
        """A WebSocket has come for the session."""
        self._candidate = transport
        self._mover.waits(self)

    def receive_on_candidate(self, transport: Candidate, packet: bytes) -> None:
        """Take the probe, and then the client's word that it has moved."""
        if packet == engineio.PROBE_PING and self._phase is _Phase.NEW:
            self._phase = _Phase.PROBING
            self._begin(self._probe(transport))
        elif packet == engineio.PROBE_PING and self._phase is _Phase.READY:
            transport.write([engineio.PROBE_PONG])
        elif packet == engineio.UPGRADE and self._phase is _Phase.READY:
            self._phase = _Phase.TAKING
            self._mover.waits_no_more(self)
            self.transport = transport
            self._begin(self._take(transport))
        else:
            self.drop_candidate(disconnects.BAD_PROBE)

    def drop_candidate(self, reason: DisconnectReason) -> None:
        """The upgrade has failed: the session goes on with polling, wherever it is."""
        phase, candidate = self._phase, self._candidate
        if phase in (_Phase.TAKING, _Phase.DONE):
            return
        if phase is not _Phase.NEW:
            self._mover.drop(self._upgrade)
        self._end()
        if candidate is not None:
            candidate.close(reason)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)
        self._mover.begin(self._task)

    async def _probe(self, transport: Candidate) -> None:
        try:
            await self._mover.probe(self._upgrade)
        except Failure:
            self._task = None
            self.drop_candidate(disconnects.UPGRADE_REFUSED)
        else:
            self._phase = _Phase.READY
            transport.write([engineio.PROBE_PONG])

    # The move.

    async def _take(self, transport: Candidate) -> None:
        try:
            connection = await self._mover.take(self._upgrade, transport)
        except Failure as failure:
            _LOG.info("a session could not be taken over: %s", failure.kind.code)
            transport.close(disconnects.UPGRADE_REFUSED)
        except BaseException:
            transport.close(disconnects.INTERNAL)
            raise
        else:
            transport.carry(connection)
            self._pass_on(connection)
        finally:
            self._task = None
            self._end()

    def _pass_on(self, connection: Connection) -> None:
        for packet in self._held:
            if isinstance(packet, Binary):
                connection.receive_binary(packet)
            else:
                connection.receive_text(packet)
        if self._lost is not None:
            connection.close(self._lost)

    def receive_text(self, packet: bytes) -> None:
        """Hold a packet until the session is here."""
        self._hold(packet)

    def receive_binary(self, message: bytes) -> None:
        """Hold a message until the session is here."""
        self._hold(Binary(message))

    def receive_frame(self) -> None:
        """Count a frame that is no packet by itself."""
        self._counted += 1
        if self._counted > self._max_packets or self._held_bytes > MAX_HELD_BYTES:
            self.drop_candidate(disconnects.FLOODING)
            self.close(disconnects.FLOODING)

    def _hold(self, packet: bytes) -> None:
        self._held.append(packet)
        self._held_bytes += len(packet)
        self.receive_frame()

    def flush(self) -> None:
        """Nothing waits here."""

    # The end.

    def transport_lost(self, _transport: Transport, reason: DisconnectReason) -> None:
        """The WebSocket has gone: what is being taken over ends once it is here."""
        if self._phase is _Phase.TAKING:
            self._lost = self._lost or reason
        else:
            self.drop_candidate(reason)

    def close(self, reason: DisconnectReason) -> None:
        """The client broke a protocol while its session was on its way."""
        if self._phase is _Phase.TAKING and self._lost is None:
            self._lost = reason
            self._held.clear()
            if self.transport is not None:
                self.transport.close(reason)

    def _end(self) -> None:
        self._phase = _Phase.DONE
        self._mover.waits_no_more(self)
        self._candidate = self.transport = None
        self._held.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None
