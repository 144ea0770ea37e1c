"""How many times one contender is another, round by round."""

import pytest

from benchmarks.compare import ratios
from benchmarks.contenders import NODE, PITBOSS
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
