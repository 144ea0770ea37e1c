"""Connection state recovery: who may come back, as whom, and what they have missed.

A client that asks for it (`auth: {recover: true}`) is told a private id, `pid`, and an offset with
every event; it sends both when it connects again. Until then its socket stays in its rooms, and
its history goes on. In a cluster it may come back to another node, which asks this one, or reads
what this one has written down.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol import disconnects
from protocol.disconnects import DisconnectReason
from protocol.outgoing import Outgoing, keep, kept
from server.sockets.deadlines import Deadlines
from server.sockets.event_log import Former, Formers
from server.sockets.history import Bounds, History, Shelf

if TYPE_CHECKING:
    from server.hub import Hub
    from server.sockets.options import SocketOptions
    from server.sockets.socket import Socket

# Who knows it becomes that socket, once authenticated as the same owner: 120 bits.
_PID_BYTES: Final = 15

# What a history keeps at most, and all together. It is never more than half of what may wait for a
# connection, as it is sent in one go. Past it a client starts afresh.
_MAX_BYTES: Final = 262_144
_MAX_PACKETS: Final = 1_024
_MAX_TOTAL_BYTES: Final = 268_435_456

# Ends after which a client may come back as if nothing had been. Those of a namespace, of a session
# and of a client that broke a protocol are meant; a process that ends takes its histories along.
_TEMPORARY: Final = frozenset(
    {
        disconnects.TRANSPORT_CLOSED,
        disconnects.CLIENT_CLOSED,
        disconnects.PING_TIMEOUT,
        disconnects.SLOW_CONSUMER,
        disconnects.TAKEN_OVER,
        disconnects.INTERNAL,
        disconnects.ADDRESS_FLOODING,
    }
)

# Ends of a client that goes on at another node, or is asked to.
_ELSEWHERE: Final = frozenset({disconnects.MOVED, disconnects.DRAINING})

# A private id of ours.
_PID: Final = re.compile("[A-Za-z0-9_-]{20}")
# An epoch, and as many digits as a counter of years reaches.
_OFFSET: Final = re.compile("([0-9a-f]{1,32})-([0-9]{1,18})")

# How an attempt ended, for the metrics.
RECOVERED: Final = "recovered"
RECOVERED_ELSEWHERE: Final = "recovered_elsewhere"
UNKNOWN: Final = "unknown"
FORGOTTEN: Final = "forgotten"
OUTCOMES: Final = (RECOVERED, RECOVERED_ELSEWHERE, UNKNOWN, FORGOTTEN)


class Given(NamedTuple):
    """What a node gives of a client that goes on at another."""

    sid: str
    missed: list[tuple[float, list[bytes]]] | None
    """How many seconds ago each event was told, and the event; None if they are not known."""
    rooms: list[str]


class Recovery:
    """All sockets of this process that may be recovered: connected ones and absent ones."""

    __slots__ = (
        "_absent",
        "_absent_by_owner",
        "_by_pid",
        "_hub",
        "_max_absent",
        "_max_absent_per_owner",
        "_shelf",
        "formers",
        "outcomes",
    )

    def __init__(self, options: SocketOptions, hub: Hub) -> None:
        self._hub = hub
        # The way to clients of other nodes, in a cluster.
        self.formers: Formers | None = None
        # The server notices an end as late as a heartbeat does; what it sent meanwhile counts too.
        detection_ms = options.ping_interval_ms + options.ping_timeout_ms
        bounds = Bounds(
            kept_s=(options.recovery_ms + detection_ms) / 1000,
            packets=min(_MAX_PACKETS, options.max_outbound_packets // 2),
            bytes=min(_MAX_BYTES, options.max_outbound_bytes // 2),
            total_bytes=_MAX_TOTAL_BYTES,
        )
        self._shelf = Shelf(bounds)
        # As many as there may be connections, all of which may be lost at once.
        self._max_absent = options.max_connections
        self._max_absent_per_owner = options.max_awaited_per_owner
        self._by_pid: dict[str, Socket] = {}
        self._absent: Deadlines[Socket] = Deadlines(
            options.recovery_ms / 1000, lambda gone, _: self.forget(gone)
        )
        # The same, oldest first, of each owner that has any.
        self._absent_by_owner: dict[Hashable, dict[Socket, None]] = {}
        self.outcomes: Counter[str] = Counter()

    @property
    def absent(self) -> int:
        """How many sockets are awaited."""
        return len(self._absent)

    @property
    def held_bytes(self) -> int:
        """What all histories hold; a broadcast counts once."""
        return self._shelf.bytes

    @property
    def bounds(self) -> Bounds:
        """How much is kept of each client."""
        return self._shelf.bounds

    def begin(self) -> History:
        """The history of a socket that is connecting."""
        return History(self._hub.number, self._shelf)

    def heartbeat(self, socket: Socket) -> None:
        """Forget what a quiet socket need not be sent again."""
        if socket.history is not None:
            socket.history.forget_before(self._hub.now() - self._shelf.bounds.kept_s)
            if self._hub.event_log is not None:
                self._hub.event_log.renewed(socket)

    async def fetch(self, socket: Socket, auth: Mapping[str, Any]) -> Former | None:
        """What another node had of a client that comes back; None if it was here, or nowhere."""
        pid = auth.get("pid")
        if self.formers is None or socket.history is None:
            return None
        if not isinstance(pid, str) or _PID.fullmatch(pid) is None or pid in self._by_pid:
            return None
        return await self.formers.fetch(socket, pid, auth.get("offset"))

    def admit(
        self, socket: Socket, auth: Mapping[str, Any], former: Former | None = None
    ) -> list[Outgoing]:
        """A recoverable socket is let in. What it has missed, if it was here or there before."""
        pid = auth.get("pid")
        missed = None
        if former is not None and former.pid not in self._by_pid:
            missed = self._adopt(socket, former)
        elif pid is not None:
            missed = self._claim(socket, pid, auth.get("offset"))
        if missed is not None:
            return missed
        socket.pid = secrets.token_urlsafe(_PID_BYTES)
        self._by_pid[socket.pid] = socket
        if self._hub.event_log is not None:
            return self._begin_anew(socket, (), Counter(), taken=False)
        return []

    def _adopt(self, socket: Socket, former: Former) -> list[Outgoing] | None:
        """Make `socket` the heir of one that another node had. None if too much is gone."""
        if former.missed is None:
            self.outcomes[FORGOTTEN] += 1
            return None
        self.outcomes[RECOVERED_ELSEWHERE] += 1
        socket.id, socket.pid = former.sid, former.pid
        self._by_pid[socket.pid] = socket
        recent = former.missed[len(former.missed) - former.recent :]
        repeated = Counter(tuple(packets) for packets in recent)
        return self._begin_anew(socket, former.missed, repeated, taken=True)

    def _begin_anew(
        self,
        socket: Socket,
        missed: Sequence[Sequence[bytes]],
        repeated: Counter[tuple[bytes, ...]],
        *,
        taken: bool,
    ) -> list[Outgoing]:
        """Number what a socket is told first, in the order in which it is told.

        In that order other nodes read what this one has written down.
        """
        assert self._hub.event_log is not None
        self._hub.catch_up(socket)
        self._hub.event_log.admitted(socket, taken=taken)
        return socket.begin_anew(self.begin(), map(kept, missed), repeated)

    def give(self, pid: str, namespace: str, owner: str, offset: object) -> Given | None:
        """Let a client go that has come back to another node; None if it is not here.

        It has got nothing more from here, as its connection is closed, and the other node hears
        what its rooms are told from here on.
        """
        former = self._by_pid.get(pid)
        if former is None or (former.namespace, str(former.owner)) != (namespace, owner):
            return None
        former.connection.close(disconnects.TAKEN_OVER)
        self._hub.settle(former)
        missed = self._missed(former, offset)
        now_s = self._hub.now()
        told = None if missed is None else [(now_s - one.at_s, keep(one)) for one in missed]
        given = Given(former.id, told, sorted(former.rooms))
        self._let_go(former)
        return given

    def _let_go(self, socket: Socket) -> None:
        """A socket goes on at another node."""
        if self._hub.event_log is not None:
            self._hub.event_log.let_go(socket.pid)
        self._await_no_longer(socket)
        del self._by_pid[socket.pid]
        socket.ended()

    def _claim(self, socket: Socket, pid: object, offset: object) -> list[Outgoing] | None:
        """Make `socket` the heir of a former one. None if there is none, or too much is gone."""
        former = self._by_pid.get(pid) if isinstance(pid, str) else None
        if former is None or not former.may_become(socket):
            self.outcomes[UNKNOWN] += 1
            return None
        # The client knows of the end before us: its old connection is still open here.
        former.connection.close(disconnects.TAKEN_OVER)
        self._hub.catch_up(former)
        missed = self._missed(former, offset)
        if missed is None:
            self.outcomes[FORGOTTEN] += 1
            self.forget(former)
            return None
        self.outcomes[RECOVERED] += 1
        self._await_no_longer(former)
        if self._hub.event_log is not None:
            self._hub.event_log.handed(former, socket)
        self._hub.hand_over(former, socket)
        socket.inherit(former)
        self._by_pid[socket.pid] = socket
        return missed

    def _missed(self, former: Socket, offset: object) -> list[Outgoing] | None:
        """What came after an offset of this process; any other says that nothing has come yet.

        The client may have taken something else for an offset: then nobody knows.
        """
        history = former.history
        assert history is not None
        if offset == history.follows:
            return history.after(None)
        known = _OFFSET.fullmatch(offset) if isinstance(offset, str) else None
        if known is None:
            return None
        epoch, digits = known.groups()
        number = int(digits) if epoch == self._hub.epoch else None
        if history.follows is not None and history.is_older(number):
            return None
        return history.after(number)

    def newest(self, socket: Socket) -> str | None:
        """The offset of the newest event of a recoverable socket; None if it has had none.

        No client has the one of an event that is not known.
        """
        assert socket.history is not None
        number = socket.history.newest
        return None if number is None else f"{self._hub.epoch}-{number}"

    def take_up(self, socket: Socket, newest: str | None) -> None:
        """A recoverable socket goes on here that another node had, and told up to `newest`."""
        assert socket.history is not None
        socket.history.follows = newest
        self._by_pid[socket.pid] = socket
        if self._hub.event_log is not None:
            self._hub.event_log.admitted(socket, taken=True, torn=newest is not None)

    def keep(self, socket: Socket, reason: DisconnectReason) -> bool:
        """A socket has ended. True if it stays in its rooms and is awaited."""
        if socket.history is None:
            return False
        if reason not in _TEMPORARY:
            self._by_pid.pop(socket.pid, None)
            self._write_end(socket, reason)
            return False
        self._make_place(socket)
        self._absent.add(socket)
        if socket.owner is not None:
            self._absent_by_owner.setdefault(socket.owner, {})[socket] = None
        return True

    def _write_end(self, socket: Socket, reason: DisconnectReason) -> None:
        """Say in the log that a socket is not awaited here."""
        event_log = self._hub.event_log
        if event_log is None:
            return
        if reason in _ELSEWHERE:
            event_log.let_go(socket.pid)
        else:
            event_log.forgotten(socket.pid)

    def _make_place(self, socket: Socket) -> None:
        """Forget the oldest: of the same owner, so that nobody takes all places, or of all."""
        own = self._absent_by_owner.get(socket.owner, {})
        if len(own) >= self._max_absent_per_owner:
            self.forget(next(iter(own)))
        if len(self._absent) >= self._max_absent:
            self.forget(self._absent.oldest())

    def forget(self, socket: Socket) -> None:
        """Await a socket no longer."""
        if self._hub.event_log is not None:
            self._hub.event_log.forgotten(socket.pid)
        self._await_no_longer(socket)
        del self._by_pid[socket.pid]
        socket.ended()

    def _await_no_longer(self, socket: Socket) -> None:
        self._absent.discard(socket)
        own = self._absent_by_owner.get(socket.owner)
        if own is not None:
            own.pop(socket, None)
            if not own:
                del self._absent_by_owner[socket.owner]

    def close(self) -> None:
        """Await nobody."""
        self._absent.close()
        self._absent_by_owner.clear()
        self._by_pid.clear()
