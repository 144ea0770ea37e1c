"""What counts today, this week and this month, and where these begin."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from actors.wallet.usage import (
    DAY_MS,
    MOST_STORED,
    Totals,
    Usage,
    first_counted_day,
    first_day,
    next_first_day,
)
from protocol.commands.limits import Period

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day(text: str) -> int:
    """The number of a date."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH).days


def test_a_day_is_a_utc_day() -> None:
    assert timedelta(milliseconds=DAY_MS) == timedelta(days=1)


@pytest.mark.parametrize(
    ("period", "on", "first", "following"),
    [
        (Period.DAY, "2027-01-15", "2027-01-15", "2027-01-16"),
        (Period.DAY, "2027-12-31", "2027-12-31", "2028-01-01"),
        (Period.WEEK, "1970-01-01", "1969-12-29", "1970-01-05"),
        (Period.WEEK, "2027-01-10", "2027-01-04", "2027-01-11"),  # a Sunday
        (Period.WEEK, "2027-01-11", "2027-01-11", "2027-01-18"),  # a Monday
        (Period.WEEK, "2027-01-02", "2026-12-28", "2027-01-04"),  # over a new year
        (Period.MONTH, "1970-01-01", "1970-01-01", "1970-02-01"),
        (Period.MONTH, "2027-01-31", "2027-01-01", "2027-02-01"),
        (Period.MONTH, "2027-02-01", "2027-02-01", "2027-03-01"),
        (Period.MONTH, "2028-02-29", "2028-02-01", "2028-03-01"),  # a leap year
        (Period.MONTH, "2027-04-30", "2027-04-01", "2027-05-01"),
        (Period.MONTH, "2027-12-01", "2027-12-01", "2028-01-01"),
    ],
)
def test_where_a_period_begins_and_the_next(
    period: Period, on: str, first: str, following: str
) -> None:
    assert (first_day(period, day(on)), next_first_day(period, day(on))) == (
        day(first),
        day(following),
    )


def test_every_day_is_in_one_period_of_each_kind() -> None:
    for period in Period:
        for one in range(day("2023-12-01"), day("2028-03-31")):
            first, following = first_day(period, one), next_first_day(period, one)
            assert first <= one < following
            assert first_day(period, following) == following
            assert first_day(period, following - 1) == first


def test_weeks_begin_on_monday() -> None:
    for one in range(day("2027-01-01"), day("2027-03-01")):
        assert (EPOCH + timedelta(days=first_day(Period.WEEK, one))).weekday() == 0


@pytest.mark.parametrize(
    ("today", "first"),
    [("2027-01-15", "2027-01-01"), ("2027-01-02", "2026-12-28"), ("2027-02-01", "2027-02-01")],
)
def test_the_first_day_that_counts(today: str, first: str) -> None:
    assert first_counted_day(day(today)) == day(first)


def used(usage: Usage, today: str, now: str | None = None) -> list[int]:
    """What is staked in the day, the week and the month of `now`."""
    return [usage.within(period, day(today), day(now or today)).staked for period in Period]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("2027-01-13", "2027-01-14", [0, 5, 5]),
        ("2027-01-10", "2027-01-11", [0, 0, 5]),  # a new week
        ("2027-03-31", "2027-04-01", [0, 5, 0]),  # a new month, on a Thursday
        ("2027-01-31", "2027-02-01", [0, 0, 0]),  # both
        ("2027-01-13", "2027-01-16", [0, 5, 5]),  # days without play between them
        ("2027-01-13", "2027-01-21", [0, 0, 5]),
        ("2027-01-13", "2028-01-13", [0, 0, 0]),
    ],
)
def test_what_a_day_leaves_to_later_ones(before: str, after: str, expected: list[int]) -> None:
    usage = Usage(Totals(staked=5))
    assert used(usage, before) == [5, 5, 5]
    # Nothing was counted since.
    assert used(usage, before, after) == expected
    usage.begin(day(after), day(before))
    assert used(usage, after) == expected
    usage.today.staked += 2
    assert used(usage, after) == [amount + 2 for amount in expected]


def test_days_add_up() -> None:
    usage, last = Usage(), day("2027-03-28")  # a Sunday
    for number, one in enumerate(range(last, day("2027-04-03")), 1):
        usage.begin(one, last)
        usage.today.staked += 10**number
        last = one
    # Monday to Friday; and the Thursday was the first of April.
    assert used(usage, "2027-04-02") == [10**6, 1_111_100, 1_100_000]


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("2027-04-02", [-3, -3, -3]),
        ("2027-04-01", [0, -3, -3]),
        ("2027-03-31", [0, -3, 0]),  # this week, last month
        ("2027-03-28", [0, 0, 0]),
    ],
)
def test_what_is_taken_off_an_earlier_day(on: str, expected: list[int]) -> None:
    usage = Usage()
    usage.add(Totals(staked=-3), day(on), day("2027-04-02"))
    assert used(usage, "2027-04-02") == expected


def test_the_first_of_a_month_may_lie_in_last_months_week() -> None:
    usage = Usage()
    usage.add(Totals(staked=7), day("2027-04-01"), day("2027-04-06"))
    assert used(usage, "2027-04-06") == [0, 0, 7]


@pytest.mark.parametrize("total", [2**64, -(2**64)])
def test_totals_beyond_all_limits_can_be_stored(total: int) -> None:
    stored = Usage(Totals(total, -total, 5), Totals(deposited=total)).stored()

    read = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Usage)
    most = MOST_STORED if total > 0 else -MOST_STORED
    assert (read.today, read.week) == (Totals(most, -most, 5), Totals(deposited=most))
