"""A number of worlds in every test run; `python -m tests.simulation` runs as many as you like."""

from collections import Counter

import pytest

from tests.simulation.__main__ import report
from tests.simulation.books import paid, rolled
from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.world import REFUSED, Result, run

SEEDS = range(60)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [run(seed) for seed in SEEDS]


def test_every_invariant_holds_in_every_world(results: list[Result]) -> None:
    failed = [result for result in results if result.finding]
    assert not failed, report(failed[0])


def test_the_worlds_are_as_bad_as_they_claim(results: list[Result]) -> None:
    seen = sum((result.counts for result in results), Counter[str]())
    rare = [
        "answer request_mismatch",
        "answer insufficient_balance",
        "answer storage_unavailable",
        "answer overloaded",
        "fact tip_refused",
        "fact tip_returned",
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
