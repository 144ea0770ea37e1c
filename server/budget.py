"""How much a caller may ask of the server: token buckets per user and per address."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from protocol.errors import RATE_LIMITED, Failure

# Callers that are remembered. The one unheard for longest is forgotten, and by then its buckets
# are full again, unless ten times as many addresses take part in an attack as a node has sockets.
MAX_CALLERS: Final = 200_000


Clock = Callable[[], float]
"""A monotonic clock, in seconds."""


class Budget:
    """A token bucket: `per_second` flows in, and up to `burst` may be taken at once."""

    __slots__ = ("_at_s", "_left", "burst", "per_second")

    def __init__(self, per_second: float, burst: int, now_s: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self._left = float(burst)
        self._at_s = now_s

    def take(self, cost: int, now_s: float) -> None:
        """Take `cost`, or raise Failure `rate_limited` with the limit and when to come back."""
        left = min(self.burst, self._left + (now_s - self._at_s) * self.per_second)
        self._at_s = now_s
        if left < cost:
            self._left = left
            wait_ms = int((cost - left) / self.per_second * 1_000) + 1
            raise Failure(
                RATE_LIMITED,
                limit_per_second=self.per_second,
                burst=self.burst,
                retry_after_ms=wait_ms,
            )
        self._left = left - cost

    def put_back(self, cost: int) -> None:
        """Give back what was taken a moment ago."""
        self._left = min(self.burst, self._left + cost)


class Budgets:
    """The buckets of all callers of one kind, by user or by address."""

    def __init__(self, per_second: float, burst: int, clock_s: Clock) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock_s = clock_s
        self._budgets: OrderedDict[Hashable, Budget] = OrderedDict()

    def of(self, caller: Hashable) -> Budget:
        """The caller's bucket; all sockets and requests of one caller share it."""
        budget = self._budgets.get(caller)
        if budget is None:
            if len(self._budgets) >= MAX_CALLERS:
                self._budgets.popitem(last=False)
            budget = Budget(self._per_second, self._burst, self._clock_s())
            self._budgets[caller] = budget
        else:
            self._budgets.move_to_end(caller)
        return budget
