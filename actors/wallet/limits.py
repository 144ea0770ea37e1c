"""What a player has set against too much play, as the facts make it."""

from typing import Final

import msgspec

from actors.wallet.facts import COOL_OFF, EXCLUSION, RestrictionSet
from actors.wallet.usage import DAY_MS

FOR_GOOD: Final = None
"""The end of an exclusion that has none."""


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """A limit in minor units; None is no limit.

    `next_minor` comes into force at `next_at_ms` by time alone, if that is not None.
    """

    amount_minor: int | None
    next_minor: int | None = None
    next_at_ms: int | None = None

    def at(self, now_ms: int) -> "Limit":
        """The limit as it is at a time: what was to come may have come."""
        if self.next_at_ms is None or now_ms < self.next_at_ms:
            return self
        return Limit(self.next_minor)


UNLIMITED: Final = Limit(None)


class Restrictions(msgspec.Struct, frozen=True):
    """Limits by kind, period and currency; until when play is refused; how often that changed.

    `number` counts all changes, `changes` those of the day `day`.
    """

    number: int = 0
    limits: dict[tuple[str, str, str], Limit] = {}
    cool_off_until_ms: int = 0
    excluded_until_ms: int | None = 0
    day: int = 0
    changes: int = 0

    def limit(self, kind: str, period: str, currency: str, now_ms: int) -> Limit:
        """One of the limits as it is at a time."""
        return self.limits.get((kind, period, currency), UNLIMITED).at(now_ms)

    def cools_off(self, now_ms: int) -> bool:
        """Whether a break goes on."""
        return now_ms < self.cool_off_until_ms

    def excludes(self, now_ms: int) -> bool:
        """Whether an exclusion goes on."""
        return self.excluded_until_ms is FOR_GOOD or now_ms < self.excluded_until_ms

    def changes_on(self, day: int) -> int:
        """How many changes were made on a day, today or later."""
        return self.changes if day <= self.day else 0


UNRESTRICTED: Final = Restrictions()


def restricted(before: Restrictions, fact: RestrictionSet) -> Restrictions:
    """The restrictions after a fact; the same where it is among them already."""
    if fact.number <= before.number:
        return before
    assert fact.number == before.number + 1, "a wallet's restrictions are gapless"
    day = max(fact.at_ms // DAY_MS, before.day)
    after = msgspec.structs.replace(
        before, number=fact.number, day=day, changes=before.changes_on(day) + 1
    )
    if fact.kind == COOL_OFF:
        assert fact.until_ms is not None, "a cool-off has an end"
        return msgspec.structs.replace(after, cool_off_until_ms=fact.until_ms)
    if fact.kind == EXCLUSION:
        return msgspec.structs.replace(after, excluded_until_ms=fact.until_ms)
    assert fact.period is not None, "a limit has a period"
    assert fact.currency is not None, "a limit has a currency"
    key = (fact.kind, fact.period, fact.currency)
    return msgspec.structs.replace(
        after, limits={**before.limits, key: _limit(before.limits.get(key, UNLIMITED), fact)}
    )


def _limit(before: Limit, fact: RestrictionSet) -> Limit:
    if fact.effective_at_ms <= fact.at_ms:
        return Limit(fact.amount_minor)
    in_force = before.at(fact.at_ms).amount_minor
    return Limit(in_force, fact.amount_minor, fact.effective_at_ms)
