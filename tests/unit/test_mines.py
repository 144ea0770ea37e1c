"""A game of mines in a wallet: what its rows say, what refuses a step, how it ends, and replays."""

import hashlib
import hmac
import json
from contextlib import suppress
from fractions import Fraction
from math import comb
from typing import Any

import msgspec
import pytest

from actors.decision import Known
from actors.limits import Limits
from actors.mines.rules import mines_rules
from actors.wallet.commands import Adjust
from actors.wallet.facts import DEPOSIT, HOLD, REVEAL, SETTLE, WITHDRAWAL, Entry
from actors.wallet.state import WalletState, apply
from protocol.bounds import MAX_MINOR
from protocol.commands.mines import CashOutMines, Ended, GetMines, RevealTile, StartMines
from protocol.commands.seed import RotateSeed, SetClientSeed
from protocol.errors import (
    BALANCE_LIMIT,
    GAME_OPEN,
    GAME_PAUSED,
    INSUFFICIENT_BALANCE,
    MALFORMED,
    NO_OPEN_GAME,
    NO_SEED,
    NOTHING_PICKED,
    PROFIT_TOO_LARGE,
    REQUEST_MISMATCH,
    SEED_IN_USE,
    STAKE_TOO_LARGE,
    STAKE_TOO_SMALL,
    TILE_REVEALED,
    UNKNOWN_CURRENCY,
    ErrorKind,
)
from protocol.ids import message_id
from tests.support.wallets import (
    KIND,
    LIMITS,
    OPERATOR,
    Wallets,
    cash_out,
    drop,
    pick,
    refusal,
    request,
    roll,
    start,
)

ALICE = 1


def funded(amount_minor: int = 1_000_000, currency: str = "PLAY") -> Wallets:
    wallets = Wallets()
    wallets.fund(ALICE, amount_minor, currency)
    return wallets


def mined(wallets: Wallets, nonce: int, mines: int) -> list[int]:
    """Where the mines lie, from the published scheme."""
    pair = wallets.state(ALICE).pair
    assert pair is not None
    digests = b"".join(
        hmac.digest(
            pair.server_seed.encode(), f"{pair.client_seed}:{nonce}:{block}".encode(), "sha256"
        )
        for block in range(3)
    )
    words = [int.from_bytes(digests[place : place + 4]) for place in range(0, 96, 4)]
    tiles = list(range(25))
    return sorted(tiles.pop(word * (25 - count) >> 32) for count, word in enumerate(words[:mines]))


def safe(wallets: Wallets, nonce: int, mines: int) -> list[int]:
    """The tiles that can be picked without harm."""
    return [tile for tile in range(25) if tile not in mined(wallets, nonce, mines)]


def worth(mines: int, picks: int) -> Fraction:
    """The multiplier after so many safe picks."""
    return Fraction(99, 100) * Fraction(comb(25, picks), comb(25 - mines, picks))


# A game, row by row.


def test_a_start_holds_the_stake_and_takes_a_nonce() -> None:
    wallets = funded()
    wallets.act(ALICE, roll(1, 10))
    available = wallets.available(ALICE)
    decision = wallets.act(ALICE, start(2, 1_000, mines=5))
    (made,) = decision.facts

    assert (made.kind, made.seq, made.currency, made.request_id) == (HOLD, 3, "PLAY", request(2))
    assert (made.available_delta, made.held_delta) == (-1_000, 1_000)
    assert (made.available_after, made.held_after) == (available - 1_000, 1_000)
    assert (made.step.game, made.step.stake_minor) == ("mines", 1_000)
    assert (made.step.pair, made.step.nonce) == (1, 1)
    assert json.loads(made.step.parameters) == {"mines": 5}
    assert (made.step.payout_minor, made.step.outcome, made.step.hold) == (None, None, None)
    assert [(push.room, push.event) for push in decision.pushes] == [("user:1", "wallet:updated")]
    assert msgspec.to_builtins(decision.reply) == {
        "bet_id": "1-3",
        "currency": "PLAY",
        "stake": 1_000,
        "mines": 5,
        "revealed": [],
        "multiplier": 0,
        "next_multiplier": int(worth(5, 1) * 100),
        "payout": 0,
        "ended": None,
        "mined": None,
        "balance": {
            "currency": "PLAY",
            "available": available - 1_000,
            "held": 1_000,
            "seq": 3,
        },
        "pair": 1,
        "nonce": 1,
    }
    assert wallets.act(ALICE, roll(3, 10)).reply.nonce == 2


