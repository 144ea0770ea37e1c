"""The most that a bet and a round of crash may win: cashed out there, announced, never passed."""

import random

import pytest
from msgspec.structs import replace

from actors.crash import turn
from actors.crash.state import target_of
from actors.crash.table import Table
from actors.runtime.alarms import Alarm
from tests.support.rounds import TABLE, Felt

# A bet may win 1,000, a round 3,000.
SMALL = replace(TABLE, bankroll=10_000, bet_share_percent=10, round_share_percent=30)
BET, ROUND = 1_000, 3_000


@pytest.mark.parametrize(
    ("stake", "auto", "target"),
    [
        (100, None, 1_100),
        (100, 1_100, 1_100),
        (100, 1_101, 1_100),
        (100, 1_099, 1_099),
        (300, None, 433),  # 3.333 would be won at 4.3333
        (1, None, 100_100),
        (100_000, None, 101),
        (100_001, None, 100),  # nothing can be won without passing the bound
    ],
)
def test_a_bet_is_cashed_out_where_it_would_win_too_much(
    stake: int, auto: int | None, target: int
) -> None:
    assert target_of(SMALL, stake, auto) == target
    assert stake * target // 100 - stake <= BET
    if auto is None:
        assert stake * (target + 1) // 100 - stake >= BET


def test_a_table_whose_stakes_could_win_nothing_is_unsound() -> None:
    assert replace(SMALL, most_stake=100 * BET).problems() == []
    (problem,) = replace(SMALL, most_stake=100 * BET + 1).problems()
    assert "cannot win" in problem


def test_no_target_is_above_the_tables_most() -> None:
    assert target_of(replace(TABLE, most_multiplier=5_000), 10, None) == 5_000


def test_the_bound_of_a_bet_pays_without_a_hand_and_says_why() -> None:
    felt = Felt(table=SMALL, busts=lambda bust: bust > 1_200)
    felt.open()
    felt.join(1, stake=100)
    felt.join(2, stake=100, auto=5_000)
    felt.start()
    felt.do(Alarm(), felt.at(1_200))
    assert felt.ends() == dict.fromkeys((1, 2), ("cashed_out", 1_100, 1_100, "most_of_bet"))
    assert felt.events("round:forced") == []


@pytest.mark.parametrize("late", [0, 1, 100, 250])
def test_a_round_that_would_win_too_much_cashes_everybody_out(late: int) -> None:
    felt = Felt(table=SMALL, busts=lambda bust: bust > 700)
    felt.open()
    for wallet_id in range(1, 5):
        felt.join(wallet_id, stake=200)
    felt.join(5, stake=100, auto=200)
    felt.start()
    # 100 are won at 2.00; of the 2,900 left, 800 at stake win 2,896 at 4.62.
    felt.do(Alarm(), felt.at(461))
    assert felt.events("round:forced") == []
    felt.do(Alarm(), felt.at(462 + late))
    (forced,) = felt.events("round:forced")
    assert (forced.round_id, forced.multiplier) == ("1-1", 462)
    row = next(row for row in felt.rows if row.kind == "forced")
    assert row.multiplier == felt.round.forced == 462
    ends = felt.ends()
    assert ends.pop(5) == ("cashed_out", 200, 200, "auto")
    assert ends == dict.fromkeys((1, 2, 3, 4), ("cashed_out", 462, 924, "most_of_round"))
    won = felt.round.won_minor
    assert (won, felt.round.open_bets) == (100 + 4 * 724, 0)
    assert won <= ROUND < won + 800 // 100
    felt.do(Alarm(), felt.busts_ms)
    assert felt.kinds().count("forced") == 1
    assert felt.round.ended_at_ms is not None


def test_a_forced_point_at_the_bust_wins_and_one_above_it_loses() -> None:
    """As any target does: 30 at stake may win 3,000, so the bound is at 101.00."""
    for bust_at, ended in ((10_100, "cashed_out"), (10_099, "lost")):
        felt = Felt(table=replace(SMALL, bet_share_percent=100))
        felt.open()
        felt.round.bust, felt.round.bust_ms = bust_at, 60_000
        for wallet_id in (1, 2, 3):
            felt.join(wallet_id, stake=10)
        felt.start()
        felt.do(Alarm(), felt.started_ms + 60_000)
        assert {end[0] for end in felt.ends().values()} == {ended}


@pytest.mark.parametrize("together", [2, 200])
@pytest.mark.parametrize("seed", range(40))
def test_no_round_ever_wins_more_than_it_may(
    seed: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "ENDED_TOGETHER", together)
    rng = random.Random(seed)
    table = Table(
        number=1,
        name="Felt",
        currency="PLAY",
        least_stake=1,
        most_stake=5_000,
        bankroll=rng.randint(500, 50_000),
        bet_share_percent=rng.randint(1, 40),
        round_share_percent=rng.randint(1, 60),
    )
    felt = Felt(table=table, busts=lambda bust: bust > rng.randint(101, 900))
    felt.open()
    players = range(1, rng.randint(2, 30))
    for wallet_id in players:
        auto = rng.choice((None, rng.randint(101, 1_000)))
        felt.join(wallet_id, stake=rng.randint(1, 5_000), auto=auto)
    felt.start()
    while felt.round.running:
        felt.now_ms += rng.choice((1, 20, 250, 3_000))
        felt.cash_out(rng.choice(players))
    while felt.round.open_bets:
        felt.do(Alarm())
    ends, won = felt.ends(), 0
    for wallet_id in players:
        bet, (kind, multiplier, payout, reason) = felt.bet(wallet_id), ends[wallet_id]
        if kind != "cashed_out":
            continue
        assert multiplier is not None
        assert payout == bet.stake_minor * multiplier // 100
        assert payout - bet.stake_minor <= table.most_profit_minor
        assert multiplier <= felt.round.bust
        assert multiplier <= (bet.auto_cashout or multiplier)
        assert reason != "auto" or multiplier == bet.auto_cashout
        won += payout - bet.stake_minor
    assert won == felt.round.won_minor <= table.most_round_profit_minor
    forced = [row.multiplier for row in felt.rows if row.kind == "forced"]
    assert len(forced) <= 1
    assert forced == [data.multiplier for data in felt.events("round:forced")]
