"""Bets of crash: what refuses them, how they join once, leave, and are cashed out once."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.crash import state as crash_state
from actors.crash.commands import CashOut, Leave, Wake
from actors.runtime.alarms import Alarm
from actors.wallet.commands import ReleaseHold
from protocol.ids import table_message_id
from tests.support.rounds import TABLE, Felt, bodies, code


def betting() -> Felt:
    """A table whose second round takes bets; wallets 1 and 2 are in it."""
    felt = Felt()
    felt.open()
    felt.start()
    felt.do(Alarm(), felt.busts_ms)
    felt.do(Alarm(), felt.now_ms + 3_000)
    assert felt.round.number == 2
    felt.join(1)
    felt.join(2, auto=150)
    return felt


def running() -> Felt:
    """The same, a moment after the start."""
    felt = betting()
    felt.start()
    felt.now_ms += 10
    return felt


def over() -> Felt:
    """The same, after its bust."""
    felt = running()
    felt.do(Alarm(), felt.busts_ms)
    return felt


REFUSED: list[tuple[str, Any, dict[str, Any], str | None]] = [
    ("a bet", betting, {}, None),
    ("a target just above 1.00", betting, {"auto": 101}, None),
    ("the highest target", betting, {"auto": TABLE.most_multiplier}, None),
    ("the least stake", betting, {"stake": 10}, None),
    ("the most stake", betting, {"stake": 1_000_000}, None),
    ("a target of 1.00", betting, {"auto": 100}, "auto_cashout_out_of_range"),
    ("a target below 1.00", betting, {"auto": 99}, "auto_cashout_out_of_range"),
    ("a target of nothing", betting, {"auto": 0}, "auto_cashout_out_of_range"),
    ("too high a target", betting, {"auto": 100_000_001}, "auto_cashout_out_of_range"),
    ("another currency", betting, {"currency": "USD"}, "currency_mismatch"),
    ("too small a stake", betting, {"stake": 9}, "stake_too_small"),
    ("too large a stake", betting, {"stake": 1_000_001}, "stake_too_large"),
    ("a round that is over", betting, {"number": 1}, "round_over"),
    ("a round to come", betting, {"number": 3}, "unknown_round"),
    ("a second bet", betting, {"wallet_id": 1}, "already_in_round"),
    ("a bet after the start", running, {}, "round_started"),
    ("a bet after the bust", over, {}, "round_over"),
    # In their order of precedence: the first that applies is the one that is told.
    ("all of it wrong", over, {"currency": "USD", "auto": 1, "stake": 1}, "currency_mismatch"),
    ("all but the currency", over, {"auto": 1, "stake": 1}, "auto_cashout_out_of_range"),
    ("a stake and a round", over, {"stake": 1, "number": 9}, "stake_too_small"),
    ("a stranger's late bet", running, {"number": 1}, "round_over"),
    ("a second bet after the start", running, {"wallet_id": 1}, "round_started"),
]


@pytest.mark.parametrize(
    ("stage", "fields", "refusal"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_an_offer_is_refused_for_the_first_reason(
    stage: Any, fields: dict[str, Any], refusal: str | None
) -> None:
    felt = stage()
    before = list(felt.rows)
    fields = {"wallet_id": 9, **fields}
    assert code(felt.ask(**fields)) == refusal
    assert felt.rows == before


def test_a_pause_comes_before_all_else() -> None:
    felt = Felt(paused={"crash"})
    assert code(felt.ask(9, currency="USD", stake=1, auto=1)) == "game_paused"


def test_a_full_round_takes_no_more_until_somebody_leaves() -> None:
    felt = Felt(table=replace(TABLE, max_bets=2))
    felt.open()
    felt.join(1)
    felt.join(2)
    assert code(felt.ask(3)) == code(felt.join(3)) == "round_full"
    felt.leave(1)
    assert felt.ask(3) is None
    assert felt.join(4).round_id == "1-1"
    assert felt.ends()[3] == ("returned", None, None, "round_full")


def test_a_bet_joins_with_what_it_said_and_is_told() -> None:
    felt = Felt()
    felt.open()
    answer = felt.join(7, stake=250, auto=180, hold=31)
    assert (answer.round_id, answer.bet_id, answer.stake) == ("1-1", "7-31", 250)
    assert (answer.currency, answer.auto_cashout, answer.at_ms) == ("PLAY", 180, felt.now_ms)
    row = felt.rows[-1]
    assert (row.kind, row.wallet_id, row.hold, row.stake_minor) == ("joined", 7, 31, 250)
    (item,) = felt.events("bet:joined")
    assert (item.round_id, item.player, item.stake) == ("1-1", "player7", 250)
    shown = felt.shown(7)
    assert (shown.bet_count, shown.staked, shown.own.bet_id) == (1, 250, "7-31")
    assert felt.shown(8).own is None


def test_a_bet_that_is_taken_back_is_told_and_cannot_be_mistaken_for_a_later_one() -> None:
    felt = Felt()
    felt.open()
    felt.join(7, hold=31)
    felt.leave(7)
    felt.join(7, hold=32)
    (left,) = felt.events("bet:left")
    first, again = felt.events("bet:joined")
    assert (left.round_id, left.player) == ("1-1", "player7")
    # Told in lists of their own, they have one order.
    assert [first.seq, left.seq, again.seq] == [row.seq for row in felt.rows[1:]]


@pytest.mark.parametrize("stage", [betting, running, over])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_join_that_comes_again_is_answered_again_without_a_row(
    stage: Any, restarted: bool
) -> None:
    felt = stage()
    felt.sent.clear()
    if restarted:
        # Whatever was under way is voided first: those are not the rows that are looked for.
        felt.restart()
        felt.do(Wake())
        felt.sent.clear()
    before = list(felt.rows)
    answer = felt.join(2, auto=150)
    assert (answer.bet_id, answer.stake, answer.auto_cashout) == ("2-20", 100, 150)
    assert (felt.rows, felt.sent) == (before, [])


def test_a_join_that_left_is_answered_again_too() -> None:
    felt = betting()
    felt.leave(1)
    before = list(felt.rows)
    assert felt.join(1).bet_id == "1-10"
    assert felt.rows == before
    # The same player, another stake: that is another bet.
    assert felt.join(1, hold=11).bet_id == "1-11"
    assert felt.bet(1).hold == 11


@pytest.mark.parametrize(
    ("stage", "fields", "reason"),
    [
        (betting, {"number": 1}, "round_over"),
        (betting, {"number": 7}, "unknown_round"),
        (running, {}, "round_started"),
        (over, {}, "round_over"),
    ],
)
def test_a_late_join_is_returned_with_its_reason_once(
    stage: Any, fields: dict[str, Any], reason: str
) -> None:
    felt = stage()
    rows = len(felt.rows)
    felt.sent.clear()
    assert code(felt.join(9, hold=77, **fields)) == reason
    assert code(felt.join(9, hold=77, **fields)) == reason
    felt.restart()
    assert code(felt.join(9, hold=77, **fields)) == reason
    returned = [row for row in felt.rows[rows:] if row.wallet_id == 9]
    assert [(row.kind, row.hold, row.reason) for row in returned] == [("returned", 77, reason)]
    number = fields.get("number", 2)
    mine = [message for message in felt.sent if message.key == 9]
    assert bodies(mine) == [
        {
            "wallet": 9,
            "hold": 77,
            "outcome": {
                "round_id": f"1-{number}",
                "ended": "returned",
                "multiplier": None,
                "reason": reason,
            },
        }
    ]
    assert mine[0].id == table_message_id(1, returned[0].seq)


def test_a_bet_that_is_in_the_round_joins_once_even_if_its_join_was_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crash_state, "MAX_TAKEN", 10)
    felt = betting()
    for wallet_id in range(50, 60):
        felt.join(wallet_id)
        felt.leave(wallet_id)
    assert (1, 10) not in felt.state.taken
    felt.sent.clear()
    assert felt.join(1).bet_id == "1-10"
    felt.start()
    assert felt.join(1).bet_id == "1-10"
    assert [message for message in felt.sent if message.key == 1] == []


@pytest.mark.parametrize("verb", [Leave, CashOut])
@pytest.mark.parametrize(
    ("stage", "wallet_id", "number", "refusals"),
    [
        (betting, 9, 2, ("not_in_round", "not_in_round")),
        (betting, 1, 1, ("round_over", "round_over")),
        (betting, 1, 3, ("unknown_round", "unknown_round")),
        (betting, 1, 2, (None, "round_not_started")),
        (running, 1, 2, ("round_started", None)),
        (running, 9, 2, ("not_in_round", "not_in_round")),
        (running, 1, 1, ("round_over", "round_over")),
        (running, 1, 3, ("unknown_round", "unknown_round")),
        (over, 1, 2, ("round_over", "round_over")),
        (over, 2, 2, ("round_over", "already_cashed_out")),
        (over, 9, 2, ("not_in_round", "not_in_round")),
    ],
)
def test_leaving_and_cashing_out_are_refused_each_for_its_reason(
    verb: Any, stage: Any, wallet_id: int, number: int, refusals: tuple[str | None, ...]
) -> None:
    felt = stage()
    before, sent = list(felt.rows), list(felt.sent)
    refusal = refusals[verb is CashOut]
    assert code(felt.do(verb(number, wallet_id))) == refusal
    if refusal is not None:
        assert (felt.rows, felt.sent) == (before, sent)


def test_a_bet_that_leaves_gets_its_stake_back_and_may_come_again() -> None:
    felt = betting()
    answer = felt.leave(1)
    assert (answer.round_id, answer.bet_id) == ("1-2", "1-10")
    assert code(felt.leave(1)) == code(felt.cash_out(1)) == "not_in_round"
    message = felt.sent[-1]
    assert isinstance(message.body, ReleaseHold)
    assert (message.kind, message.key, message.body.hold) == ("wallet", 1, 10)
    assert (felt.round.staked_minor, felt.round.open_bets) == (100, 1)
    assert felt.ask(1) is None
    felt.join(1, stake=500, hold=11)
    felt.start()
    felt.do(Alarm(), felt.busts_ms)
    crashed = felt.rows[-2]
    assert (crashed.kind, crashed.bets, crashed.stake_minor) == ("crashed", 2, 600)


def test_a_cashout_is_paid_told_and_shown_once() -> None:
    felt = running()
    answer = felt.cash_out(1, felt.at(137))
    assert (answer.round_id, answer.bet_id) == ("1-2", "1-10")
    assert (answer.multiplier, answer.payout, answer.currency) == (137, 137, "PLAY")
    rows, sent = len(felt.rows), len(felt.sent)
    again = felt.cash_out(1, felt.at(140))
    assert (code(again), again.details) == (
        "already_cashed_out",
        {"multiplier": 137, "payout": 137},
    )
    assert (len(felt.rows), len(felt.sent)) == (rows, sent)
    assert bodies(felt.sent)[-1] == {
        "wallet": 1,
        "hold": 10,
        "payout_minor": 137,
        "outcome": {
            "round_id": "1-2",
            "ended": "cashed_out",
            "multiplier": 137,
            "reason": "manual",
        },
    }
    item = felt.events("player:cashed_out")[-1]
    assert (item.player, item.multiplier, item.payout) == ("player1", 137, 137)
    own = felt.shown(1).own
    assert (own.ended, own.multiplier, own.payout) == ("cashed_out", 137, 137)
    felt.do(Alarm(), felt.busts_ms)
    assert code(felt.cash_out(1)) == "already_cashed_out"


def test_payouts_are_rounded_down_once() -> None:
    felt = Felt()
    felt.open()
    felt.join(1, stake=33, auto=199)
    felt.start()
    felt.do(Alarm(), felt.at(199))
    assert felt.ends()[1] == ("cashed_out", 199, 65, "auto")  # 65.67


def test_the_sums_of_a_round_are_those_of_its_bets() -> None:
    felt = Felt()
    felt.open()
    felt.join(1, stake=1_000, auto=150)
    felt.join(2, stake=2_000)
    felt.join(3, stake=500)
    felt.join(4, stake=70)
    felt.leave(4)
    felt.start()
    felt.cash_out(3, felt.at(200))
    felt.do(Alarm(), felt.busts_ms)
    crashed = next(row for row in felt.rows if row.kind == "crashed")
    assert (crashed.bets, crashed.stake_minor) == (3, 3_500)
    assert crashed.payout_minor == 1_500 + 1_000
    assert crashed.multiplier == felt.round.bust