def test_a_safe_tile_is_a_row_that_moves_nothing() -> None:
    wallets = funded()
    wallets.act(ALICE, start(1, 1_001, mines=3))
    first, second = safe(wallets, 0, 3)[4:6]
    wallets.act(ALICE, pick(2, first))
    decision = wallets.act(ALICE, pick(3, second))
    (made,) = decision.facts
    answer = decision.reply

    assert (made.kind, made.available_delta, made.held_delta) == (REVEAL, 0, 0)
    assert (made.request_id, made.step.game, made.step.hold) == (request(3), "mines", 2)
    assert json.loads(made.step.outcome) == {
        "tile": second,
        "revealed": [first, second],
        "mines": 3,
        "stake": 1_001,
    }
    assert decision.pushes == ()
    assert (answer.bet_id, answer.revealed) == ("1-2", [first, second])
    assert (answer.multiplier, answer.next_multiplier) == (
        int(worth(3, 2) * 100),
        int(worth(3, 3) * 100),
    )
    assert answer.payout == int(worth(3, 2) * 1_001)
    assert (answer.ended, answer.mined) == (None, None)
    assert (answer.balance.held, answer.balance.seq) == (1_001, 4)


def test_a_mine_ends_the_game_and_shows_them_all() -> None:
    wallets = funded()
    wallets.act(ALICE, start(1, 1_000, mines=3))
    (good, *_), lost = safe(wallets, 0, 3), mined(wallets, 0, 3)[1]
    wallets.act(ALICE, pick(2, good))
    decision = wallets.act(ALICE, pick(3, lost))
    (made,) = decision.facts
    answer = decision.reply

    assert (made.kind, made.request_id) == (SETTLE, request(3))
    assert (made.available_delta, made.held_delta) == (0, -1_000)
    assert (made.step.stake_minor, made.step.payout_minor, made.step.hold) == (1_000, 0, 2)
    assert json.loads(made.step.outcome) == {
        "mines": mined(wallets, 0, 3),
        "picked": [good, lost],
        "multiplier": 0,
        "ended": "mine",
    }
    assert (answer.ended, answer.mined) == (Ended.MINE, mined(wallets, 0, 3))
    assert (answer.payout, answer.multiplier, answer.next_multiplier) == (0, 0, None)
    assert answer.revealed == [good, lost]
    assert [push.event for push in decision.pushes] == ["wallet:updated"]
    assert wallets.available(ALICE) == 999_000
    assert wallets.state(ALICE).holds == {}


@pytest.mark.parametrize(("mines", "picks"), [(1, 1), (3, 4), (5, 2), (24, 0), (12, 9)])
@pytest.mark.parametrize("stake", [1, 999, 1_000])
def test_a_cash_out_pays_what_the_picks_are_worth(mines: int, picks: int, stake: int) -> None:
    wallets = funded()
    wallets.act(ALICE, start(1, stake, mines))
    for number, tile in enumerate(safe(wallets, 0, mines)[:picks]):
        wallets.act(ALICE, pick(number + 2, tile))
    if not picks:
        assert refusal(lambda: wallets.answer(ALICE, cash_out(90))) is NOTHING_PICKED
        return
    decision = wallets.act(ALICE, cash_out(90))
    (made,) = decision.facts
    paid = int(worth(mines, picks) * stake)

    assert (made.kind, made.request_id) == (SETTLE, request(90))
    assert (made.available_delta, made.held_delta) == (paid, -stake)
    assert json.loads(made.step.outcome) == {
        "mines": mined(wallets, 0, mines),
        "picked": safe(wallets, 0, mines)[:picks],
        "multiplier": int(worth(mines, picks) * 100),
        "ended": "cashout",
    }
    assert decision.reply.payout == paid
    assert decision.reply.mined == mined(wallets, 0, mines)
    assert wallets.available(ALICE) == 1_000_000 - stake + paid
    assert wallets.state(ALICE).balance("PLAY").held == 0


