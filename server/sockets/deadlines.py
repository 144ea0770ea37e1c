"""Many deadlines of one length, on one timer."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key")

# The timer is not set closer than this, so that thousands of deadlines share a few wake-ups.
GRANULARITY_S: Final = 0.002
# Work for due deadlines pauses after this long, so that it never holds up the loop.
SLICE_S: Final = 0.002


class Deadlines(Generic[Key]):
    """Calls `on_due(key, due_at)` once `delay_s` after the key was added, unless it was discarded.

    All deadlines have the same length, so the order of adding is that of falling due: an ordered
    dict is the queue, and one timer for its head serves them all.
    """

    __slots__ = ("_delay_s", "_due_at", "_loop", "_on_due", "_timer")

    def __init__(self, delay_s: float, on_due: Callable[[Key, float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay_s = delay_s
        self._on_due = on_due
        self._due_at: OrderedDict[Key, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due_at)

    def __contains__(self, key: Key) -> bool:
        return key in self._due_at

    def oldest(self) -> Key:
        """The key that falls due first. There must be one."""
        return next(iter(self._due_at))

    def running(self) -> list[Key]:
        """The keys whose time is running."""
        return list(self._due_at)

    def add(self, key: Key, since: float | None = None) -> None:
        """Start the key's time, anew if it was running; `since` is a loop time a little ago."""
        due_at = (self._loop.time() if since is None else since) + self._delay_s
        self._due_at.pop(key, None)
        self._due_at[key] = due_at
        if self._timer is None:
            self._timer = self._loop.call_at(due_at, self._run)

    def discard(self, key: Key) -> None:
        """Stop the key's time. Harmless if it is not running."""
        self._due_at.pop(key, None)

    def run_due(self) -> None:
        """Call `on_due` for what is due now, for at most a slice of time."""
        now = self._loop.time()
        end = now + SLICE_S
        while self._due_at:
            key, due_at = next(iter(self._due_at.items()))
            if due_at > now:
                return
            del self._due_at[key]
            self._on_due(key, due_at)
            if self._loop.time() > end:
                return

    def close(self) -> None:
        """Forget every deadline."""
        self._due_at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        try:
            self.run_due()
        finally:
            if self._due_at and self._timer is None:
                head = next(iter(self._due_at.values()))
                self._timer = self._loop.call_at(
                    max(head, self._loop.time() + GRANULARITY_S), self._run
                )
