"""Handshakes in the order they came, at a bounded rate: a crowd that comes back waits its turn.

A handshake and the checks behind it cost half a millisecond. Ten thousand at once would keep the
loop from the bets of everybody who is connected, so they pass a few at a time, and nobody has to
try again unless the wait would be longer than clients have patience for.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Final, Protocol

from protocol.errors import OVERLOADED, Failure
from server.sockets.deadlines import GRANULARITY_S, SLICE_S

# The official JavaScript client gives up after 20 s. Whoever would wait longer than this is told
# `overloaded` instead, and when to come back.
MAX_WAIT_S: Final = 15.0
# What the rate saves up while nobody comes. More would pass at once after each stall of the loop,
# and lengthen it.
_BURST_S: Final = 0.01

_LOG = logging.getLogger(__name__)


class Waiter(Protocol):
    """A handshake that waits."""

    def let_in(self) -> None:
        """Its turn has come, or everybody's: then the drain refuses it."""


class Turnstile:
    """Lets `per_second` handshakes in. Those that wait are bounded by what pass in `MAX_WAIT_S`."""

    __slots__ = ("_interval_s", "_limit", "_loop", "_next_at", "_per_second", "_timer", "_waiting")

    def __init__(self, per_second: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._per_second = per_second
        self._interval_s = 1 / per_second
        self._limit = int(per_second * MAX_WAIT_S)
        # When the next one may pass, if the rate is kept exactly.
        self._next_at = 0.0
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def check(self) -> None:
        """Raise Failure `overloaded` if one more would have to wait too long."""
        if len(self._waiting) >= self._limit:
            wait_ms = len(self._waiting) * 1_000 // self._per_second
            raise Failure(OVERLOADED, limit_per_second=self._per_second, retry_after_ms=wait_ms)

    def queue(self, waiter: Waiter) -> None:
        """Let `waiter` in: now if nobody is before it, else in its turn."""
        if not self._waiting and self._take(self._loop.time()):
            waiter.let_in()
        else:
            self._waiting[waiter] = None
            self._set_timer()

    def discard(self, waiter: Waiter) -> None:
        """It waits no more. Harmless if it did not."""
        self._waiting.pop(waiter, None)

    async def turn(self) -> None:
        """Wait for a turn. Raises Failure as `check`."""
        self.check()
        ticket = _Ticket(self._loop.create_future())
        self.queue(ticket)
        try:
            await ticket.turn
        finally:
            self.discard(ticket)

    def hurry(self) -> None:
        """Let in everybody who waits, as fast as the loop allows: a drain refuses them."""
        self._interval_s = 0.0
        self._next_at = 0.0
        self._stop_timer()
        self._set_timer()

    def close(self) -> None:
        """Let in everybody at once; the end refuses them."""
        self._stop_timer()
        while self._waiting:
            self._let_next_in()

    def _take(self, now: float) -> bool:
        """Whether the rate has room for one more now; it takes it then."""
        at = max(self._next_at, now - _BURST_S)
        if at > now:
            return False
        self._next_at = at + self._interval_s
        return True

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting:
            earliest = self._loop.time() + GRANULARITY_S
            self._timer = self._loop.call_at(max(self._next_at, earliest), self._run)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        end = self._loop.time() + SLICE_S
        while self._waiting and self._loop.time() < end and self._take(self._loop.time()):
            self._let_next_in()
        self._set_timer()

    def _let_next_in(self) -> None:
        waiter, _ = self._waiting.popitem(last=False)
        try:
            waiter.let_in()
        except Exception:  # noqa: BLE001 - those behind it still have to pass
            _LOG.exception("a handshake could not be let in")


class _Ticket:
    """The waiter behind a coroutine."""

    __slots__ = ("turn",)

    def __init__(self, turn: asyncio.Future[None]) -> None:
        self.turn = turn

    def let_in(self) -> None:
        if not self.turn.done():
            self.turn.set_result(None)