@pytest.mark.parametrize("mines", [22, 24])
def test_the_last_safe_tile_cashes_out_by_itself(mines: int) -> None:
    wallets = funded()
    wallets.act(ALICE, start(1, 100, mines))
    tiles = safe(wallets, 0, mines)
    answers = [wallets.act(ALICE, pick(n + 2, tile)).reply for n, tile in enumerate(tiles)]

    assert [answer.ended for answer in answers] == [None] * (24 - mines) + [Ended.CLEARED]
    assert answers[-1].payout == int(99 * comb(25, mines))
    assert answers[-1].mined == mined(wallets, 0, mines)
    assert wallets.state(ALICE).holds == {}


def test_a_pick_after_which_another_could_win_too_much_cashes_out_by_itself() -> None:
    """One million is the most profit in USD."""
    wallets = funded(100_000, "USD")
    wallets.act(ALICE, start(1, 100_000, 3, "USD"))
    picks = next(picks for picks in range(1, 22) if worth(3, picks + 1) * 100_000 > 1_100_000)
    tiles = safe(wallets, 0, 3)[:picks]
    answers = [wallets.act(ALICE, pick(n + 2, tile, "USD")).reply for n, tile in enumerate(tiles)]

    assert [answer.ended for answer in answers] == [None] * (picks - 1) + [Ended.LIMIT]
    assert answers[-1].payout == int(worth(3, picks) * 100_000) <= 1_100_000
    assert wallets.available(ALICE, "USD") == answers[-1].payout


def test_a_game_whose_currency_is_not_offered_any_more_goes_on() -> None:
    wallets = funded()
    wallets.act(ALICE, start(1, 100, 3))
    reveal = mines_rules({})[RevealTile]
    state, tile = wallets.state(ALICE), safe(wallets, 0, 3)[0]

    assert reveal.decide(state, pick(2, tile), wallets._context).reply.revealed == [tile]


def test_a_pause_keeps_games_from_being_opened_and_none_from_going_on() -> None:
    wallets, paused = funded(), {"mines"}
    rules = mines_rules(LIMITS, paused)
    state, context = wallets.state(ALICE), wallets._context

    assert refusal(lambda: rules[StartMines].decide(state, start(1, 0), context)) is GAME_PAUSED
    assert refusal(lambda: wallets.answer(ALICE, start(2, 100, 3))) is None
    picked = rules[RevealTile].decide(state, pick(3, safe(wallets, 0, 3)[0]), context)
    apply(state, picked.facts[0])
    assert rules[CashOutMines].decide(state, cash_out(4), context).reply.ended is Ended.CASHOUT


def test_currencies_have_a_game_each() -> None:
    wallets = funded()
    wallets.fund(ALICE, 1_000, "USD")
    wallets.act(ALICE, start(1, 100, 3))
    wallets.act(ALICE, start(2, 100, 5, "USD"))
    wallets.act(ALICE, pick(3, safe(wallets, 1, 5)[0], "USD"))
    games = wallets.act(ALICE, GetMines()).reply.games

    assert [(game.currency, game.mines, len(game.revealed)) for game in games] == [
        ("PLAY", 3, 0),
        ("USD", 5, 1),
    ]
    assert wallets.act(ALICE, GetMines("USD")).reply.games == games[1:]
    assert wallets.act(ALICE, GetMines("BTC")).reply.games == []
    assert wallets.act(ALICE, cash_out(4, "USD")).reply.bet_id == games[1].bet_id
    assert wallets.act(ALICE, GetMines()).reply.games == games[:1]


def test_nothing_tells_where_the_mines_lie_before_the_end() -> None:
    """All rows, answers and news of a game, but the last, are the same wherever they lie."""

    def told(nonce: int) -> bytes:
        wallets = funded()
        for number in range(nonce):
            wallets.act(ALICE, roll(number + 50, 1))
        available = wallets.available(ALICE)
        wallets.act(ALICE, Adjust(WITHDRAWAL, "PLAY", available - 1_000, OPERATOR, request(40)))
        commands = [start(1, 100, 3), GetMines(), pick(2, 7), GetMines(), pick(3, 11), GetMines()]
        decisions = [wallets.act(ALICE, command) for command in commands]
        for decision in decisions:
            assert getattr(decision.reply, "mined", None) is None
        written = msgspec.json.encode([[d.reply, d.facts, d.pushes] for d in decisions])
        # Numbers that tell how often was played before; nothing else may differ.
        numbers = msgspec.json.decode(written)
        return json.dumps(_without(numbers, {"seq", "nonce", "hold", "bet_id", "at_ms"})).encode()

    wallets = funded()
    harmless = [n for n in range(12) if not {7, 11} & set(mined(wallets, n, 3))]
    assert len({tuple(mined(wallets, nonce, 3)) for nonce in harmless}) > 1
    assert len({told(nonce) for nonce in harmless}) == 1


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {k: _without(inner, names) for k, inner in value.items() if k not in names}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


