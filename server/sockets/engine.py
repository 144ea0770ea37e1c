"""All Engine.IO connections of this process: handshakes, heartbeats, flushes and their end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from protocol import disconnects, engineio
from protocol.disconnects import DisconnectReason
from server.sockets.admission import Admission
from server.sockets.connection import Connection, MessageHandler, Transport
from server.sockets.counters import Counters
from server.sockets.deadlines import SLICE_S, Deadlines
from server.sockets.options import SocketOptions

if TYPE_CHECKING:
    from server.sockets.elsewhere import Elsewhere

# 120 bits: the session id alone gives access to a long-polling session.
SID_BYTES: Final = 15

# How many packets of a connection come between two looks at the bounds on them. A look costs half a
# microsecond, and a connection may be past a bound by so many packets before it is noticed.
_PACKETS_PER_LOOK: Final = 64

# How often a drain looks whether the peers have closed.
_DRAIN_LOOK_S: Final = 0.01

# A deadline of the heartbeat may be late by this part of the time for a pong.
_MAX_LATENESS_PARTS: Final = 4

HandlerFactory = Callable[[Connection], MessageHandler]


class Engine:
    """The registry of connections. One timer per kind of deadline serves them all.

    In a cluster, session ids begin with `member`, and `elsewhere` knows those of others.
    """

    __slots__ = (
        "_dirty",
        "_flush_scheduled",
        "_last_words",
        "_last_words_due",
        "_loop",
        "_make_handler",
        "admission",
        "before_write",
        "closing",
        "connections",
        "counters",
        "elsewhere",
        "member",
        "options",
        "packets_per_look",
        "pings",
        "pongs",
        "upgrades",
    )

    def __init__(
        self, options: SocketOptions, make_handler: HandlerFactory, member: str = ""
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._make_handler = make_handler
        self.member = member
        self.elsewhere: Elsewhere | None = None
        # Called before anything is written to a client, and has to be quick.
        self.before_write: Callable[[], None] | None = None
        self.options = options
        self.packets_per_look = min(
            _PACKETS_PER_LOOK, options.max_packets_per_second, options.max_packets_per_second_per_ip
        )
        self.admission = Admission(options)
        self.counters = Counters()
        self.connections: dict[str, Connection] = {}
        self._dirty: list[Connection] = []
        self._flush_scheduled = False
        self.pings: Deadlines[Connection] = Deadlines(options.ping_interval_ms / 1000, self._ping)
        self.pongs: Deadlines[Connection] = Deadlines(options.ping_timeout_ms / 1000, self._no_pong)
        self.upgrades: Deadlines[Connection] = Deadlines(
            options.upgrade_timeout_ms / 1000,
            lambda stuck, _: stuck.drop_candidate(disconnects.UPGRADE_TIMEOUT),
        )
        # For the next poll of sessions that have just ended, for as long as one may take to come.
        self._last_words: dict[str, list[bytes]] = {}
        self._last_words_due: Deadlines[str] = Deadlines(
            options.close_timeout_ms / 1000, self._drop_last_words
        )
        # WebSockets that were told to close and have not answered.
        self.closing: Deadlines[Transport] = Deadlines(
            options.close_timeout_ms / 1000, lambda silent, _: silent.abort()
        )

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    def open(self, address: str, transport: Transport) -> Connection:
        """Open a session that admission has just let in, and queue its open packet."""
        sid = self.member + secrets.token_urlsafe(SID_BYTES)
        connection = self._enter(sid, address, transport)
        self.pings.add(connection)
        connection.send((self._open_packet(connection.sid, transport.name),))
        connection.handler = self._make_handler(connection)
        connection.handler.opened()
        return connection

    def take_over(self, sid: str, address: str, transport: Transport) -> Connection:
        """Carry on a session that another member has let go.

        When its client was asked for a pong last is not known here: it is asked now. A pong that
        answers the other member is as good.
        """
        connection = self._enter(sid, address, transport)
        connection.handler = self._make_handler(connection)
        self._ping(connection, self.now())
        self.counters.taken_over += 1
        return connection

    def _enter(self, sid: str, address: str, transport: Transport) -> Connection:
        connection = Connection(self, sid, address, transport)
        self.connections[sid] = connection
        self.admission.sessions.enter(address)
        self.counters.opened += 1
        self.counters.open_by_transport[transport.name] += 1
        return connection

    def _open_packet(self, sid: str, transport: str) -> bytes:
        options = self.options
        upgrades = [engineio.WEBSOCKET] if transport == engineio.POLLING else []
        return engineio.encode_open(
            engineio.Handshake(
                sid,
                upgrades,
                options.ping_interval_ms,
                options.ping_timeout_ms,
                options.max_payload_bytes,
            )
        )

    def upgraded(self, connection: Connection, previous: str) -> None:
        """A connection has moved to another transport."""
        self.counters.upgrades += 1
        self.counters.open_by_transport[previous] -= 1
        self.counters.open_by_transport[connection.transport.name] += 1

    def forget(self, connection: Connection, reason: DisconnectReason) -> None:
        """A connection has ended."""
        del self.connections[connection.sid]
        self.counters.open_by_transport[connection.transport.name] -= 1
        self.counters.disconnects[reason.name] += 1
        for deadlines in (self.pings, self.pongs, self.upgrades):
            deadlines.discard(connection)
        self.admission.sessions.release(connection.address)

    def leave_last_words(self, sid: str, packets: list[bytes]) -> None:
        """Keep what the next poll of an ended session is answered with."""
        self._last_words[sid] = packets
        self._last_words_due.add(sid)

    def take_last_words(self, sid: str) -> list[bytes] | None:
        """What a poll of an ended session is answered with, once; None if there is nothing."""
        self._last_words_due.discard(sid)
        return self._last_words.pop(sid, None)

    def _drop_last_words(self, sid: str, _due_at: float) -> None:
        del self._last_words[sid]

    def _ping(self, connection: Connection, due_at: float) -> None:
        connection.ping()
        # A little lateness of ours is not added to the peer's time, so that a session ends when its
        # handshake says.
        self.pongs.add(connection, since=None if self._stood_still(due_at) else due_at)

    def _no_pong(self, connection: Connection, due_at: float) -> None:
        if self._stood_still(due_at):
            # The pong may have come meanwhile, and lie unread.
            self.pongs.add(connection)
        else:
            connection.close(disconnects.PING_TIMEOUT)

    def _stood_still(self, due_at: float) -> bool:
        """Nobody is disconnected because this process was busy or asleep."""
        late_s = self._loop.time() - due_at
        return late_s * _MAX_LATENESS_PARTS > self.options.ping_timeout_ms / 1000

    def run_heartbeats(self) -> None:
        """Send the pings and end the sessions that are due, though their timer is a little late."""
        self.pings.run_due()
        self.pongs.run_due()

    def pong_received(self, connection: Connection) -> None:
        """The peer is there; ask again after the interval."""
        if connection in self.pongs:
            self.pongs.discard(connection)
            self.pings.add(connection)

    def flush_soon(self, connection: Connection) -> None:
        """Write the connection's packets at the end of this tick of the loop."""
        self._dirty.append(connection)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    async def drain(self, timeout_s: float, say_goodbye: Callable[[Connection], None]) -> None:
        """Refuse new sessions and close all others, in slices; done after `timeout_s` at most."""
        self.admission.draining = True
        self.admission.turnstile.hurry()
        end = self._loop.time() + timeout_s
        pause_at = self._loop.time() + SLICE_S
        for connection in list(self.connections.values()):
            # In a pause some leave by themselves.
            if connection.ended is None:
                say_goodbye(connection)
                connection.close(disconnects.DRAINING)
            if pause_at < self._loop.time() < end:
                await asyncio.sleep(0)
                pause_at = self._loop.time() + SLICE_S
        # Nobody waits for a drain but the one who stops the process, so that looking is enough.
        while self.closing and self._loop.time() < end:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_DRAIN_LOOK_S)
        for transport in self.closing.running():
            transport.abort()

    def close(self) -> None:
        """End at once: every connection, every timer."""
        self.admission.draining = True
        self.admission.turnstile.close()
        for connection in list(self.connections.values()):
            connection.close(disconnects.SERVER_CLOSED)
        for transport in self.closing.running():
            transport.abort()
        for deadlines in (self.pings, self.pongs, self.upgrades, self.closing):
            deadlines.close()
        self._last_words_due.close()
