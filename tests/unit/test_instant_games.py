"""Limbo and plinko as bets: what a row says, what refuses one, in which order, and replays.

Dice, decided by the same rule, has tests of its own.
"""

import hashlib
import hmac
import json
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace

from actors.instant import instant_rule
from actors.limbo.rules import LIMBO
from actors.limits import Limits
from actors.plinko.odds import BOARDS
from actors.plinko.rules import PLINKO
from actors.wallet.commands import Adjust
from actors.wallet.facts import BET, DEPOSIT, Bet, Entry
from protocol.bounds import MAX_MINOR
from protocol.commands.limbo import LimboResult, PlayLimbo
from protocol.commands.plinko import DropPlinko, PlinkoResult
from protocol.errors import (
    BALANCE_LIMIT,
    GAME_PAUSED,
    INSUFFICIENT_BALANCE,
    MALFORMED,
    NO_SEED,
    PROFIT_TOO_LARGE,
    REQUEST_MISMATCH,
    STAKE_TOO_LARGE,
    STAKE_TOO_SMALL,
    TARGET_OUT_OF_RANGE,
    UNKNOWN_BOARD,
    UNKNOWN_CURRENCY,
    ErrorKind,
)
from protocol.ids import message_id
from tests.support.wallets import KIND, LIMITS, OPERATOR, Wallets, drop, limbo, refusal, request
from tests.support.wallets import roll as roll_dice

ALICE = 1
GAMES: dict[type, Any] = {PlayLimbo: LIMBO, DropPlinko: PLINKO}


def funded(amount_minor: int = 1_000_000, currency: str = "PLAY") -> Wallets:
    wallets = Wallets()
    wallets.fund(ALICE, amount_minor, currency)
    return wallets


def words_of(wallets: Wallets, nonce: int) -> list[int]:
    """The first sixteen words of a nonce, from the published scheme."""
    pair = wallets.state(ALICE).pair
    assert pair is not None
    digests = b"".join(
        hmac.new(
            pair.server_seed.encode(),
            f"{pair.client_seed}:{nonce}:{block}".encode(),
            hashlib.sha256,
        ).digest()
        for block in range(2)
    )
    return [int.from_bytes(digests[place : place + 4]) for place in range(0, 64, 4)]


# Draws.


def test_limbo_draws_the_nonces_in_turn_and_pays_what_targets_say() -> None:
    wallets = funded()
    balance, winners = 1_000_000, 0
    for nonce in range(200):
        result = max(100, int(99 / Fraction(words_of(wallets, nonce)[0], 2**32)))
        won = result >= 250
        payout = 252 if won else 0  # 101 * 2.50 is 252.5
        balance += payout - 101
        winners += won
        answer = wallets.act(ALICE, limbo(nonce + 1, 101, 250)).reply

        assert (answer.result, answer.won, answer.payout) == (result, won, payout)
        assert (answer.nonce, answer.pair, answer.target) == (nonce, 1, 250)
        assert answer.balance.available == balance == wallets.available(ALICE)
    assert 50 < winners < 110


def test_a_result_that_just_reaches_its_target_wins() -> None:
    wallets = funded()
    for number in range(1, 50):
        drawn = wallets.decide(ALICE, limbo(number, 100)).reply.result
        if drawn > 100:  # below 1.01 there is no target
            reached = wallets.decide(ALICE, limbo(number, 100, drawn)).reply
            missed = wallets.decide(ALICE, limbo(number, 100, drawn + 1)).reply
            assert (reached.result, reached.won, reached.payout) == (drawn, True, drawn)
            assert (missed.result, missed.won, missed.payout) == (drawn, False, 0)
        wallets.act(ALICE, limbo(number, 100))