# Refusals.

LEAST, MOST = LIMITS["USD"].least_stake_minor, LIMITS["USD"].most_stake_minor
SERVERS = message_id(2, 7)
# Each row breaks its own guard and those of the later ones that can be broken with it.
PRECEDENCE: list[tuple[dict[str, Any], ErrorKind]] = [
    ({"request_id": SERVERS, "currency": "XXX", "stake": 1}, MALFORMED),
    ({"currency": "XXX", "stake": 1}, UNKNOWN_CURRENCY),
    ({"currency": "EUR", "stake": 1}, UNKNOWN_CURRENCY),
    ({"stake": LEAST - 1, "mines": 24}, STAKE_TOO_SMALL),
    ({"stake": MOST + 1, "mines": 24}, STAKE_TOO_LARGE),
    ({"stake": MOST, "mines": 24}, PROFIT_TOO_LARGE),
    ({"stake": 50_001}, INSUFFICIENT_BALANCE),
    ({"stake": 50_000}, NO_SEED),
]


@pytest.mark.parametrize(("change", "kind"), PRECEDENCE)
def test_guards_of_a_start_in_their_order(change: dict[str, Any], kind: ErrorKind) -> None:
    wallets = funded(50_000, "USD")
    # No rule makes a balance without a seed pair; it is guarded against all the same, last.
    wallets.state(ALICE).pair = None
    fields = {"currency": "USD", "mines": 3, "request_id": request(1), **change}
    before = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.answer(ALICE, StartMines(**fields))) is kind
    assert KIND.snapshot(wallets.state(ALICE)) == before


@pytest.mark.parametrize(
    ("stake", "kind"), [(LEAST - 1, STAKE_TOO_SMALL), (LEAST, GAME_OPEN), (60_000, GAME_OPEN)]
)
def test_a_second_game_is_refused_after_the_limits_and_before_the_balance(
    stake: int, kind: ErrorKind
) -> None:
    wallets = funded(50_000, "USD")
    wallets.act(ALICE, start(1, 100, 3, "USD"))
    before = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.answer(ALICE, start(2, stake, 3, "USD"))) is kind
    assert KIND.snapshot(wallets.state(ALICE)) == before


@pytest.mark.parametrize(("short", "kind"), [(0, None), (1, PROFIT_TOO_LARGE)])
def test_a_game_may_start_where_one_pick_may_be_won(short: int, kind: ErrorKind | None) -> None:
    wallets = funded()
    rules = mines_rules({"PLAY": Limits(1, MAX_MINOR, int(worth(20, 1) * 100) - 100 - short)})
    decide, state = rules[StartMines].decide, wallets.state(ALICE)

    assert refusal(lambda: decide(state, start(1, 100, 20), wallets._context)) is kind


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        ([pick(5, 1)], NO_OPEN_GAME),
        ([cash_out(5)], NO_OPEN_GAME),
        ([start(1, 100, 3), cash_out(5)], NOTHING_PICKED),
        ([start(1, 100, 3), pick(5, 1, "USD")], NO_OPEN_GAME),
        ([start(1, 100, 3), cash_out(5, "USD")], NO_OPEN_GAME),
        ([start(1, 100, 3), pick(2, -1), pick(5, -1)], TILE_REVEALED),
        ([start(1, 100, 3), pick(2, -1), cash_out(3), pick(5, 1)], NO_OPEN_GAME),
        ([start(1, 100, 3), pick(2, -1), cash_out(3), cash_out(5)], NO_OPEN_GAME),
        ([start(1, 100, 24), pick(2, -1), cash_out(5)], NO_OPEN_GAME),
    ],
)
def test_what_the_state_of_a_game_refuses(play: list[Any], kind: ErrorKind) -> None:
    """Tile -1 stands for the first safe one."""
    wallets = funded()
    *before, last = [
        pick(command.request_id.int & 0xFF, safe(wallets, 0, play[0].mines)[0])
        if getattr(command, "tile", None) == -1
        else command
        for command in play
    ]
    for command in before:
        wallets.answer(ALICE, command)
    snapshot = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.answer(ALICE, last)) is kind
    assert KIND.snapshot(wallets.state(ALICE)) == snapshot


