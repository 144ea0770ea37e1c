"""Who has not been seen, by whom and for how long: what excuses the end of a connection."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from actors.runtime.membership import SIGHT_S, SILENT_S, Member, shards_of_bits

# Looks that are older excuse nothing.
LAST_S: Final = 10.0
# From a decision to what is done: a few ways to the database.
THOUGHT_S: Final = 1.0
# Clocks count in binary.
ROUNDED_S: Final = 1e-6


class _Look(NamedTuple):
    """What a member saw: when, and the shards that each one claimed."""

    at_s: float
    claims: dict[str, set[int]]


class Silences:
    """What members have seen of each other, as long as it matters."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._looks: dict[str, deque[_Look]] = defaultdict(deque)

    def saw(self, viewer: str, members: Sequence[Member]) -> None:
        """A member has looked."""
        now_s, looks = self._clock_s(), self._looks[viewer]
        looks.append(_Look(now_s, {one.id: shards_of_bits(one.shards) for one in members}))
        while looks[0].at_s < now_s - LAST_S:
            looks.popleft()

    def excuse(self, viewer: str, holder: str, shard: int) -> bool:
        """Whether a viewer has looked all the time, and not seen a shard claimed by its holder.

        What it has seen just now may have come after its decision.
        """
        now_s = self._clock_s()
        moments = [now_s, *(look.at_s for look in self._looks[viewer])]
        return any(
            self._silent_s(viewer, holder, shard, moment_s) >= SILENT_S - ROUNDED_S
            for moment_s in moments
            if moment_s >= now_s - THOUGHT_S
        )

    def _silent_s(self, viewer: str, holder: str, shard: int, moment_s: float) -> float:
        """How long it had been looking in vain just before a moment."""
        since_s = moment_s
        for look in reversed(self._looks[viewer]):
            if look.at_s >= moment_s:
                continue
            if since_s - look.at_s > SIGHT_S + ROUNDED_S:
                break
            since_s = look.at_s
            if shard in look.claims.get(holder, ()):
                break
        return moment_s - since_s
