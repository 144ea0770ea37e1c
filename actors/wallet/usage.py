"""How much a wallet has staked, lost and brought in: today, this week and this month.

Days are UTC days, weeks begin on Monday, months are the calendar's. An entry counts in the newest
day that its wallet has seen, so a clock that goes back opens no period again.
"""

from datetime import date, timedelta
from typing import Final

import msgspec

from protocol.commands.limits import Period

DAY_MS: Final = 86_400_000
# Days are numbered from 1970-01-01, which was a Thursday: three days after a Monday.
_FIRST_ORDINAL: Final = date(1970, 1, 1).toordinal()
_FIRST_WEEKDAY: Final = 3
_WEEK: Final = 7

# Totals are stored up to here, either way; no limit is as high, so more changes nothing. It takes
# a thousand bets of all the money a wallet can hold to get there.
MOST_STORED: Final = 2**62


def first_day(period: Period, day: int) -> int:
    """The day on which the period of `day` began."""
    if period is Period.DAY:
        return day
    if period is Period.WEEK:
        return day - (day + _FIRST_WEEKDAY) % _WEEK
    return day - date.fromordinal(_FIRST_ORDINAL + day).day + 1


def next_first_day(period: Period, day: int) -> int:
    """The day on which the period after that of `day` begins."""
    if period is Period.DAY:
        return day + 1
    first = first_day(period, day)
    if period is Period.WEEK:
        return first + _WEEK
    # No month has fewer than 28 days, nor more than 31.
    in_next = date.fromordinal(_FIRST_ORDINAL + first) + timedelta(days=31)
    return in_next.replace(day=1).toordinal() - _FIRST_ORDINAL


def first_counted_day(today: int) -> int:
    """The first day of all periods that run."""
    return min(first_day(period, today) for period in Period)


class Totals(msgspec.Struct, array_like=True, gc=False):
    """Sums in minor units.

    `staked` counts a stake when it is bet or held, `lost` stakes less payouts once a bet is
    settled; it is negative for who wins.
    """

    staked: int = 0
    lost: int = 0
    deposited: int = 0

    def plus(self, other: "Totals") -> "Totals":
        """Both together."""
        return Totals(
            self.staked + other.staked, self.lost + other.lost, self.deposited + other.deposited
        )

    def stored(self) -> "Totals":
        """As a snapshot can hold them."""
        return Totals(_clamped(self.staked), _clamped(self.lost), _clamped(self.deposited))


def _clamped(total: int) -> int:
    return min(max(total, -MOST_STORED), MOST_STORED)


class Usage(msgspec.Struct, array_like=True, gc=False):
    """What counts in one currency: today, and on the days of this week and month before today.

    A bet is so counted once, for all three periods.
    """

    today: Totals = msgspec.field(default_factory=Totals)
    week: Totals = msgspec.field(default_factory=Totals)
    month: Totals = msgspec.field(default_factory=Totals)

    def begin(self, day: int, last: int) -> None:
        """A new day begins, `last` being the one that was counted."""
        over, self.today = self.today, Totals()
        same_week = first_day(Period.WEEK, day) <= last
        same_month = first_day(Period.MONTH, day) <= last
        self.week = self.week.plus(over) if same_week else Totals()
        self.month = self.month.plus(over) if same_month else Totals()

    def add(self, totals: Totals, day: int, today: int) -> None:
        """Count `totals` on `day`, today or earlier; not at all where no period has that day."""
        if day == today:
            self.today = self.today.plus(totals)
            return
        if day >= first_day(Period.WEEK, today):
            self.week = self.week.plus(totals)
        if day >= first_day(Period.MONTH, today):
            self.month = self.month.plus(totals)

    def within(self, period: Period, today: int, now: int) -> Totals:
        """The totals of the period that has the day `now`; `today` is the newest that counted."""
        if first_day(period, now) > today:
            return Totals()
        if period is Period.DAY:
            return self.today
        return self.today.plus(self.week if period is Period.WEEK else self.month)

    def stored(self) -> "Usage":
        """As a snapshot can hold it."""
        return Usage(self.today.stored(), self.week.stored(), self.month.stored())
