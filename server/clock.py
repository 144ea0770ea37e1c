"""The wall clock, and the clock that actors decide by."""

import time
from collections.abc import Callable


def now_ms() -> int:
    """The wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Clock:
    """A clock that never goes back, over one that is set now and then.

    A round's multiplier is counted from its start: what players have seen once stays true. A clock
    that was set back stands still until the old time has come again.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._newest_ms = 0

    def __call__(self) -> int:
        """Milliseconds since 1970."""
        now_ms = self._now_ms()
        if now_ms > self._newest_ms:  # noqa: PLR1730 - half the time of `max`, and every bet asks
            self._newest_ms = now_ms
        return self._newest_ms
