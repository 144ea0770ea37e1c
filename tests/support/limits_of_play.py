"""What a player's limits allow, by arithmetic that shares nothing with the rules."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from actors.wallet.facts import Entry, RestrictionSet

DAY_MS: Final = 86_400_000
PERIODS: Final[dict[str, Callable[[date], Any]]] = {
    "day": lambda day: day,
    "week": lambda day: day.isocalendar()[:2],
    "month": lambda day: (day.year, day.month),
}
LIMITS: Final = {"stake", "loss", "deposit"}


class Counted(NamedTuple):
    """What one entry adds, and on which day."""

    day: date
    currency: str
    stake: int = 0
    loss: int = 0
    deposit: int = 0


def date_of(at_ms: int) -> date:
    """The UTC day of a time."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).date()


class Guardian:
    """Watches the committed facts of one wallet, and says what should not have been."""

    def __init__(self) -> None:
        self.changes: dict[tuple[Any, ...], list[RestrictionSet]] = defaultdict(list)
        self.breaks: list[RestrictionSet] = []
        self.wagers = 0
        self._count = 0
        self._today = date(1970, 1, 1)
        self._counted: list[Counted] = []
        self._held: dict[int, tuple[date, str, int]] = {}

    def watch(self, fact: Entry | RestrictionSet) -> str | None:
        """Take the wallet's next fact; what is wrong with it, if anything is."""
        if isinstance(fact, RestrictionSet):
            return self._change(fact)
        problem = None
        play = fact.bet or fact.step
        if fact.kind in {"bet", "hold"}:
            assert play is not None
            assert play.stake_minor is not None
            self.wagers += 1
            problem = self.refusal(fact.currency, play.stake_minor, fact.at_ms)
        elif fact.kind == "deposit":
            problem = self._break(fact.at_ms) or self._beyond(
                "deposit", fact.currency, fact.available_delta, fact.at_ms
            )
        self._count_in(fact)
        return problem and f"{problem}: {fact}"

    def refusal(self, currency: str, stake: int, at_ms: int) -> str | None:
        """Why a wager should be refused at a time."""
        return (
            self._break(at_ms)
            or self._beyond("stake", currency, stake, at_ms)
            or self._beyond("loss", currency, stake, at_ms)
        )

    def used(self, kind: str, period: str, currency: str, at_ms: int) -> int:
        """How much of a limit is used at a time."""
        part = PERIODS[period]
        now = part(max(self._today, date_of(at_ms)))
        rows = [row for row in self._counted if row.currency == currency and part(row.day) == now]
        used: int = sum(getattr(row, kind) for row in rows)
        if kind == "loss":
            used += sum(stake for _day, code, stake in self._held.values() if code == currency)
        return used

    def in_force(self, kind: str, period: str, currency: str, at_ms: int) -> int | None:
        """The limit at a time: the newest change that had come into force by then.

        One that waited when the next was made never did, and one that held at once does so even
        where the clock has gone back since.
        """
        until_ms = at_ms
        for change in reversed(self.changes[kind, period, currency]):
            if change.effective_at_ms <= max(until_ms, change.at_ms):
                return change.amount_minor
            until_ms = change.at_ms
        return None

    def _beyond(self, kind: str, currency: str, amount: int, at_ms: int) -> str | None:
        for period in PERIODS:
            limit = self.in_force(kind, period, currency, at_ms)
            used = self.used(kind, period, currency, at_ms)
            if limit is not None and used + amount > limit:
                return f"{used} and {amount} are beyond the {kind} limit of a {period}, {limit}"
        return None

    def _break(self, at_ms: int) -> str | None:
        for made in self.breaks:
            if made.until_ms is None or at_ms < made.until_ms:
                return f"play goes on in a break, {made}"
        return None

    def _change(self, made: RestrictionSet) -> str | None:
        self._count += 1
        if made.number != self._count:
            return f"change {self._count} is {made}"
        if made.kind not in LIMITS:
            same = [one for one in self.breaks if one.kind == made.kind]
            self.breaks.append(made)
            ends = [one.until_ms for one in same]
            shorter = None in ends or (
                made.until_ms is not None and any(made.until_ms <= (end or 0) for end in ends)
            )
            return f"a break was shortened by {made}" if shorter else None
        key = (made.kind, made.period, made.currency)
        before = self.in_force(str(made.kind), str(made.period), str(made.currency), made.at_ms)
        amount = made.amount_minor
        higher = before is not None and (amount is None or amount > before)
        self.changes[key].append(made)
        if made.effective_at_ms != made.at_ms + higher * DAY_MS:
            return f"after {before}, this comes into force at another time: {made}"
        return None

    def _count_in(self, row: Entry) -> None:
        self._today = today = max(self._today, date_of(row.at_ms))
        currency = row.currency
        if row.bet is not None:
            stake, payout = row.bet.stake_minor, row.bet.payout_minor
            self._counted.append(Counted(today, currency, stake, stake - payout))
        elif row.kind == "hold":
            assert row.step is not None
            stake = row.step.stake_minor or 0
            self._held[row.seq] = (today, currency, stake)
            self._counted.append(Counted(today, currency, stake))
        elif row.kind in {"settle", "release"}:
            assert row.step is not None
            assert row.step.hold is not None
            day, _currency, stake = self._held.pop(row.step.hold)
            if row.kind == "release":
                self._counted.append(Counted(day, currency, -stake))
            else:
                lost = stake - row.available_delta
                self._counted.append(Counted(today, currency, loss=lost))
        elif row.kind == "deposit":
            self._counted.append(Counted(today, currency, deposit=row.available_delta))
