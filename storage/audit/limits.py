"""No wager and no deposit was taken that its player had ruled out, and nothing was loosened early.

Entries and restrictions of the wallets that have any are read side by side, each in its order, so
that memory holds one wallet at a time: its limits, its open stakes, and the totals of the periods
that run.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg

from storage.audit.report import Report
from storage.audit.stream import stream

_ROWS: Final = """
    select wallet_id, seq, currency, kind, available_delta, stake, payout, hold, at_ms
    from wallet_entries where wallet_id in (select wallet_id from wallet_restrictions)
    order by wallet_id, seq
"""
_RESTRICTIONS: Final = "select * from wallet_restrictions order by wallet_id, number"

_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
# The calendar ends with the year 9999; a time beyond it is damage, and not the calendar's fault.
_LAST_DAY: Final = date.max.toordinal() - _EPOCH

_PERIODS: Final[dict[str, Callable[[date], Any]]] = {
    "day": lambda day: day,
    "week": lambda day: day.isocalendar()[:2],
    "month": lambda day: (day.year, day.month),
}
_BREAKS: Final = {"cool_off": "a break", "exclusion": "an exclusion"}


class _Limit(NamedTuple):
    """What is in force, and what comes when; None is no limit."""

    amount: int | None = None
    pending: int | None = None
    at_ms: int | None = None

    def at(self, now_ms: int) -> "_Limit":
        come = self.at_ms is not None and self.at_ms <= now_ms
        return _Limit(self.pending) if come else self


class _Stake(NamedTuple):
    """A stake that is held, and the day it counts on."""

    day: date
    currency: str
    amount: int


async def check_limits(connection: asyncpg.Connection, report: Report) -> None:
    """Report what limits, breaks and exclusions should have refused, and those made wrong."""
    rows = stream(connection, _ROWS)
    row = await anext(rows, None)
    player = _Player(0, report)
    async for restriction in stream(connection, _RESTRICTIONS):
        place = (restriction["wallet_id"], restriction["after_seq"])
        while row is not None and (row["wallet_id"], row["seq"]) <= place:
            player = player.of(row["wallet_id"])
            player.enter(row)
            row = await anext(rows, None)
        player = player.of(restriction["wallet_id"])
        player.restrict(restriction)
        if report.full:
            return
    while row is not None and not report.full:
        player = player.of(row["wallet_id"])
        player.enter(row)
        row = await anext(rows, None)


class _Player:
    """One wallet, as its rows are read."""

    def __init__(self, wallet_id: int, report: Report) -> None:
        self._wallet_id = wallet_id
        self._report = report
        self._number = 0
        self._seq = 0
        self._limits: dict[tuple[str, str, str], _Limit] = defaultdict(_Limit)
        self._ends: dict[str, int | None] = dict.fromkeys(_BREAKS, 0)
        # The newest day of any entry: a clock that goes back opens no period again.
        self._today = date(1970, 1, 1)
        self._totals: dict[tuple[str, str, str], tuple[Any, int]] = {}
        self._stakes: dict[int, _Stake] = {}

    def of(self, wallet_id: int) -> "_Player":
        """This one if it is that wallet's, else a new one."""
        return self if wallet_id == self._wallet_id else _Player(wallet_id, self._report)

    def restrict(self, row: Any) -> None:
        """Take the wallet's next restriction."""
        if row["number"] != self._number + 1 or row["after_seq"] != self._seq:
            text = f"restriction {row['number']} after row {row['after_seq']} follows"
            text = f"{text} restriction {self._number} and row {self._seq}"
            self._found("restriction_order", text, row["after_seq"])
        self._number = row["number"]
        if row["kind"] in _BREAKS:
            self._pause(row)
        else:
            self._limit(row)

    def _pause(self, row: Any) -> None:
        kind, until_ms = row["kind"], row["until_ms"]
        before_ms = self._ends[kind]
        if before_ms is None or (until_ms is not None and until_ms <= before_ms):
            text = f"{_BREAKS[kind]} until {before_ms or 'for good'} became one until {until_ms}"
            self._found("restriction_loosened", text, row["after_seq"])
            return
        self._ends[kind] = until_ms

    def _limit(self, row: Any) -> None:
        key = (row["kind"], row["period"], row["currency"])
        at_ms, amount = row["at_ms"], row["amount"]
        before = self._limits[key].at(at_ms).amount
        higher = before is not None and (amount is None or amount > before)
        due_ms = at_ms + _DAY_MS if higher else at_ms
        if row["effective_at_ms"] != due_ms:
            text = f"the {' '.join(key)} limit of {amount} after {before}"
            text = f"{text} is in force from {row['effective_at_ms']} instead of {due_ms}"
            self._found("restriction_loosened", text, row["after_seq"])
        self._limits[key] = _Limit(before, amount, due_ms) if higher else _Limit(amount)

    def enter(self, row: Any) -> None:
        """Take the wallet's next entry."""
        self._seq = row["seq"]
        self._today = max(self._today, _date(row["at_ms"]))
        kind = row["kind"]
        if kind in {"bet", "hold"}:
            self._check(row, ("stake", "loss"), row["stake"])
        elif kind == "deposit":
            self._check(row, ("deposit",), row["available_delta"])
        for counted, amount, day in self._counts(row):
            self._add(counted, row["currency"], amount, day)

    def _check(self, row: Any, kinds: tuple[str, ...], amount: int) -> None:
        at_ms, currency = row["at_ms"], row["currency"]
        for kind, until_ms in self._ends.items():
            if until_ms is None or at_ms < until_ms:
                text = f"a {row['kind']} at {at_ms} is in {_BREAKS[kind]} until {until_ms}"
                self._found("in_break", text, row["seq"])
        for key, limit in self._limits.items():
            most = limit.at(at_ms).amount
            if key[0] not in kinds or key[2] != currency or most is None:
                continue
            used = self._used(key)
            if used + amount > most:
                text = f"{used} and {amount} are more than the {' '.join(key)} limit of {most}"
                self._found("beyond_limit", text, row["seq"])

    def _used(self, key: tuple[str, str, str]) -> int:
        kind, period, currency = key
        part, total = self._totals.get(key, (None, 0))
        used = total if part == _PERIODS[period](self._today) else 0
        if kind == "loss":
            used += sum(s.amount for s in self._stakes.values() if s.currency == currency)
        return used

    def _counts(self, row: Any) -> Iterator[tuple[str, int, date]]:
        """What an entry adds to which totals, on which day."""
        kind, stake, today = row["kind"], row["stake"], self._today
        if kind == "deposit":
            yield "deposit", row["available_delta"], today
        elif kind == "bet":
            yield "stake", stake, today
            yield "loss", stake - row["payout"], today
        elif kind == "hold":
            self._stakes[row["seq"]] = _Stake(today, row["currency"], stake)
            yield "stake", stake, today
        elif kind == "settle":
            self._stakes.pop(row["hold"], None)
            yield "loss", stake - row["payout"], today
        elif kind == "release":
            held = self._stakes.pop(row["hold"], None)
            if held is not None:
                yield "stake", -stake, held.day

    def _add(self, kind: str, currency: str, amount: int, day: date) -> None:
        for period, part in _PERIODS.items():
            now = part(self._today)
            if part(day) == now:
                before, total = self._totals.get((kind, period, currency), (now, 0))
                kept = total if before == now else 0
                self._totals[kind, period, currency] = (now, kept + amount)

    def _found(self, check: str, text: str, seq: int) -> None:
        self._report.found(check, text, self._wallet_id, seq)


def _date(at_ms: int) -> date:
    return date.fromordinal(_EPOCH + min(max(at_ms // _DAY_MS, 0), _LAST_DAY))
