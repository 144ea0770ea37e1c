"""Limits of play in a world: what players set, and whether everybody was held to it."""

from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import Any, Final

from actors.wallet.facts import Entry, RestrictionSet
from protocol.commands.limits import (
    CoolOff,
    Exclude,
    GetLimits,
    LimitKind,
    Period,
    PlayLimit,
    PlayLimits,
    SetLimit,
)
from protocol.errors import Failure
from tests.support.limits_of_play import Guardian

REFUSALS: Final = {
    "stake_limit_reached",
    "loss_limit_reached",
    "deposit_limit_reached",
    "cooling_off",
    "self_excluded",
    "too_many_changes",
}
_BREAKS: Final = {"cooling_off": "cool_off", "self_excluded": "exclusion"}


def command(rng: Random) -> Any:
    """What a player does about limits; a break is rare, as it ends most of what can happen."""
    if rng.random() < 0.05:
        return rng.choice((CoolOff(rng.randint(1, 30)), Exclude(rng.choice((180, 200, None)))))
    if rng.random() < 0.2:
        return GetLimits()
    return SetLimit(
        rng.choice(list(LimitKind)),
        rng.choice(list(Period)),
        rng.choice(("USD", "USD", "BTC", "XXX")),
        rng.choice((0, 300, 1_000, 5_000, 20_000, None)),
    )


class Restraint:
    """A guardian for every wallet. `fail` is called with what should not have been committed."""

    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self._guardians: dict[int, Guardian] = defaultdict(Guardian)

    def commit(self, fact: Entry | RestrictionSet) -> None:
        """Enter a fact."""
        problem = self._guardians[fact.wallet_id].watch(fact)
        if problem is not None:
            self._fail(f"wallet {fact.wallet_id}: {problem}")

    def shown(self, wallet_id: int, asked: Any, limits: PlayLimits) -> str | None:
        """What is wrong with limits that were shown: they rest on what is committed."""
        guardian = self._guardians[wallet_id]
        made = {one.kind for one in guardian.breaks}
        if limits.excluded and "exclusion" not in made:
            return "no exclusion is committed"
        if limits.cooling_off_until_ms is not None and "cool_off" not in made:
            return "no break is committed"
        for limit in limits.limits:
            if not self._amounts(limit) <= self._committed(wallet_id, limit):
                return f"{limit} is not committed"
        if isinstance(asked, SetLimit) and asked.amount not in self._committed(wallet_id, asked):
            return "acknowledged, but not committed"
        if isinstance(asked, Exclude) and not limits.excluded:
            return "acknowledged, but not excluded"
        return None

    def refused(self, wallet_id: int, failure: Failure) -> str | None:
        """What is wrong with a refusal: it names a limit or a break that is committed."""
        code, details = failure.kind.code, failure.details
        guardian = self._guardians[wallet_id]
        if code in _BREAKS:
            ends = {one.until_ms for one in guardian.breaks if one.kind == _BREAKS[code]}
            return None if details["until_ms"] in ends else f"the breaks end at {ends}"
        if code == "too_many_changes":
            return None
        slot = (details["kind"], details["period"], details["currency"])
        amounts = {one.amount_minor for one in guardian.changes[slot]}
        return None if details["limit"] in amounts else f"the limits were {amounts}"

    def _committed(self, wallet_id: int, limit: PlayLimit | SetLimit) -> set[int | None]:
        """All that a limit ever was: none at first."""
        slot = (limit.kind.value, limit.period.value, limit.currency)
        changes = self._guardians[wallet_id].changes[slot]
        return {None, *(one.amount_minor for one in changes)}

    @staticmethod
    def _amounts(limit: PlayLimit) -> set[int | None]:
        return {limit.amount, limit.pending.amount if limit.pending else limit.amount}
