"""Limits of play: what they refuse and when, what changes them, and what is shown of them."""

import pytest

from actors.wallet.commands import Adjust, ReleaseHold, SettleHold
from actors.wallet.facts import FAUCET, WITHDRAWAL, RestrictionSet
from actors.wallet.restrictions import MAX_CHANGES_A_DAY
from protocol.commands.limits import (
    CoolOff,
    Exclude,
    GetLimits,
    LimitKind,
    PendingLimit,
    Period,
    PlayLimit,
    PlayLimits,
    SetLimit,
)
from protocol.errors import (
    DEPOSIT_LIMIT_REACHED,
    LOSS_LIMIT_REACHED,
    STAKE_LIMIT_REACHED,
    TOO_MANY_CHANGES,
    UNKNOWN_CURRENCY,
    ErrorKind,
)
from tests.support.player import ALICE, DAY, HOUR, NEVER_WINS, Player, at, deposit
from tests.support.wallets import OPERATOR, refusal, request, roll

STAKE, LOSS, DEPOSITS = LimitKind.STAKE, LimitKind.LOSS, LimitKind.DEPOSIT


# What a limit refuses.


@pytest.mark.parametrize("period", Period)
@pytest.mark.parametrize(
    ("kind", "error"), [(STAKE, STAKE_LIMIT_REACHED), (LOSS, LOSS_LIMIT_REACHED)]
)
def test_a_limit_refuses_a_wager_beyond_it(
    kind: LimitKind, error: ErrorKind, period: Period
) -> None:
    player = Player()
    player.lose(300)  # before the limit is set, on the same day
    player.limit(kind, period, 1_000)
    player.lose(200)

    assert player.refuses(500) is None
    assert player.refuses(501) is error
    player.lose(500)
    assert player.refuses(1) is error
    # Another currency is not limited.
    player.fund(ALICE, 1_000, "USD")
    assert player.refuses(100, "USD") is None


def test_a_deposit_limit_refuses_deposits_alone() -> None:
    player = Player()
    player.fund(ALICE, 300)
    player.limit(DEPOSITS, Period.DAY, 1_000)

    assert refusal(lambda: player.decide(ALICE, deposit(700))) is None
    assert refusal(lambda: player.decide(ALICE, deposit(701))) is DEPOSIT_LIMIT_REACHED
    player.fund(ALICE, 700)
    assert refusal(lambda: player.decide(ALICE, deposit(1))) is DEPOSIT_LIMIT_REACHED
    for number, kind in enumerate((FAUCET, WITHDRAWAL), 1):
        player.do(Adjust(kind, "PLAY", 5_000, OPERATOR, request(number)))
    assert player.refuses(5_000) is None
    assert refusal(lambda: player.decide(ALICE, deposit(1, "USD"))) is None


def test_a_refusal_says_which_limit_and_until_when() -> None:
    player = Player("2027-01-14 12:00:00")
    player.limit(STAKE, Period.WEEK, 1_000)
    player.lose(600)

    assert player.details(roll(5, 401, NEVER_WINS)) == {
        "kind": "stake",
        "period": "week",
        "currency": "PLAY",
        "limit": 1_000,
        "used": 600,
        "resets_at_ms": at("2027-01-18"),
    }


def test_of_several_limits_the_first_that_is_reached_is_named() -> None:
    player = Player()
    limits = [(LOSS, Period.DAY, 10), (STAKE, Period.MONTH, 30), (STAKE, Period.WEEK, 20)]
    for kind, period, amount in limits:
        player.limit(kind, period, amount)

    named = [
        (details["kind"], details["period"])
        for details in (player.details(roll(5, stake, NEVER_WINS)) for stake in (31, 21, 11))
    ]
    assert named == [("stake", "week"), ("stake", "week"), ("loss", "day")]


def test_what_is_won_makes_room_for_losses_and_not_for_stakes() -> None:
    player = Player()
    profit = player.win(10_000)
    player.limit(LOSS, Period.DAY, 100)
    player.limit(STAKE, Period.DAY, 12_000)

    assert player.refuses(100 + profit) is None
    assert player.refuses(101 + profit) is LOSS_LIMIT_REACHED
    assert player.refuses(2_001) is STAKE_LIMIT_REACHED