@pytest.mark.parametrize(("rows", "risk"), [(8, "low"), (9, "high"), (15, "medium"), (16, "high")])
def test_plinko_draws_the_nonces_in_turn_and_pays_what_buckets_say(rows: int, risk: str) -> None:
    wallets = funded()
    balance, buckets = 1_000_000, set()
    for nonce in range(100):
        bucket = sum(word >= 2**31 for word in words_of(wallets, nonce)[:rows])
        multiplier = BOARDS[rows, risk][bucket]
        payout = int(Fraction(multiplier, 100) * 1_001)
        balance += payout - 1_001
        buckets.add(bucket)
        answer = wallets.act(ALICE, drop(nonce + 1, 1_001, rows, risk)).reply

        assert (answer.bucket, answer.multiplier, answer.payout) == (bucket, multiplier, payout)
        assert (answer.nonce, answer.pair, answer.rows, answer.risk) == (nonce, 1, rows, risk)
        assert answer.balance.available == balance == wallets.available(ALICE)
    assert len(buckets) > 4


def test_games_share_the_nonces_of_a_pair() -> None:
    wallets = funded()
    bets = [limbo(1, 10), drop(2, 10), roll_dice(3, 10), drop(4, 10, 16, "high"), limbo(5, 10)]

    assert [wallets.act(ALICE, bet).reply.nonce for bet in bets] == [0, 1, 2, 3, 4]


# Rows.


@pytest.mark.parametrize(
    ("bet", "game", "parameters"),
    [
        (limbo(1, 250, 300), "limbo", {"target": 300}),
        (drop(1, 250, 12, "medium"), "plinko", {"rows": 12, "risk": "medium"}),
    ],
)
def test_a_bet_is_one_row_with_what_verifies_it(
    bet: Any, game: str, parameters: dict[str, Any]
) -> None:
    wallets = funded()
    decision = wallets.act(ALICE, bet)
    (placed,) = decision.facts
    answer = decision.reply

    assert type(placed) is Entry
    assert (placed.kind, placed.seq, placed.currency) == (BET, 2, "PLAY")
    assert placed.available_delta == answer.payout - 250
    assert (placed.held_delta, placed.held_after) == (0, 0)
    assert placed.request_id == request(1)
    row = placed.bet
    assert type(row) is Bet
    assert (row.game, row.stake_minor, row.payout_minor) == (game, 250, answer.payout)
    assert (row.pair, row.nonce) == (1, 0)
    assert json.loads(row.parameters) == parameters
    assert (
        json.loads(row.outcome)
        == {
            "limbo": lambda: {"result": answer.result, "won": answer.won},
            "plinko": lambda: {"bucket": answer.bucket, "multiplier": answer.multiplier},
        }[game]()
    )
    assert [(push.room, push.event) for push in decision.pushes] == [("user:1", "wallet:updated")]


# Refusals.

LEAST, MOST = LIMITS["USD"].least_stake_minor, LIMITS["USD"].most_stake_minor
SERVERS = message_id(2, 7)
NO_TARGET = {"target": 100}
NO_BOARD = {"rows": 17}
# Each row breaks its own guard and those of the later ones that can be broken with it.
PRECEDENCE: list[tuple[type[Any], dict[str, Any], ErrorKind]] = [
    (PlayLimbo, {"request_id": SERVERS, "currency": "XXX", "stake": 1, **NO_TARGET}, MALFORMED),
    (PlayLimbo, {"currency": "XXX", "stake": 1, **NO_TARGET}, UNKNOWN_CURRENCY),
    (PlayLimbo, {"currency": "EUR", "stake": 1, **NO_TARGET}, UNKNOWN_CURRENCY),
    (PlayLimbo, {"stake": 1, **NO_TARGET}, TARGET_OUT_OF_RANGE),
    (PlayLimbo, {"stake": LEAST - 1, "target": 10**8}, STAKE_TOO_SMALL),
    (PlayLimbo, {"stake": MOST + 1, "target": 10**8}, STAKE_TOO_LARGE),
    (PlayLimbo, {"stake": MOST, "target": 10**8}, PROFIT_TOO_LARGE),
    (PlayLimbo, {"stake": 50_001}, INSUFFICIENT_BALANCE),
    (PlayLimbo, {"stake": 50_000}, NO_SEED),
    (DropPlinko, {"request_id": SERVERS, "currency": "XXX", "stake": 1, **NO_BOARD}, MALFORMED),
    (DropPlinko, {"currency": "XXX", "stake": 1, **NO_BOARD}, UNKNOWN_CURRENCY),
    (DropPlinko, {"currency": "EUR", "stake": 1, **NO_BOARD}, UNKNOWN_CURRENCY),
    (DropPlinko, {"stake": 1, **NO_BOARD}, UNKNOWN_BOARD),
    (DropPlinko, {"stake": LEAST - 1, "rows": 16, "risk": "high"}, STAKE_TOO_SMALL),
    (DropPlinko, {"stake": MOST + 1, "rows": 16, "risk": "high"}, STAKE_TOO_LARGE),
    (DropPlinko, {"stake": MOST, "rows": 16, "risk": "high"}, PROFIT_TOO_LARGE),
    (DropPlinko, {"stake": 50_001}, INSUFFICIENT_BALANCE),
    (DropPlinko, {"stake": 50_000}, NO_SEED),
]
SOUND: dict[type[Any], dict[str, Any]] = {
    PlayLimbo: {"target": 200},
    DropPlinko: {"rows": 8, "risk": "low"},
}


