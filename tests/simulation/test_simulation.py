"""Worlds of processes alone, in every test run; `python -m tests.simulation` runs many more."""

from collections import Counter

import pytest

from tests.simulation.__main__ import report
from tests.simulation.books import SETTLED, paid, rolled
from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.world import REFUSED, Result, run

SEEDS = range(40)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [run(seed) for seed in SEEDS]


def test_every_invariant_holds_in_every_world(results: list[Result]) -> None:
    failed = [result for result in results if result.finding]
    assert not failed, report(failed[0])


def test_the_worlds_are_as_bad_as_they_claim(results: list[Result]) -> None:
    seen = sum((result.counts for result in results), Counter[str]())
    rare = [
        "answer DiceResult",
        "answer LimboResult",
        "answer PlinkoResult",
        "answer request_mismatch",
        "answer insufficient_balance",
        "answer target_out_of_range",
        "answer unknown_board",
        "answer MinesStarted",
        "answer MinesPlayed",
        "answer MinesGames",
        "answer game_open",
        "answer no_open_game",
        "answer nothing_picked",
        "answer tile_revealed",
        "answer seed_in_use",
        "answer PlayLimits",
        "answer stake_limit_reached",
        "answer loss_limit_reached",
        "answer deposit_limit_reached",
        "answer cooling_off",
        "answer self_excluded",
        "answer too_many_changes",
        "leaps",
        "fact reveal",
        "fact settle",
        "answer CashedOut",
        "answer CrashCancelled",
        "answer already_in_round",
        "answer round_full",
        "answer round_not_started",
        "answer already_cashed_out",
        "fact forced",
        "fact cashed_out",
        "fact left",
        "fact lost",
        "fact refunded",
        "fact returned",
        "answer storage_unavailable",
        "answer overloaded",
        "fact tip_refused",
        "fact tip_returned",
        "answer RainStarted",
        "answer nobody_active",
        "answer rain_too_small",
        "fact rain_received",
        "disaster kill",
        "disaster restart",
        "disaster rival",
        "disaster outage",
        "log lane %d lost its connection: %s",
        "log lane %d tries a batch again: %s",
        REFUSED,
    ]
    assert [what for what in rare if not seen[what]] == []


@pytest.mark.parametrize("seed", [3, 14, 15])
def test_a_seed_replays_step_by_step(seed: int, results: list[Result]) -> None:
    again = run(seed)
    assert again == results[seed]
    assert again.digest != results[seed + 1].digest


def test_time_jumps_to_the_next_timer_and_never_sleeps() -> None:
    loop = VirtualLoop()
    rung: list[float] = []
    loop.call_later(86_400.0, lambda: rung.append(loop.time()))
    loop.call_later(90_000.0, loop.stop)
    loop.run_forever()
    loop.close()
    assert rung == [86_400.0]
    assert loop.turns < 10


def test_a_world_in_which_nothing_can_happen_is_a_finding() -> None:
    loop = VirtualLoop()
    with pytest.raises(Stuck, match="nothing is ready"):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_the_books_compute_the_published_scheme() -> None:
    # An example whose digest was computed with the openssl command line.
    assert rolled("server", "client", 0) == 0xE0D8048B * 10001 // 2**32
    assert paid(100, 5_000, "under", 4_999) == 100 * 99 * 10001 // (100 * 5000)
    assert paid(100, 5_000, "under", 5_000) == 0
    assert paid(100, 5_000, "over", 5_000) == 0
    assert paid(100, 5_000, "over", 5_001) == 100 * 99 * 10001 // (100 * 5000)
    seeds = ("server", "client", 0)
    assert 0xE0D8048B * 112 < 99 * 2**32 < 0xE0D8048B * 113
    assert SETTLED["limbo"](seeds, 250, {"target": 112}) == ({"result": 112, "won": True}, 280)
    assert SETTLED["limbo"](seeds, 250, {"target": 113}) == ({"result": 112, "won": False}, 0)
    # To the right at rows 0, 1, 2, 7, 8, 10 and 13.
    board = {"rows": 16, "risk": "low"}
    assert SETTLED["plinko"](seeds, 250, board) == ({"bucket": 7, "multiplier": 100}, 250)
    board = {"rows": 9, "risk": "medium"}
    assert SETTLED["plinko"](seeds, 250, board) == ({"bucket": 5, "multiplier": 50}, 125)