def test_a_limit_of_nothing_refuses_everything() -> None:
    player = Player()
    player.limit(STAKE, Period.DAY, 0)
    player.limit(DEPOSITS, Period.MONTH, 0)

    assert player.refuses(1) is STAKE_LIMIT_REACHED
    assert refusal(lambda: player.decide(ALICE, deposit(1))) is DEPOSIT_LIMIT_REACHED


# Periods.


@pytest.mark.parametrize(
    ("period", "last", "first"),
    [
        (Period.DAY, "2027-01-14 23:59:59.990", "2027-01-15 00:00:00.000"),
        (Period.WEEK, "2027-01-17 23:59:59.990", "2027-01-18 00:00:00.000"),
        (Period.MONTH, "2027-01-31 23:59:59.990", "2027-02-01 00:00:00.000"),
    ],
)
@pytest.mark.parametrize("kind", [STAKE, LOSS])
def test_a_period_ends_and_the_next_begins_with_nothing(
    kind: LimitKind, period: Period, last: str, first: str
) -> None:
    player = Player(last)
    player.limit(kind, period, 100)
    player.lose(100)
    assert player.refuses(1) is not None
    player.set_clock(at(first) - 1)
    assert player.refuses(1) is not None
    player.set_clock(at(first))
    assert player.refuses(100) is None
    assert player.refuses(101) is not None
    player.lose(60)
    assert player.refuses(40) is None
    assert player.refuses(41) is not None


def test_a_weeks_usage_outlives_its_days_and_a_months_its_weeks() -> None:
    player = Player("2027-01-15 12:00:00")
    player.limit(STAKE, Period.DAY, 100)
    player.limit(STAKE, Period.WEEK, 150)
    player.limit(STAKE, Period.MONTH, 220)
    player.lose(100)
    seen = []
    for day in (16, 17, 18, 19, 20):
        player.set_clock(at(f"2027-01-{day} 12:00:00"))
        room = next(stake for stake in range(100, -1, -1) if not stake or not player.refuses(stake))
        if room:
            player.lose(room)
        seen.append(room)
    assert seen == [50, 0, 70, 0, 0]
    player.set_clock(at("2027-02-01"))
    assert player.refuses(100) is None


def test_a_clock_that_goes_back_opens_no_period_again() -> None:
    player = Player("2027-01-14 12:00:00")
    player.limit(STAKE, Period.DAY, 100)
    player.lose(100)
    player.set_clock(at("2027-01-15 00:00:01"))
    player.lose(70)
    player.set_clock(at("2027-01-14 23:59:59"))

    assert player.refuses(30) is None
    assert player.refuses(31) is STAKE_LIMIT_REACHED
    assert player.details(roll(5, 31))["resets_at_ms"] == at("2027-01-16")
    player.lose(30)
    player.set_clock(at("2027-01-15 12:00:00"))
    assert player.refuses(1) is STAKE_LIMIT_REACHED


# Stakes that are held.


def test_a_stake_that_is_held_counts_and_is_at_risk() -> None:
    player = Player()
    player.limit(LOSS, Period.DAY, 100)
    player.limit(STAKE, Period.DAY, 150)
    seq = player.hold(80)

    assert player.refuses(20) is None
    assert player.refuses(21) is LOSS_LIMIT_REACHED
    player.do(SettleHold(seq, 500, "{}"))
    assert player.refuses(70) is None
    assert player.refuses(71) is STAKE_LIMIT_REACHED


def test_a_stake_that_is_lost_is_lost_on_the_day_of_its_end() -> None:
    player = Player("2027-01-14 23:00:00")
    seq = player.hold(80)
    player.set_clock(at("2027-01-15 01:00:00"))
    player.limit(LOSS, Period.DAY, 100)
    player.limit(STAKE, Period.DAY, 100)
    assert player.refuses(21) is LOSS_LIMIT_REACHED
    player.do(SettleHold(seq, 0, "{}"))
    assert player.refuses(21) is LOSS_LIMIT_REACHED
    assert player.refuses(20) is None
    # It was staked the day before.
    assert [limit.used for limit in player.do(GetLimits()).limits] == [80, 0]