@pytest.mark.parametrize(("command", "change", "kind"), PRECEDENCE)
def test_guards_in_their_order(command: type[Any], change: dict[str, Any], kind: ErrorKind) -> None:
    wallets = funded(50_000, "USD")
    # No rule makes a balance without a seed pair; it is guarded against all the same, last.
    wallets.state(ALICE).pair = None
    fields = {"currency": "USD", "request_id": request(1), **SOUND[command], **change}
    before = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.act(ALICE, command(**fields))) is kind
    assert KIND.snapshot(wallets.state(ALICE)) == before


@pytest.mark.parametrize("bet", [limbo(1, 100, currency="XXX"), drop(1, 100, currency="XXX")])
def test_a_paused_game_refuses_new_bets_before_it_looks_at_them(bet: Any) -> None:
    wallets = funded()
    game = GAMES[type(bet)]
    paused: set[str] = set()
    rule = instant_rule(game, LIMITS, paused)

    def asked(wager: Any) -> ErrorKind | None:
        return refusal(lambda: rule.decide(wallets.state(ALICE), wager, wallets._context))

    assert asked(bet) is UNKNOWN_CURRENCY
    paused.add(game.name)
    assert asked(bet) is GAME_PAUSED
    assert asked(replace(bet, request_id=SERVERS)) is MALFORMED
    paused.remove(game.name)
    paused.add("another")
    assert asked(bet) is UNKNOWN_CURRENCY