@pytest.mark.parametrize("command", [start(1, 100), pick(1, 3), cash_out(1)])
def test_no_step_takes_an_id_of_the_server(command: Any) -> None:
    wallets = funded()
    wallets.act(ALICE, start(50, 100))
    theirs = msgspec.structs.replace(command, request_id=SERVERS)

    assert refusal(lambda: wallets.answer(ALICE, theirs)) is MALFORMED


@pytest.mark.parametrize("command", [RotateSeed(), RotateSeed("lucky"), SetClientSeed("lucky")])
def test_seeds_are_not_changed_while_a_game_draws_from_them(command: Any) -> None:
    wallets = funded()
    wallets.act(ALICE, start(1, 100, 3))
    wallets.act(ALICE, pick(2, safe(wallets, 0, 3)[0]))

    assert refusal(lambda: wallets.answer(ALICE, command)) is SEED_IN_USE
    wallets.act(ALICE, cash_out(3))
    assert refusal(lambda: wallets.answer(ALICE, command)) is None


def test_a_full_wallet_keeps_the_game_open_until_there_is_room() -> None:
    wallets = funded()
    wallets.act(ALICE, start(1, 100, 3))
    wallets.act(ALICE, pick(2, safe(wallets, 0, 3)[0]))
    wallets.fund(ALICE, MAX_MINOR - wallets.available(ALICE))
    before = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.answer(ALICE, cash_out(3))) is BALANCE_LIMIT
    assert KIND.snapshot(wallets.state(ALICE)) == before
    wallets.act(ALICE, Adjust(WITHDRAWAL, "PLAY", 1_000, OPERATOR, request(4)))
    assert wallets.act(ALICE, cash_out(3)).reply.payout == int(worth(3, 1) * 100)


def test_no_more_is_held_than_a_balance_can_be() -> None:
    wallets = funded(MAX_MINOR)
    wallets.state(ALICE).balances["PLAY"].held = 1

    assert refusal(lambda: wallets.answer(ALICE, start(1, MAX_MINOR, 1))) is PROFIT_TOO_LARGE or (
        refusal(lambda: wallets.answer(ALICE, start(1, MAX_MINOR, 1))) is BALANCE_LIMIT
    )


# Replays.


def whole_games() -> tuple[Wallets, list[Any]]:
    """A wallet with a game of each end, and the commands that were done."""
    wallets = funded()
    commands: list[Any] = []

    def act(command: Any) -> None:
        wallets.act(ALICE, command)
        commands.append(command)

    act(start(1, 100, 3))
    act(pick(2, safe(wallets, 0, 3)[0]))
    act(pick(3, safe(wallets, 0, 3)[1]))
    act(cash_out(4))
    act(start(5, 100, 3))
    act(pick(6, safe(wallets, 1, 3)[0]))
    act(pick(7, mined(wallets, 1, 3)[0]))
    act(start(8, 100, 24))
    act(pick(9, safe(wallets, 2, 24)[0]))
    act(start(10, 100, 3))
    act(pick(11, safe(wallets, 3, 3)[0]))
    return wallets, commands


@pytest.mark.parametrize("spaced", [False, True])
def test_every_step_is_answered_again_as_the_first_time(spaced: bool) -> None:
    _wallets, commands = whole_games()
    wallets = funded()
    first = [wallets.answer(ALICE, command) for command in commands]
    rows = len(wallets.facts[ALICE])
    if spaced:
        wallets.facts[ALICE] = [_spaced(fact) for fact in wallets.facts[ALICE]]

    assert [wallets.answer(ALICE, command) for command in commands] == first
    assert len(wallets.facts[ALICE]) == rows


@pytest.mark.parametrize("another_is_open", [False, True])
def test_a_step_of_long_ago_is_looked_for_and_never_done_again(another_is_open: bool) -> None:
    """Its id is forgotten: the state refuses it unless there is a row, or the index of ids does."""
    wallets, commands = whole_games()
    if not another_is_open:
        wallets.act(ALICE, cash_out(20))
    for command in commands:
        del wallets.state(ALICE).recent[command.request_id.int]
        made: Any = None
        with suppress(Known):
            (made,) = wallets.decide(ALICE, command).facts
        # A start, where nothing is open, or a step of the open game, would be a second row.
        if made is not None:
            assert made.request_id == command.request_id
            assert another_is_open is not isinstance(command, StartMines)


