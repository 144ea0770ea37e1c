"""Crash rounds that a process left unfinished, by the written rule, in every phase of theirs."""

from typing import Any

import pytest

from actors.crash import turn
from actors.crash.commands import CashOut, Join, Leave, ReadTable, Wake
from actors.runtime.alarms import Alarm
from protocol.commands.crash import Phase
from tests.support.rounds import Felt, bodies, code

REFUND = ("refunded", None, None, "restarted")


def round_of(felt: Felt) -> int:
    """Open a round with a bet of every sort: the bust of it."""
    bust = felt.open().bust
    felt.join(1, auto=150)
    felt.join(2, auto=bust)
    felt.join(3, auto=bust + 1)
    felt.join(4)
    felt.join(5, stake=700)
    felt.join(6)
    felt.leave(6)
    return bust


FIRST_COMMANDS = [Wake(), Alarm(), ReadTable(1), CashOut(1, 4), Leave(1, 4)]


@pytest.mark.parametrize("command", FIRST_COMMANDS, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("away_ms", [0, 100_000])
def test_a_round_found_betting_is_refunded(command: Any, away_ms: int) -> None:
    felt = Felt()
    round_of(felt)
    felt.restart()
    felt.do(command, felt.now_ms + away_ms)
    assert felt.ends() == {
        **dict.fromkeys(range(1, 6), REFUND),
        6: ("left", None, None, "cancelled"),
    }
    (voided,) = felt.events("round:voided")
    assert (voided.round_id, voided.hash) == ("1-1", felt.state.past[0].hash)
    row = next(row for row in felt.rows if row.kind == "voided")
    assert (row.reason, row.bets, row.stake_minor, row.payout_minor) == ("restarted", 5, 1_100, 0)
    assert felt.events("round:started", "round:crashed") == []


@pytest.mark.parametrize("command", FIRST_COMMANDS, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("away_ms", [0, 1, 3_600_000])
def test_a_round_found_running_keeps_its_cash_outs_and_refunds_the_rest(
    command: Any, away_ms: int
) -> None:
    felt = Felt(busts=lambda bust: 200 < bust < 400)
    round_of(felt)
    felt.start()
    felt.cash_out(5, felt.at(120))
    felt.restart()
    felt.do(command, felt.now_ms + away_ms)
    assert felt.ends() == {
        **dict.fromkeys(range(1, 5), REFUND),
        5: ("cashed_out", 120, 840, "manual"),
        6: ("left", None, None, "cancelled"),
    }
    row = next(row for row in felt.rows if row.kind == "voided")
    assert (row.bets, row.stake_minor, row.payout_minor) == (5, 1_100, 840)


def test_a_round_whose_bust_was_committed_is_no_interrupted_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn, "ENDED_TOGETHER", 1)
    felt = Felt(busts=lambda bust: 200 < bust < 400)
    round_of(felt)
    felt.start()
    felt.now_ms = felt.busts_ms
    while "crashed" not in felt.kinds():
        felt.do(Alarm())
    assert felt.round.open_bets == 2
    while felt.round.number == 1:
        felt.restart()
        felt.do(Alarm(), felt.now_ms + 5_000)
    assert {n: felt.ends()[n][0] for n in (3, 4, 5)} == dict.fromkeys((3, 4, 5), "lost")
    assert "voided" not in felt.kinds()


@pytest.mark.parametrize("restarts", [1, 7])
def test_a_voided_round_is_refunded_in_slices_across_restarts(
    restarts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "ENDED_TOGETHER", 2)
    felt = Felt()
    felt.open()
    for wallet_id in range(1, 10):
        felt.join(wallet_id)
    felt.start()
    for _ in range(restarts):
        felt.restart()
        felt.do(Wake())
    assert felt.shown().phase is Phase.VOIDED
    while felt.round.number == 1:
        felt.do(Alarm(), felt.now_ms + 3_000)
    assert felt.ends() == dict.fromkeys(range(1, 10), REFUND)
    assert felt.kinds().count("voided") == 1
    told = bodies(felt.sent)
    assert [one["wallet"] for one in told] == list(range(1, 10))
    assert all("payout_minor" not in one for one in told)


@pytest.mark.parametrize("stage", ["pause", "waiting", "paused"])
def test_between_rounds_nothing_is_interrupted(stage: str) -> None:
    paused: set[str] = set()
    felt = Felt(paused=paused)
    felt.open()
    felt.start()
    felt.do(Alarm(), felt.busts_ms)
    if stage == "waiting":
        felt.chains.chains[0].length = 1
    elif stage == "paused":
        paused.add("crash")
    before = list(felt.rows)
    felt.restart()
    felt.do(Wake(), felt.now_ms + 1)
    assert felt.rows == before
    assert not felt.state.interrupted


def test_commands_that_find_a_voided_round_are_refused() -> None:
    felt = Felt(busts=lambda bust: 200 < bust < 400)
    round_of(felt)
    felt.start()
    felt.restart()
    late = felt.do(Join(1, 1, 9, 90, "late", 100, "PLAY", None))
    assert code(late) == "round_over"
    assert felt.ends()[9] == ("returned", None, None, "round_over")
    assert code(felt.cash_out(4)) == code(felt.leave(4)) == "round_over"
    assert code(felt.cash_out(1)) == "round_over"
    assert felt.join(4).bet_id == "4-40"


def test_what_is_read_back_equals_what_was_live() -> None:
    felt = Felt(busts=lambda bust: 200 < bust < 400)
    round_of(felt)
    felt.start()
    felt.cash_out(5, felt.at(120))
    live = fields_of(felt)
    felt.restart()
    assert felt.state.interrupted
    assert fields_of(felt) == live


def fields_of(felt: Felt) -> dict[str, Any]:
    """All that a table is, but for what it has made for those who ask."""
    state, current = felt.state, felt.round
    apart = {"round", "shown", "interrupted"}
    fields = {name: getattr(state, name) for name in type(state).__slots__ if name not in apart}
    return {**fields, **{f"round.{n}": getattr(current, n) for n in type(current).__slots__}}
