"""Dice: the roll, the chances, the house edge, and what refuses a bet, in which order."""

import hashlib
import hmac
import json
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from actors.decision import Push
from actors.dice import odds
from actors.dice.rules import DICE
from actors.instant import check_wager
from actors.limits import Limits
from actors.wallet.commands import Adjust
from actors.wallet.facts import BET, DEPOSIT, WITHDRAWAL, Bet, Entry
from protocol.bounds import MAX_MINOR
from protocol.commands.dice import DiceResult, Direction, RollDice
from protocol.errors import (
    BALANCE_LIMIT,
    INSUFFICIENT_BALANCE,
    MALFORMED,
    NO_SEED,
    PROFIT_TOO_LARGE,
    REQUEST_MISMATCH,
    STAKE_TOO_LARGE,
    STAKE_TOO_SMALL,
    TARGET_OUT_OF_RANGE,
    UNKNOWN_CURRENCY,
    ErrorKind,
    Failure,
)
from protocol.ids import message_id
from tests.support.wallets import KIND, LIMITS, OPERATOR, Wallets, refusal, request, roll

OVER, UNDER = Direction.OVER, Direction.UNDER
ALICE = 1


# The odds.


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0, 0),
        (429_453, 0),  # the last word of the first outcome: 2**32 / 10001 is 429,453.8
        (429_454, 1),
        (2**31, 5_000),
        (117_724_306, 274),
        (2_442_671_141, 5_687),
        (2**32 - 429_454, 9_999),
        (2**32 - 429_453, 10_000),
        (2**32 - 1, 10_000),
    ],
)
def test_a_word_is_a_roll(word: int, expected: int) -> None:
    assert odds.roll(word) == expected == word * 10_001 // 2**32


