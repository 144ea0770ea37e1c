"""Connection state recovery: who may come back, as whom, and what they have missed.

A client that asks for it (`auth: {recover: true}`) is told a private id, `pid`, and an offset with
every event; it sends both when it connects again. Until then its socket stays in its rooms, and
its history goes on.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final

from protocol import disconnects
from protocol.disconnects import DisconnectReason
from protocol.outgoing import Outgoing
from server.sockets.deadlines import Deadlines
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

# An epoch, and as many digits as a counter of years reaches.
_OFFSET: Final = re.compile("([0-9a-f]{1,32})-([0-9]{1,18})")

# How an attempt ended, for the metrics.
RECOVERED: Final = "recovered"
UNKNOWN: Final = "unknown"
FORGOTTEN: Final = "forgotten"
OUTCOMES: Final = (RECOVERED, UNKNOWN, FORGOTTEN)


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
        "outcomes",
    )

    def __init__(self, options: SocketOptions, hub: Hub) -> None:
        self._hub = hub
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

    def begin(self) -> History:
        """The history of a socket that is connecting."""
        return History(self._hub.number, self._shelf)

    def heartbeat(self, socket: Socket) -> None:
        """Forget what a quiet socket need not be sent again."""
        if socket.history is not None:
            socket.history.forget_before(self._hub.now() - self._shelf.bounds.kept_s)

    def admit(self, socket: Socket, auth: Mapping[str, Any]) -> list[Outgoing]:
        """A recoverable socket is let in. What it has missed, if it was here before."""
        pid = auth.get("pid")
        if pid is not None:
            missed = self._claim(socket, pid, auth.get("offset"))
            if missed is not None:
                return missed
        socket.pid = secrets.token_urlsafe(_PID_BYTES)
        self._by_pid[socket.pid] = socket
        return []

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
        self._hub.hand_over(former, socket)
        socket.inherit(former)
        self._by_pid[socket.pid] = socket
        return missed

    def _missed(self, former: Socket, offset: object) -> list[Outgoing] | None:
        """What came after an offset of this process; any other says that nothing has come yet.

        The client may have taken something else for an offset: then nobody knows.
        """
        assert former.history is not None
        if offset is None:
            return former.history.after(None)
        known = _OFFSET.fullmatch(offset) if isinstance(offset, str) else None
        if known is None:
            return None
        epoch, digits = known.groups()
        return former.history.after(int(digits) if epoch == self._hub.epoch else None)

    def take_up(self, socket: Socket) -> None:
        """A recoverable socket goes on here that another node had, which knows what it sent."""
        assert socket.history is not None
        socket.history.tear()
        self._by_pid[socket.pid] = socket

    def keep(self, socket: Socket, reason: DisconnectReason) -> bool:
        """A socket has ended. True if it stays in its rooms and is awaited."""
        if socket.history is None:
            return False
        if reason not in _TEMPORARY:
            self._by_pid.pop(socket.pid, None)
            return False
        self._make_place(socket)
        self._absent.add(socket)
        if socket.owner is not None:
            self._absent_by_owner.setdefault(socket.owner, {})[socket] = None
        return True

    def _make_place(self, socket: Socket) -> None:
        """Forget the oldest: of the same owner, so that nobody takes all places, or of all."""
        own = self._absent_by_owner.get(socket.owner, {})
        if len(own) >= self._max_absent_per_owner:
            self.forget(next(iter(own)))
        if len(self._absent) >= self._max_absent:
            self.forget(self._absent.oldest())

    def forget(self, socket: Socket) -> None:
        """Await a socket no longer."""
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
