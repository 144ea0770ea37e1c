"""Breaks from play and exclusions, what refuses a wager first, and what nothing can refuse."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.wallet.commands import Adjust, ReceiveTip, ReleaseHold, ReturnTip, SendTip, SettleHold
from actors.wallet.facts import FAUCET, WITHDRAWAL
from protocol.commands.limits import (
    CoolOff,
    Exclude,
    GetLimits,
    LimitKind,
    Period,
    PlayLimits,
    SetLimit,
)
from protocol.commands.mines import CashOutMines, RevealTile, StartMines
from protocol.errors import (
    BALANCE_LIMIT,
    COOLING_OFF,
    DEPOSIT_LIMIT_REACHED,
    INSUFFICIENT_BALANCE,
    LOSS_LIMIT_REACHED,
    MALFORMED,
    PROFIT_TOO_LARGE,
    SELF_EXCLUDED,
    STAKE_LIMIT_REACHED,
    STAKE_TOO_LARGE,
    STAKE_TOO_SMALL,
    TARGET_OUT_OF_RANGE,
    UNKNOWN_CURRENCY,
    ErrorKind,
)
from protocol.ids import message_id
from tests.support.player import ALICE, BOB, DAY, HOUR, Player, at, deposit
from tests.support.wallets import OPERATOR, refusal, request, roll

STAKE, LOSS, DEPOSITS = LimitKind.STAKE, LimitKind.LOSS, LimitKind.DEPOSIT


# Breaks.


@pytest.mark.parametrize(
    ("command", "lasts", "error"),
    [
        (CoolOff(1), HOUR, COOLING_OFF),
        (CoolOff(1_008), 42 * DAY, COOLING_OFF),
        (Exclude(180), 180 * DAY, SELF_EXCLUDED),
    ],
)
def test_a_break_lasts_as_long_as_was_asked_for(command: Any, lasts: int, error: ErrorKind) -> None:
    player = Player()
    began = player.now_ms
    player.do(command)
    player.set_clock(began + lasts - 1)
    assert player.refuses(1) is error
    assert refusal(lambda: player.decide(ALICE, deposit(1))) is error
    assert player.details(roll(5, 1)) == {"until_ms": began + lasts}
    player.set_clock(began + lasts)
    assert player.refuses(1) is None
    assert player.do(GetLimits()) == PlayLimits([], None, excluded=False, excluded_until_ms=None)


def test_an_exclusion_for_good_has_no_end() -> None:
    player = Player()
    shown = player.do(Exclude(None))

    assert (shown.excluded, shown.excluded_until_ms) == (True, None)
    player.set_clock(at("9999-01-01"))
    assert player.refuses(1) is SELF_EXCLUDED
    assert player.details(roll(5, 1)) == {"until_ms": None}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (CoolOff(10), CoolOff(9)),
        (Exclude(200), Exclude(180)),
        (Exclude(None), Exclude(36_500)),
        (Exclude(None), Exclude(None)),
    ],
)
def test_nothing_shortens_a_break(first: Any, then: Any) -> None:
    player = Player()
    shown = player.do(first)
    decision = player.act(ALICE, then)

    assert decision.facts == ()
    assert decision.reply == shown


@pytest.mark.parametrize(
    ("first", "then", "lasts"),
    [
        (CoolOff(10), CoolOff(11), 11 * HOUR),
        (Exclude(180), Exclude(181), 181 * DAY),
        (Exclude(36_500), Exclude(None), None),
    ],
)
def test_a_longer_break_takes_the_place_of_a_shorter(
    first: Any, then: Any, lasts: int | None
) -> None:
    player = Player()
    player.do(first)
    began = player.now_ms
    shown = player.do(then)

    until = None if lasts is None else began + lasts
    assert until in {shown.cooling_off_until_ms, shown.excluded_until_ms}
    assert player.details(roll(5, 1)) == {"until_ms": until}


# Precedence.

EXCLUDED, COOLING = Exclude(180), CoolOff(1)
NO_STAKES, NO_LOSSES = SetLimit(STAKE, Period.DAY, "USD", 0), SetLimit(LOSS, Period.DAY, "USD", 0)
SERVERS = message_id(3, 3)


@pytest.mark.parametrize(
    ("restrictions", "bet", "error"),
    [
        # In their order: each also breaks what can be broken further down.
        ([EXCLUDED, COOLING, NO_STAKES, NO_LOSSES], {"request_id": SERVERS}, MALFORMED),
        ([EXCLUDED, COOLING, NO_STAKES, NO_LOSSES], {"currency": "BTC"}, UNKNOWN_CURRENCY),
        ([EXCLUDED, COOLING, NO_STAKES, NO_LOSSES], {"target": 10_000}, TARGET_OUT_OF_RANGE),
        ([EXCLUDED, COOLING, NO_STAKES, NO_LOSSES], {"stake": 9}, STAKE_TOO_SMALL),
        ([EXCLUDED, COOLING, NO_STAKES, NO_LOSSES], {"stake": 100_001}, STAKE_TOO_LARGE),
        ([EXCLUDED, COOLING, NO_STAKES, NO_LOSSES], {"target": 9_999}, PROFIT_TOO_LARGE),
        ([EXCLUDED, COOLING, NO_STAKES, NO_LOSSES], {}, SELF_EXCLUDED),
        ([COOLING, NO_STAKES, NO_LOSSES], {}, COOLING_OFF),
        ([NO_STAKES, NO_LOSSES], {}, STAKE_LIMIT_REACHED),
        ([NO_LOSSES], {}, LOSS_LIMIT_REACHED),
        ([], {}, INSUFFICIENT_BALANCE),
    ],
)
def test_what_refuses_a_wager_in_which_order(
    restrictions: list[Any], bet: dict[str, Any], error: ErrorKind
) -> None:
    player = Player()
    for command in restrictions:
        player.do(command)
    command = roll(1, bet.get("stake", 50_000), bet.get("target", 5_050), currency="USD")
    command.currency = bet.get("currency", command.currency)
    command.request_id = bet.get("request_id", command.request_id)
    assert refusal(lambda: player.decide(ALICE, command)) is error


@pytest.mark.parametrize(
    ("restrictions", "currency", "error"),
    [
        ([EXCLUDED, COOLING], "XXX", UNKNOWN_CURRENCY),
        ([EXCLUDED, COOLING], "PLAY", SELF_EXCLUDED),
        ([COOLING, SetLimit(DEPOSITS, Period.DAY, "PLAY", 0)], "PLAY", COOLING_OFF),
        ([SetLimit(DEPOSITS, Period.DAY, "PLAY", 0)], "PLAY", DEPOSIT_LIMIT_REACHED),
        ([], "PLAY", BALANCE_LIMIT),
    ],
)
def test_what_refuses_a_deposit_in_which_order(
    restrictions: list[Any], currency: str, error: ErrorKind
) -> None:
    player = Player()
    for command in restrictions:
        player.do(command)
    assert refusal(lambda: player.decide(ALICE, deposit(2**53 - 1, currency))) is error


# What nothing refuses.


def restricted(player: Player) -> None:
    """Everything that a player can set against play, all at once."""
    for kind in LimitKind:
        for period in Period:
            player.limit(kind, period, 0)
    player.do(CoolOff(1_008))
    player.do(Exclude(None))
    assert player.refuses(1) is SELF_EXCLUDED


@pytest.mark.parametrize(
    "command",
    [
        Adjust(WITHDRAWAL, "PLAY", 99_900, OPERATOR, request(50)),
        Adjust(FAUCET, "PLAY", 5, ALICE, request(50)),
        ReceiveTip(BOB, "PLAY", 5, message_id(BOB, 1)),
        ReturnTip(BOB, "PLAY", 5, message_id(BOB, 1)),
        SendTip(BOB, "PLAY", 5, request(50)),
    ],
    ids=lambda command: getattr(command, "kind", type(command).__name__),
)
def test_money_moves_all_the_same(command: Any) -> None:
    player = Player()
    restricted(player)
    assert player.act(ALICE, command).facts


@pytest.mark.parametrize(
    "end",
    [
        lambda seq: SettleHold(seq, 500, "{}"),
        lambda seq: SettleHold(seq, 0, "{}"),
        lambda seq: ReleaseHold(seq, '{"reason":"voided"}'),
    ],
    ids=["won", "lost", "released"],
)
def test_what_is_open_when_an_exclusion_begins_ends_as_it_would(
    end: Callable[[int], Any],
) -> None:
    player = Player()
    seq = player.hold(100)
    restricted(player)
    assert player.act(ALICE, end(seq)).facts
    assert player.state(ALICE).holds == {}


def test_a_game_that_is_open_can_be_played_to_its_end() -> None:
    player = Player()
    player.hold(100)
    restricted(player)
    player.do(RevealTile("PLAY", 7, request(50)))
    if player.state(ALICE).holds:
        player.do(CashOutMines("PLAY", request(51)))
    assert player.state(ALICE).holds == {}
    start = StartMines(100, "PLAY", 3, request(52))
    assert refusal(lambda: player.decide(ALICE, start)) is SELF_EXCLUDED