def _spaced(fact: Any) -> Any:
    """A fact as storage gives it back: the same JSON with other spaces."""
    if type(fact) is not Entry or fact.step is None:
        return fact
    texts = {
        name: json.dumps(json.loads(text), indent=1)
        for name in ("parameters", "outcome")
        if (text := getattr(fact.step, name)) is not None
    }
    return msgspec.structs.replace(fact, step=msgspec.structs.replace(fact.step, **texts))


def test_a_cash_out_is_answered_again_while_a_later_game_is_open() -> None:
    wallets, commands = whole_games()
    state = KIND.snapshot(wallets.state(ALICE))

    assert wallets.answer(ALICE, commands[3]).bet_id == "1-2"
    assert KIND.snapshot(wallets.state(ALICE)) == state


def test_the_same_request_with_other_content_is_refused() -> None:
    wallets, commands = whole_games()
    safe_tile, mine, last = commands[1].tile, commands[6].tile, commands[8].tile
    others = [
        start(1, 101, 3),
        start(1, 100, 4),
        start(1, 100, 3, "USD"),
        pick(1, 3),
        cash_out(1),
        roll(1, 100),
        drop(1, 100),
        Adjust(DEPOSIT, "PLAY", 100, OPERATOR, request(1)),
        pick(2, (safe_tile + 1) % 25),
        pick(2, safe_tile, "USD"),
        start(2, 100, 3),
        cash_out(2),
        # Cashed out with this tile as the last one, but not by it.
        pick(4, commands[2].tile),
        cash_out(4, "USD"),
        start(4, 100, 3),
        pick(7, (mine + 1) % 25),
        cash_out(7),
        pick(9, (last + 1) % 25),
        cash_out(9),
        roll(9, 100),
    ]
    before = KIND.snapshot(wallets.state(ALICE))
    for other in others:
        assert refusal(lambda: wallets.answer(ALICE, other)) is REQUEST_MISMATCH, other  # noqa: B023 - called at once
    assert KIND.snapshot(wallets.state(ALICE)) == before


def test_requests_of_other_kinds_are_not_answered_by_a_game() -> None:
    wallets = funded()
    wallets.act(ALICE, roll(1, 100))
    wallets.act(ALICE, Adjust(DEPOSIT, "PLAY", 100, OPERATOR, request(2)))
    for number in (1, 2):
        for other in (start(number, 100), pick(number, 3), cash_out(number)):
            assert refusal(lambda: wallets.answer(ALICE, other)) is REQUEST_MISMATCH  # noqa: B023 - called at once


# Read back.


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("at", range(13))
def test_a_wallet_read_back_plays_on(at: int, spaced: bool) -> None:
    """From a snapshot after any number of facts, and the rest of the rows."""
    wallets, _commands = whole_games()
    facts = [_spaced(fact) if spaced else fact for fact in wallets.facts[ALICE]]
    whole, upto = WalletState(ALICE), min(at, len(facts))
    for fact in facts[:upto]:
        apply(whole, fact)
    again = KIND.restore(ALICE, KIND.snapshot(whole))
    pairs = [fact for fact in facts[:upto] if type(fact) is not Entry]
    for fact in (*pairs[-1:], *facts[upto:]):
        apply(again, fact)
    wallets.states[ALICE] = again

    assert [game.revealed for game in wallets.act(ALICE, GetMines()).reply.games] == [
        [safe(wallets, 3, 3)[0]]
    ]
    tile = safe(wallets, 3, 3)[1]
    assert len(wallets.act(ALICE, pick(50, tile)).reply.revealed) == 2
    assert wallets.act(ALICE, cash_out(51)).reply.payout == int(worth(3, 2) * 100)


def test_the_test_computes_the_published_scheme() -> None:
    """SHA-256 of the pair that is in force is the one that was shown."""
    wallets = funded()
    pair = wallets.state(ALICE).pair
    assert pair is not None
    assert hashlib.sha256(pair.server_seed.encode()).hexdigest() == pair.server_seed_hash
    assert hmac.digest(b"key", b"", "sha256").hex().startswith("5d5d139563c95b59")
