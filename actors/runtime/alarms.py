"""Times at which actors want to be called, kept by one timer."""

import asyncio
import heapq
from collections.abc import Callable

import msgspec

from actors.runtime.actor import Actor


class Alarm(msgspec.Struct, frozen=True):
    """The command that a rung alarm sends: the time the actor asked for has come."""


class Alarms:
    """At most one alarm an actor, so the number of actors bounds them.

    A changed or cleared alarm leaves its old heap entry behind, which is skipped when it is due;
    the heap is made anew when most of it is such leftovers.
    """

    def __init__(self, ring: Callable[[Actor], None], clock: Callable[[], int]) -> None:
        self._ring = ring
        self._clock = clock
        self._heap: list[tuple[int, int, Actor]] = []
        self._set: set[Actor] = set()
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, actor: Actor, at_ms: int) -> None:
        """Call `actor` at `at_ms`, instead of any earlier wish; 0 clears it."""
        if actor.alarm_ms == at_ms:
            # A table wants the same again with each bet: the heap has it already.
            return
        actor.alarm_ms = at_ms
        if at_ms == 0:
            self._set.discard(actor)
            return
        self._set.add(actor)
        self._count += 1
        if len(self._heap) > 64 + 2 * len(self._set):
            wishes = enumerate(self._set, self._count)
            self._heap = [(wish.alarm_ms, number, wish) for number, wish in wishes]
            heapq.heapify(self._heap)
            self._count += len(self._set)
        else:
            heapq.heappush(self._heap, (at_ms, self._count, actor))
        self._schedule()

    def clear(self, actor: Actor) -> None:
        """The actor wants nothing any more."""
        if actor.alarm_ms:
            self.set(actor, 0)

    def close(self) -> None:
        """Ring no more."""
        self._heap.clear()
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            delay_s = max(0, self._heap[0][0] - self._clock()) / 1_000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _due(self) -> None:
        now_ms = self._clock()
        while self._heap and self._heap[0][0] <= now_ms:
            at_ms, _count, actor = heapq.heappop(self._heap)
            if actor.alarm_ms == at_ms:
                self.set(actor, 0)
                self._ring(actor)
        self._schedule()