@pytest.mark.parametrize(
    ("released", "day", "week", "month"),
    [
        ("2027-03-30 12:00:00", 50, 50, 50),
        ("2027-03-31 00:00:00", 0, 50, 50),
        ("2027-04-01 00:00:00", 0, 50, 0),
        ("2027-04-05 00:00:00", 0, 0, 0),
    ],
)
def test_a_stake_that_is_released_is_given_back_to_the_periods_it_counted_in(
    released: str, day: int, week: int, month: int
) -> None:
    player = Player("2027-03-30 11:00:00")  # a Tuesday
    seq = player.hold(80)
    player.lose(50)
    player.set_clock(at(released))
    player.do(ReleaseHold(seq, '{"reason":"voided"}'))
    for period in Period:
        player.limit(STAKE, period, 1_000)
    shown = player.limit(LOSS, Period.DAY, 1_000)

    assert [limit.used for limit in shown.limits][1:] == [day, week, month]


# Raises and cuts.


def test_a_cut_holds_at_once_and_a_raise_after_exactly_a_day() -> None:
    player = Player()
    player.limit(STAKE, Period.MONTH, 1_000)
    player.limit(STAKE, Period.MONTH, 100)
    assert player.refuses(101) is STAKE_LIMIT_REACHED
    raised_at = player.now_ms
    player.limit(STAKE, Period.MONTH, 500)
    for later, room in ((0, 100), (DAY - 1, 100), (DAY, 500), (DAY + 1, 500)):
        player.set_clock(raised_at + later)
        assert player.refuses(room) is None
        assert player.refuses(room + 1) is STAKE_LIMIT_REACHED


def test_taking_a_limit_away_is_a_raise() -> None:
    player = Player()
    player.limit(LOSS, Period.WEEK, 100)
    removed_at = player.now_ms
    shown = player.limit(LOSS, Period.WEEK, None)

    assert shown.limits[0].pending == PendingLimit(None, removed_at + DAY)
    player.set_clock(removed_at + DAY - 1)
    assert player.refuses(101) is LOSS_LIMIT_REACHED
    player.set_clock(removed_at + DAY)
    assert player.refuses(5_000) is None
    assert player.do(GetLimits()).limits == []


def test_a_cut_takes_back_a_raise_that_is_to_come() -> None:
    player = Player()
    player.limit(STAKE, Period.MONTH, 100)
    player.limit(STAKE, Period.MONTH, 500)
    player.limit(STAKE, Period.MONTH, 100)
    player.set_clock(player.now_ms + 2 * DAY)
    assert player.refuses(101) is STAKE_LIMIT_REACHED


def test_another_raise_waits_a_day_of_its_own_and_the_same_one_does_not_start_anew() -> None:
    player = Player()
    player.limit(STAKE, Period.MONTH, 100)
    first = player.now_ms
    player.limit(STAKE, Period.MONTH, 300)
    player.set_clock(first + DAY - 10)
    assert player.act(ALICE, SetLimit(STAKE, Period.MONTH, "PLAY", 300)).facts == ()
    other = player.now_ms
    player.limit(STAKE, Period.MONTH, 200)
    player.set_clock(first + DAY)
    assert player.refuses(101) is STAKE_LIMIT_REACHED
    player.set_clock(other + DAY)
    assert player.refuses(200) is None
    assert player.refuses(201) is STAKE_LIMIT_REACHED


def test_a_raise_that_has_come_is_what_later_changes_are_held_against() -> None:
    player = Player()
    player.limit(STAKE, Period.MONTH, 100)
    player.limit(STAKE, Period.MONTH, 500)
    player.set_clock(player.now_ms + DAY)
    player.limit(STAKE, Period.MONTH, 300)  # a cut by now
    assert player.refuses(301) is STAKE_LIMIT_REACHED
    assert player.refuses(300) is None
    player.limit(STAKE, Period.MONTH, 400)
    assert player.refuses(301) is STAKE_LIMIT_REACHED


def test_a_raise_upon_a_raise_that_has_come_keeps_it_in_force() -> None:
    player = Player()
    player.limit(STAKE, Period.MONTH, 100)
    player.limit(STAKE, Period.MONTH, 500)
    player.set_clock(player.now_ms + DAY)
    shown = player.limit(STAKE, Period.MONTH, 900)
    assert shown.limits[0].amount == 500
    assert player.refuses(500) is None
    assert player.refuses(501) is STAKE_LIMIT_REACHED


# What is shown, and how often it may change.