def test_every_outcome_is_as_likely_as_the_next_to_within_one_word() -> None:
    """Outcome n is drawn by the words from ceil(n * 2**32 / 10001) up to the next one's first."""
    first = [-(-n * 2**32 // 10_001) for n in range(10_002)]
    shares = {after - before for before, after in pairwise(first)}

    assert shares == {429_453, 429_454}
    assert all(odds.roll(first[n]) == n for n in range(10_001))
    assert all(odds.roll(first[n + 1] - 1) == n for n in range(10_001))


@pytest.mark.parametrize(
    ("target", "direction", "winning"),
    [
        (0, UNDER, 0),
        (0, OVER, 10_000),
        (1, UNDER, 1),
        (1, OVER, 9_999),
        (5_000, UNDER, 5_000),
        (5_000, OVER, 5_000),
        (5_050, OVER, 4_950),
        (9_999, UNDER, 9_999),
        (9_999, OVER, 1),
        (10_000, UNDER, 10_000),
        (10_000, OVER, 0),
    ],
)
def test_winning_outcomes(target: int, direction: Direction, winning: int) -> None:
    counted = sum(odds.wins(outcome, target, direction) for outcome in range(10_001))

    assert odds.winning_outcomes(target, direction) == winning == counted


@pytest.mark.parametrize("direction", Direction)
def test_a_roll_on_the_target_loses(direction: Direction) -> None:
    assert not odds.wins(5_050, 5_050, direction)


@pytest.mark.parametrize(
    ("stake", "winning", "paid"),
    [
        (100, 5_000, 198),  # 198.0198
        (100, 4_950, 200),  # 200.02
        (1, 10_000, 0),  # 0.990099: a sure thing returns less than its stake
        (2, 10_000, 1),
        (100, 1, 990_099),
        (1, 1, 9_900),  # 9900.99
        (50, 3, 165_016),  # 165016.5
        (10_001, 9_900, 10_002),
        (MAX_MINOR, 10_000, 8_918_018_974_919_800),
        (MAX_MINOR, 1, MAX_MINOR * 990_099 // 100),
    ],
)
def test_a_payout_rounds_down_once(stake: int, winning: int, paid: int) -> None:
    exact = Fraction(99, 100) * Fraction(10_001, winning) * stake

    assert odds.payout(stake, winning) == paid
    assert exact - 1 < paid <= exact


@pytest.mark.parametrize("direction", Direction)
def test_the_house_keeps_one_percent_of_every_target(direction: Direction) -> None:
    """Exact, over all outcomes: never above 99 %, and short of it by rounding alone."""
    stake = 10_000
    for target in range(10_001):
        winning = odds.winning_outcomes(target, direction)
        if 0 < winning < odds.OUTCOMES:
            expected = Fraction(winning * odds.payout(stake, winning), odds.OUTCOMES * stake)
            rounding = Fraction(winning, odds.OUTCOMES * stake)
            assert Fraction(99, 100) - rounding < expected <= Fraction(99, 100)


@pytest.mark.parametrize(
    ("target", "direction"), [(1, UNDER), (5_050, OVER), (5_050, UNDER), (9_900, OVER), (0, OVER)]
)
def test_the_edge_as_played(target: int, direction: Direction) -> None:
    """The same by going through each outcome, as a table would pay them."""
    stake = 1_000_000
    win = odds.payout(stake, odds.winning_outcomes(target, direction))
    paid = sum(win for outcome in range(10_001) if odds.wins(outcome, target, direction))

    assert 0.9899 < paid / (stake * 10_001) <= 0.99


# The rule.


def funded(amount_minor: int = 1_000_000, currency: str = "PLAY") -> Wallets:
    wallets = Wallets()
    wallets.fund(ALICE, amount_minor, currency)
    return wallets


def expected_roll(wallets: Wallets, nonce: int) -> int:
    pair = wallets.state(ALICE).pair
    assert pair is not None
    message = f"{pair.client_seed}:{nonce}:0".encode()
    digest = hmac.new(pair.server_seed.encode(), message, hashlib.sha256).hexdigest()
    return int(digest[:8], 16) * 10_001 // 2**32


def test_bets_draw_the_nonces_in_turn_and_win_what_the_odds_say() -> None:
    wallets = funded()
    balance, winners = 1_000_000, 0
    for nonce in range(200):
        drawn = expected_roll(wallets, nonce)
        won = drawn > 5_050
        payout = 100 * 99 * 10_001 // (100 * 4_950) if won else 0
        balance += payout - 100
        winners += won
        result = wallets.act(ALICE, roll(nonce + 1, 100)).reply

        assert (result.roll, result.won, result.payout) == (drawn, won, payout)
        assert (result.nonce, result.pair) == (nonce, 1)
        assert result.balance.available == balance == wallets.available(ALICE)
    assert 60 < winners < 140


def test_a_bet_is_one_row_with_what_verifies_it() -> None:
    wallets = funded()
    decision = wallets.act(ALICE, roll(1, 250, 2_500, UNDER))
    (placed,) = decision.facts
    drawn = expected_roll(wallets, 0)
    payout = 990 if drawn < 2_500 else 0

    assert type(placed) is Entry
    assert (placed.kind, placed.seq, placed.currency) == (BET, 2, "PLAY")
    assert placed.available_delta == payout - 250
    assert placed.available_after == 1_000_000 + payout - 250
    assert (placed.held_delta, placed.held_after) == (0, 0)
    assert (placed.counterparty, placed.request_id) == (None, request(1))
    bet = placed.bet
    assert type(bet) is Bet
    assert (bet.game, bet.stake_minor, bet.payout_minor) == ("dice", 250, payout)
    assert (bet.pair, bet.nonce) == (1, 0)
    assert json.loads(bet.parameters) == {"target": 2_500, "direction": "under"}
    assert json.loads(bet.outcome) == {"roll": drawn, "won": drawn < 2_500}
    assert decision.messages == ()


def test_a_bet_tells_the_players_sockets() -> None:
    wallets = funded()
    (push,) = wallets.act(ALICE, roll(1, 250)).pushes
    assert isinstance(push, Push)

    assert (push.room, push.event, push.key) == ("user:1", "wallet:updated", "PLAY")
    assert push.data.available == wallets.available(ALICE)
    assert push.data.seq == 2


def first_of(wallets: Wallets, *, won: bool) -> int:
    """The first nonce whose roll is over 50.50, or is not."""
    return next(n for n in range(100) if (expected_roll(wallets, n) > 5_050) is won)


def test_the_whole_balance_may_be_staked_and_lost() -> None:
    wallets = funded()
    for number in range(first_of(wallets, won=False)):
        wallets.act(ALICE, roll(number + 1, 1))
    everything = wallets.available(ALICE)
    result = wallets.act(ALICE, roll(500, everything)).reply

    assert not result.won
    assert result.balance.available == 0
    assert refusal(lambda: wallets.act(ALICE, roll(501, 1))) is INSUFFICIENT_BALANCE


def test_the_biggest_stake_that_a_wallet_holds() -> None:
    """MAX_MINOR on nearly all outcomes: the win is smaller than the stake, so there is room."""
    wallets = funded(MAX_MINOR)
    result = wallets.act(ALICE, roll(1, MAX_MINOR, 10_000, UNDER)).reply

    assert result.won
    assert result.payout == 8_918_018_974_919_800
    assert wallets.available(ALICE) == 8_918_018_974_919_800


LEAST, MOST = LIMITS["USD"].least_stake_minor, LIMITS["USD"].most_stake_minor


@pytest.mark.parametrize(
    ("stake", "kind"),
    [
        (LEAST - 1, STAKE_TOO_SMALL),
        (LEAST, None),
        (MOST, None),
        (MOST + 1, STAKE_TOO_LARGE),
    ],
)
def test_limits_of_the_stake_are_inclusive(stake: int, kind: ErrorKind | None) -> None:
    wallets = funded(MAX_MINOR // 2, "USD")

    assert refusal(lambda: wallets.decide(ALICE, roll(1, stake, currency="USD"))) is kind


@pytest.mark.parametrize(("most_profit", "kind"), [(100, None), (99, PROFIT_TOO_LARGE)])
def test_the_limit_of_the_profit_is_inclusive(most_profit: int, kind: ErrorKind | None) -> None:
    """A stake of 100 over 50.50 pays 200: a profit of exactly 100."""
    limits = {"PLAY": Limits(1, 1_000, most_profit)}

    assert refusal(lambda: check_wager(roll(1, 100), DICE.most, limits)) is kind


@pytest.mark.parametrize(
    ("target", "direction", "kind"),
    [
        (0, UNDER, TARGET_OUT_OF_RANGE),
        (0, OVER, None),
        (1, UNDER, None),
        (1, OVER, None),
        (9_999, UNDER, None),
        (9_999, OVER, None),
        (10_000, UNDER, None),
        (10_000, OVER, TARGET_OUT_OF_RANGE),
    ],
)
def test_a_target_leaves_a_way_to_win_and_to_lose(
    target: int, direction: Direction, kind: ErrorKind | None
) -> None:
    wallets = funded()

    assert refusal(lambda: wallets.decide(ALICE, roll(1, 1, target, direction))) is kind


SERVERS = message_id(2, 7)
# Each row breaks its own guard and those of the later ones that can be broken with it.
PRECEDENCE: list[tuple[dict[str, Any], ErrorKind]] = [
    ({"request_id": SERVERS, "currency": "XXX", "target": 0, "stake": 1}, MALFORMED),
    ({"currency": "XXX", "target": 0, "stake": 1}, UNKNOWN_CURRENCY),
    ({"currency": "EUR", "target": 0, "stake": 1}, UNKNOWN_CURRENCY),  # known, but no limits
    ({"target": 0, "stake": 1}, TARGET_OUT_OF_RANGE),
    ({"target": 1, "stake": LEAST - 1}, STAKE_TOO_SMALL),
    ({"target": 1, "stake": MOST + 1}, STAKE_TOO_LARGE),
    ({"target": 1, "stake": MOST}, PROFIT_TOO_LARGE),
    ({"target": 5_050, "stake": 50_001}, INSUFFICIENT_BALANCE),
    ({"target": 5_050, "stake": 50_000}, NO_SEED),
]


@pytest.mark.parametrize(("change", "kind"), PRECEDENCE)
def test_guards_in_their_order(change: dict[str, Any], kind: ErrorKind) -> None:
    wallets = funded(50_000, "USD")
    # No rule makes a balance without a seed pair; it is guarded against all the same, last.
    wallets.state(ALICE).pair = None
    fields = {"currency": "USD", "direction": UNDER, "request_id": request(1), **change}
    before = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.act(ALICE, RollDice(**fields))) is kind
    assert KIND.snapshot(wallets.state(ALICE)) == before


def test_a_win_that_a_wallet_cannot_hold_is_refused_before_the_draw() -> None:
    wallets = funded(MAX_MINOR)
    wallets.state(ALICE).pair = None

    assert refusal(lambda: wallets.act(ALICE, roll(1, 100))) is BALANCE_LIMIT


def test_the_last_bet_that_leaves_room_for_its_win() -> None:
    win = odds.payout(100, 4_950) - 100
    exact, short = funded(MAX_MINOR - win), funded(MAX_MINOR - win + 1)

    assert refusal(lambda: exact.decide(ALICE, roll(1, 100))) is None
    assert refusal(lambda: short.decide(ALICE, roll(1, 100))) is BALANCE_LIMIT


# Replays.


def test_the_same_request_gives_the_same_answer_and_no_new_fact() -> None:
    wallets = funded()
    first = wallets.answer(ALICE, roll(1, 100))
    wallets.answer(ALICE, roll(2, 100))
    rows = len(wallets.facts[ALICE])

    assert wallets.answer(ALICE, roll(1, 100)) == first
    assert isinstance(first, DiceResult)
    assert len(wallets.facts[ALICE]) == rows


@pytest.mark.parametrize(
    "other",
    [
        roll(1, 101),
        roll(1, 100, 5_051),
        roll(1, 100, direction=UNDER),
        roll(1, 100, currency="USD"),
        Adjust(DEPOSIT, "PLAY", 100, OPERATOR, request(1)),
    ],
    ids=["stake", "target", "direction", "currency", "command"],
)
def test_the_same_request_with_other_content_is_refused(other: Any) -> None:
    wallets = funded()
    wallets.fund(ALICE, 1_000, "USD")
    wallets.answer(ALICE, roll(1, 100))

    assert refusal(lambda: wallets.answer(ALICE, other)) is REQUEST_MISMATCH


def test_a_replay_is_given_whatever_the_balance_is_now() -> None:
    wallets = funded(1_000)
    first = wallets.answer(ALICE, roll(1, 100))
    everything = wallets.available(ALICE)
    wallets.answer(ALICE, Adjust(WITHDRAWAL, "PLAY", everything, OPERATOR, request(2)))

    assert wallets.answer(ALICE, roll(1, 100)) == first
    assert wallets.available(ALICE) == 0


def test_a_rejection_is_not_remembered() -> None:
    wallets = funded(100)
    assert refusal(lambda: wallets.answer(ALICE, roll(1, 101))) is INSUFFICIENT_BALANCE
    wallets.fund(ALICE, 1)

    assert wallets.answer(ALICE, roll(1, 101)).stake == 101


def test_a_bet_cannot_take_the_id_of_a_message() -> None:
    bet = RollDice(100, "PLAY", 5_050, OVER, SERVERS)

    with pytest.raises(Failure) as raised:
        funded().decide(ALICE, bet)
    assert raised.value.kind is MALFORMED
    assert raised.value.details["field"] == "request_id"
