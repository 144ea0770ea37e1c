"""Connection state recovery: who may come back, as whom, and what they have missed.

A client that asks for it (`auth: {recover: true}`) is told a private id, `pid`, and an offset with
every event; it sends both when it connects again. Until then its socket stays in its rooms, and
its history goes on.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from protocol import disconnects
from protocol.disconnects import DisconnectReason
from protocol.outgoing import Outgoing
from server.sockets.deadlines import Deadlines
from server.sockets.history import History

if TYPE_CHECKING:
    from server.hub import Hub
    from server.sockets.options import SocketOptions
    from server.sockets.socket import Socket

# Who knows it becomes that socket, once authenticated as the same owner: 120 bits.
_PID_BYTES: Final = 15

# Ends after which a client may come back as if nothing had been. Those of a namespace, of a session
# and of a client that broke a protocol are meant; a process that ends takes its histories along.
_TEMPORARY: Final = frozenset(
    {
        disconnects.TRANSPORT_CLOSED,
        disconnects.CLIENT_CLOSED,
        disconnects.PING_TIMEOUT,
        disconnects.SLOW_CONSUMER,
        disconnects.TAKEN_OVER,
    }
)

# As many as a counter of years reaches.
_DIGITS: Final = re.compile("[0-9]{1,18}")

# How an attempt ended, for the metrics.
RECOVERED: Final = "recovered"
UNKNOWN: Final = "unknown"
FORGOTTEN: Final = "forgotten"
OUTCOMES: Final = (RECOVERED, UNKNOWN, FORGOTTEN)


class Recovery:
    """All sockets of this process that may be recovered: connected ones and absent ones."""

    __slots__ = ("_absent", "_by_pid", "_hub", "_kept_s", "_max_absent", "outcomes")

    def __init__(self, options: SocketOptions, hub: Hub) -> None:
        self._hub = hub
        # The server notices an end as late as a heartbeat does; what it sent meanwhile counts too.
        detection_ms = options.ping_interval_ms + options.ping_timeout_ms
        self._kept_s = (options.recovery_ms + detection_ms) / 1000
        # As many as there may be connections, all of which may be lost at once.
        self._max_absent = options.max_connections
        self._by_pid: dict[str, Socket] = {}
        self._absent: Deadlines[Socket] = Deadlines(
            options.recovery_ms / 1000, lambda gone, _: self.forget(gone)
        )
        self.outcomes: Counter[str] = Counter()

    @property
    def absent(self) -> int:
        """How many sockets are awaited."""
        return len(self._absent)

    def begin(self) -> History:
        """The history of a socket that is connecting."""
        return History(self._hub.number, self._kept_s)

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
        assert former.history is not None
        missed = former.history.after(self._number(offset))
        if missed is None:
            self.outcomes[FORGOTTEN] += 1
            self.forget(former)
            return None
        self.outcomes[RECOVERED] += 1
        self._absent.discard(former)
        self._hub.hand_over(former, socket)
        socket.inherit(former)
        self._by_pid[socket.pid] = socket
        return missed

    def _number(self, offset: object) -> int | None:
        """The number in an offset of this process; None for any other, and for none."""
        if not isinstance(offset, str):
            return None
        epoch, _, digits = offset.partition("-")
        return int(digits) if epoch == self._hub.epoch and _DIGITS.fullmatch(digits) else None

    def keep(self, socket: Socket, reason: DisconnectReason) -> bool:
        """A socket has ended. True if it stays in its rooms and is awaited."""
        if socket.history is None:
            return False
        if reason not in _TEMPORARY:
            self._by_pid.pop(socket.pid, None)
            return False
        if len(self._absent) >= self._max_absent:
            self.forget(self._absent.oldest())
        self._absent.add(socket)
        return True

    def forget(self, socket: Socket) -> None:
        """Await a socket no longer."""
        self._absent.discard(socket)
        del self._by_pid[socket.pid]
        socket.ended()

    def close(self) -> None:
        """Await nobody."""
        self._absent.close()
        self._by_pid.clear()