def test_limits_are_shown_with_what_is_used_and_what_is_to_come() -> None:
    player = Player("2027-01-14 12:00:00")
    assert player.do(GetLimits()) == PlayLimits([], None, excluded=False, excluded_until_ms=None)
    player.limit(LOSS, Period.WEEK, 1_000)
    player.limit(STAKE, Period.DAY, 500, "BTC")
    player.do(deposit(40))
    player.limit(DEPOSITS, Period.MONTH, 50)
    player.lose(300)
    raised_at = player.now_ms
    shown = player.limit(LOSS, Period.WEEK, 2_000)
    cools_until = player.now_ms + 5 * HOUR
    after = player.do(CoolOff(5))

    assert shown.limits == after.limits
    assert after == PlayLimits(
        [
            PlayLimit(DEPOSITS, Period.MONTH, "PLAY", 50, 40, at("2027-02-01"), None),
            PlayLimit(
                LOSS,
                Period.WEEK,
                "PLAY",
                1_000,
                300,
                at("2027-01-18"),
                PendingLimit(2_000, raised_at + DAY),
            ),
            PlayLimit(STAKE, Period.DAY, "BTC", 500, 0, at("2027-01-15"), None),
        ],
        cools_until,
        excluded=False,
        excluded_until_ms=None,
    )
    assert player.do(GetLimits()) == after


def test_a_change_is_one_row_and_the_same_again_is_none() -> None:
    player = Player()
    (made,) = player.act(ALICE, SetLimit(STAKE, Period.DAY, "PLAY", 100)).facts
    again = player.act(ALICE, SetLimit(STAKE, Period.DAY, "PLAY", 100))
    none = player.act(ALICE, SetLimit(LOSS, Period.DAY, "PLAY", None))

    now = made.at_ms
    assert made == RestrictionSet(
        ALICE, 1, 1, "stake", "day", "PLAY", 100, effective_at_ms=now, until_ms=None, at_ms=now
    )
    assert (again.facts, none.facts) == ((), ())


def test_a_limit_in_a_currency_that_is_not_offered_is_refused() -> None:
    player = Player()
    command = SetLimit(STAKE, Period.DAY, "XXX", 100)
    assert refusal(lambda: player.decide(ALICE, command)) is UNKNOWN_CURRENCY


def test_after_so_many_changes_in_a_day_limits_are_only_lowered() -> None:
    player = Player("2027-01-14 12:00:00")
    for amount in range(1_000, 1_000 - MAX_CHANGES_A_DAY, -1):
        player.limit(STAKE, Period.DAY, amount)
    higher, none = (SetLimit(STAKE, Period.DAY, "PLAY", amount) for amount in (2_000, None))
    assert refusal(lambda: player.decide(ALICE, higher)) is TOO_MANY_CHANGES
    assert refusal(lambda: player.decide(ALICE, none)) is TOO_MANY_CHANGES
    assert player.details(none)["most"] == MAX_CHANGES_A_DAY
    player.limit(STAKE, Period.DAY, 500)
    player.limit(LOSS, Period.WEEK, 70)
    player.do(CoolOff(1))
    player.do(CoolOff(2))
    player.set_clock(at("2027-01-15"))
    player.limit(STAKE, Period.DAY, 2_000)


def test_changes_of_a_day_are_bounded_and_what_stops_play_is_not_among_them() -> None:
    player = Player("2027-01-14 12:00:00")
    for amount in range(2 * MAX_CHANGES_A_DAY, 0, -1):
        player.limit(STAKE, Period.DAY, amount + 1)
    lower = SetLimit(STAKE, Period.DAY, "PLAY", 1)
    assert refusal(lambda: player.decide(ALICE, lower)) is TOO_MANY_CHANGES
    assert player.details(lower) == {
        "most": 2 * MAX_CHANGES_A_DAY,
        "resets_at_ms": at("2027-01-15"),
    }
    player.limit(STAKE, Period.DAY, 0)
    player.limit(LOSS, Period.MONTH, 0)
    player.do(CoolOff(1))
    assert refusal(lambda: player.decide(ALICE, CoolOff(2))) is TOO_MANY_CHANGES
    player.do(Exclude(180))
    assert refusal(lambda: player.decide(ALICE, Exclude(181))) is TOO_MANY_CHANGES
    player.set_clock(at("2027-01-15"))
    player.do(Exclude(181))
    player.limit(STAKE, Period.DAY, 1)
