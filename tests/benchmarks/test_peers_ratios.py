"""How many times one contender is another, round by round."""

import pytest

from benchmarks.compare import Comparison, at_one_rate, in_turn, markdown, ratios
from benchmarks.contenders import NODE, NODE_SYNCED, ONE_BY_ONE, PITBOSS
from benchmarks.contest import Run, Series
from benchmarks.measurement import Measurement
from benchmarks.plan import Outcome
from benchmarks.usage import Usage


def run(bets: int, *, server: float, redis: float, postgres: float) -> Run:
    """A window of a second on two cores, of which a quarter went to something else."""
    outcome = Outcome(bets, bets, bets, {}, {}, 0, {}, 0, cores=0.25)
    usage = Usage(server, postgres, machine=server + redis + postgres + 0.25 + 0.25)
    return Run(Measurement(1.0, outcome, usage, 0, 0), redis)


OURS = run(40_000, server=0.8, redis=0.0, postgres=0.4)
THEIRS = run(10_000, server=0.4, redis=0.1, postgres=0.1)


def test_cpu_is_that_of_each_bet_by_whose_it_is() -> None:
    us = {"server": 40, "redis": 10, "postgres": 10, "stack": 60, "generator": 25}
    assert THEIRS.us() == pytest.approx(us)


def test_redis_is_none_of_the_others() -> None:
    assert THEIRS.others == pytest.approx(0.25)
    assert OURS.others == pytest.approx(0.25)


def test_ratios_say_how_much_more_pitboss_does_for_how_much_less() -> None:
    found = ratios([Series(PITBOSS, runs=[OURS]), Series(NODE, runs=[THEIRS])])
    assert set(found) == {NODE}
    assert found[NODE]["bets_per_second"].middle == pytest.approx(4)
    assert found[NODE]["stack_us_per_bet"].middle == pytest.approx(2)
    assert found[NODE]["server_us_per_bet"].middle == pytest.approx(2)


def test_rounds_are_compared_with_each_other_not_their_medians() -> None:
    slow, slower = (run(bets, server=1, redis=0, postgres=0) for bets in (20_000, 5_000))
    ours, theirs = Series(PITBOSS, runs=[OURS, slow]), Series(NODE, runs=[THEIRS, slower])
    assert ratios([ours, theirs])[NODE]["bets_per_second"] == (4, 4, 4)


def test_each_begins_a_round_in_turn() -> None:
    every = [Series(name) for name in (PITBOSS, NODE, ONE_BY_ONE)]
    begin = [in_turn(every, number)[0].name for number in range(4)]
    assert begin == [PITBOSS, NODE, ONE_BY_ONE, PITBOSS]
    assert [one.name for one in in_turn(every, 2)] == [ONE_BY_ONE, PITBOSS, NODE]


def reached(name: str, bets: int) -> Series:
    return Series(name, runs=[run(bets, server=1, redis=0, postgres=0)])


def test_all_but_the_slow_ones_are_offered_half_of_the_durable_peers_maximum() -> None:
    closed = [reached(PITBOSS, 25_000), reached(NODE_SYNCED, 16_000), reached(ONE_BY_ONE, 8_000)]
    halves = [Series(PITBOSS, 12_500), Series(NODE_SYNCED, 8_000), Series(ONE_BY_ONE, 4_000)]
    alike = at_one_rate(closed, halves)
    assert [(one.name, one.offered) for one in alike] == [(PITBOSS, 8_000), (NODE_SYNCED, 8_000)]
    assert alike[0] is not halves[0]
    assert alike[1] is halves[1]
    assert at_one_rate(closed[::2], halves[::2]) == []


def test_a_rate_that_is_half_of_two_maxima_is_run_once_for_each() -> None:
    closed = [reached(PITBOSS, 16_000), reached(NODE_SYNCED, 16_000)]
    halves = [Series(PITBOSS, 8_000), Series(NODE_SYNCED, 8_000)]
    alike = at_one_rate(closed, halves)
    assert all(one is half for one, half in zip(alike, halves, strict=True))
    assert Comparison(closed, halves, alike, 0, []).every == [*closed, *halves]


def test_the_tables_of_latency_say_what_was_answered_and_what_kept_cores_busy() -> None:
    halves = [Series(NODE_SYNCED, 12_000, [THEIRS])]
    found = Comparison([Series(PITBOSS, runs=[OURS])], halves, halves, 0, [])
    tables = markdown({}, found, []).split("### ")[3:5]
    assert [table.startswith("At") for table in tables] == [True, True]
    for table in tables:
        head, _, row = (line.split(" | ") for line in table.splitlines()[2:5])
        by_name = dict(zip(head, row, strict=True))
        assert by_name["answered bets/s"] == "10,000"
        assert by_name["other cores |"] == "0.25 |"
