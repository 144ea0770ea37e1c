"""Cash-outs that are due together are paid over several decisions, and nobody can tell."""

import pytest
from msgspec.structs import replace

from actors.crash import turn
from actors.crash.rules import crash_kind
from actors.runtime.alarms import Alarm
from tests.support.rounds import TABLE, Felt, code


@pytest.fixture(autouse=True)
def few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three in one decision."""
    monkeypatch.setattr(turn, "ENDED_TOGETHER", 3)


def crowd(felt: Felt, count: int = 10, auto: int = 150) -> None:
    """A round that runs, with as many bets that are to be cashed out at the same multiplier."""
    felt.open()
    for wallet_id in range(1, count + 1):
        felt.join(wallet_id, auto=auto)
    felt.join(50)
    felt.start()


def test_a_popular_target_is_paid_a_few_at_a_time_and_at_once() -> None:
    felt = Felt(busts=lambda bust: bust > 200)
    crowd(felt)
    at_ms = felt.at(160)
    paid = []
    for _ in range(4):
        made = felt.decide(Alarm(), at_ms)
        paid.append(len(made.facts))
        assert all(fact.multiplier == 150 for fact in made.facts)
    assert paid == [3, 3, 3, 1]
    assert felt.alarm_ms is not None
    assert felt.alarm_ms > at_ms
    assert "crashed" not in felt.kinds()


def test_who_is_due_gets_the_target_whoever_asks_first() -> None:
    felt = Felt(busts=lambda bust: bust > 200)
    crowd(felt)
    felt.do(Alarm(), felt.at(160))
    assert felt.alarm_ms == felt.now_ms
    refused = felt.cash_out(10)
    assert code(refused) == "already_cashed_out"
    assert refused.details == {"multiplier": 150, "payout": 150}
    # Whose turn it is not, by their target, is cashed out where the multiplier is.
    assert felt.cash_out(50).multiplier == 160


def test_no_round_ends_before_all_that_won_are_paid() -> None:
    felt = Felt(busts=lambda bust: 200 < bust < 400)
    crowd(felt)
    felt.decide(Alarm(), felt.busts_ms)
    assert felt.kinds().count("cashed_out") == 3
    assert "crashed" not in felt.kinds()
    assert code(felt.cash_out(50)) == "round_over"
    shown = felt.shown(50)
    assert shown.multiplier is None or shown.multiplier <= felt.round.bust
    while "crashed" not in felt.kinds():
        felt.do(Alarm())
    won = [end for end in felt.ends().values() if end[0] == "cashed_out"]
    assert won == [("cashed_out", 150, 150, "auto")] * 10
    assert not [data for data in felt.events("round:ticked") if data.multiplier > felt.round.bust]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_bound_that_is_reached_holds_over_all_decisions(restarts: bool) -> None:
    table = replace(TABLE, bankroll=10_000, bet_share_percent=100, round_share_percent=5)
    felt = Felt(table=table, busts=lambda bust: bust > 300)
    felt.open()
    for wallet_id in range(1, 11):
        felt.join(wallet_id, auto=120 + wallet_id * 10)
    felt.start()
    at_ms = felt.at(300)
    while felt.round.open_bets:
        felt.decide(Alarm(), at_ms)
        if restarts and felt.round.forced is not None:
            # What is configured now counts for no bet that was taken before.
            felt.table = replace(table, bankroll=1, most_multiplier=101)
            felt.kind = crash_kind({table.number: felt.table}, ())
            felt.restart()
    # Ten bets of 100 may win 500 together: the first three leave 380, and seven get 1.54 of that.
    ends = felt.ends()
    assert [ends[wallet_id][1] for wallet_id in range(1, 11)] == [130, 140, 150] + [154] * 7
    assert felt.kinds().count("forced") == 1
    assert felt.round.won_minor <= table.most_round_profit_minor
    felt.do(Alarm(), felt.busts_ms)
    assert felt.kinds()[-1] == "crashed"