@pytest.mark.parametrize("make", [limbo, drop])
@pytest.mark.parametrize(
    ("stake", "kind"),
    [
        (LEAST - 1, STAKE_TOO_SMALL),
        (LEAST, None),
        (MOST, None),
        (MOST + 1, STAKE_TOO_LARGE),
    ],
)
def test_limits_of_the_stake_are_inclusive(make: Any, stake: int, kind: ErrorKind | None) -> None:
    wallets = funded(MAX_MINOR // 2, "USD")

    assert refusal(lambda: wallets.decide(ALICE, make(1, stake, currency="USD"))) is kind


@pytest.mark.parametrize(
    ("bet", "profit"),
    [
        (limbo(1, 100, 250), 150),
        (limbo(1, 100, 10**8), 99_999_900),
        (drop(1, 100, 8, "low"), 460),
        (drop(1, 100, 16, "high"), 99_900),
    ],
)
@pytest.mark.parametrize(("short", "kind"), [(0, None), (1, PROFIT_TOO_LARGE)])
def test_the_limit_of_the_profit_is_inclusive(
    bet: Any, profit: int, short: int, kind: ErrorKind | None
) -> None:
    """Of limbo what the target pays; of plinko what the best bucket of the board pays."""
    wallets = funded()
    limits = {"PLAY": Limits(1, MAX_MINOR, profit - short)}
    strict = instant_rule(GAMES[type(bet)], limits)

    assert refusal(lambda: strict.decide(wallets.state(ALICE), bet, wallets._context)) is kind


@pytest.mark.parametrize("bet", [limbo(1, 100, 250), drop(1, 100, 8, "low")])
def test_the_last_bet_that_leaves_room_for_its_best_outcome(bet: Any) -> None:
    best = 150 if isinstance(bet, PlayLimbo) else 460
    exact, short = funded(MAX_MINOR - best), funded(MAX_MINOR - best + 1)

    assert refusal(lambda: exact.decide(ALICE, bet)) is None
    assert refusal(lambda: short.decide(ALICE, bet)) is BALANCE_LIMIT


# Replays.


@pytest.mark.parametrize("make", [limbo, drop])
def test_the_same_request_gives_the_same_answer_and_no_new_fact(make: Any) -> None:
    wallets = funded()
    first = wallets.answer(ALICE, make(1, 100))
    wallets.answer(ALICE, make(2, 100))
    rows = len(wallets.facts[ALICE])

    assert wallets.answer(ALICE, make(1, 100)) == first
    assert isinstance(first, LimboResult | PlinkoResult)
    assert len(wallets.facts[ALICE]) == rows


@pytest.mark.parametrize("bet", [limbo(1, 100), drop(1, 100)])
def test_an_answer_is_the_same_from_a_row_that_was_stored_with_other_spaces(bet: Any) -> None:
    wallets = funded()
    first = wallets.answer(ALICE, bet)
    (placed,) = wallets.entries(ALICE)[-1:]
    assert placed.bet is not None
    spaced = {
        name: json.dumps(json.loads(getattr(placed.bet, name)), indent=1)
        for name in ("parameters", "outcome")
    }
    stored = replace(placed, bet=replace(placed.bet, **spaced))
    replay = KIND.rules[type(bet)].replay
    assert replay is not None

    assert replay(bet, stored) == first


@pytest.mark.parametrize("bet", [limbo(1, 100), drop(1, 100)])
def test_a_row_of_another_game_is_no_answer_even_with_the_same_parameters(bet: Any) -> None:
    wallets = funded()
    wallets.answer(ALICE, bet)
    (placed,) = wallets.entries(ALICE)[-1:]
    assert placed.bet is not None
    other = replace(placed, bet=replace(placed.bet, game="keno"))
    replay = KIND.rules[type(bet)].replay
    assert replay is not None

    assert refusal(lambda: replay(bet, other)) is REQUEST_MISMATCH


OTHERS = [
    (limbo(1, 100), limbo(1, 101)),
    (limbo(1, 100), limbo(1, 100, 201)),
    (limbo(1, 100), limbo(1, 100, 100)),
    (limbo(1, 100), limbo(1, 100, currency="USD")),
    (limbo(1, 100), drop(1, 100)),
    (limbo(1, 100), roll_dice(1, 100, 200)),
    (roll_dice(1, 100, 200), limbo(1, 100, 200)),
    (drop(1, 100), drop(1, 101)),
    (drop(1, 100), drop(1, 100, 9)),
    (drop(1, 100), drop(1, 100, 8, "medium")),
    (drop(1, 100), drop(1, 100, 8, "none")),
    (drop(1, 100), drop(1, 100, currency="USD")),
    (drop(1, 100), limbo(1, 100)),
    (drop(1, 100), Adjust(DEPOSIT, "PLAY", 100, OPERATOR, request(1))),
    (Adjust(DEPOSIT, "PLAY", 100, OPERATOR, request(1)), drop(1, 100)),
    (Adjust(DEPOSIT, "PLAY", 100, OPERATOR, request(1)), limbo(1, 100)),
]


@pytest.mark.parametrize(("first", "other"), OTHERS)
def test_the_same_request_with_other_content_is_refused(first: Any, other: Any) -> None:
    wallets = funded()
    wallets.fund(ALICE, 1_000, "USD")
    wallets.answer(ALICE, first)
    before = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.answer(ALICE, other)) is REQUEST_MISMATCH
    assert KIND.snapshot(wallets.state(ALICE)) == before


@pytest.mark.parametrize("make", [limbo, drop])
def test_a_rejection_is_not_remembered(make: Any) -> None:
    wallets = funded(100)
    assert refusal(lambda: wallets.answer(ALICE, make(1, 101))) is INSUFFICIENT_BALANCE
    wallets.fund(ALICE, 1)

    assert wallets.answer(ALICE, make(1, 101)).stake == 101
