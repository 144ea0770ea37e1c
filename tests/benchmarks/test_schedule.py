"""When bets arrive: rates, bursts, and the same again for the same seed."""

import pytest

from benchmarks.plan import Arrivals, Plan
from benchmarks.schedule import (
    BURST_S,
    MOST_MESSAGES,
    ScheduleError,
    arrivals_ns,
    bursts_ns,
    check_size,
    poisson_ns,
)

SECOND_NS = 1_000_000_000


def bursts(seed: int = 1, *, share: float = 0.5, first_s: float = 1.0) -> list[int]:
    """Ten seconds of 10,000 a second, with a burst in every second second."""
    return list(bursts_ns(10_000, 10, seed, every_s=2, share=share, first_s=first_s))


def test_bursts_come_in_order_at_their_rate_and_the_same_again() -> None:
    arrivals = bursts()
    assert 97_000 < len(arrivals) < 103_000
    assert arrivals == sorted(arrivals)
    assert 0 <= arrivals[0] <= arrivals[-1] < 10 * SECOND_NS
    assert arrivals == bursts()
    assert arrivals != bursts(2)


def test_half_of_a_period_s_arrivals_come_within_a_tenth_of_a_second() -> None:
    arrivals = bursts()
    for begin_s in (1, 3, 5, 7, 9):
        begin_ns = begin_s * SECOND_NS
        end_ns = begin_ns + int(BURST_S * SECOND_NS)
        within = sum(begin_ns <= at_ns < end_ns for at_ns in arrivals)
        # Its half of 20,000, and a tenth of a second of the other half's 5,000 a second.
        assert 10_000 < within < 11_000


def test_a_burst_takes_nothing_away_from_what_is_steady() -> None:
    steady = poisson_ns(5_000, 10, seed=1)
    assert set(steady) <= set(bursts())
    assert len(bursts()) - len(steady) == pytest.approx(50_000, rel=0.02)


def test_without_a_share_there_are_no_bursts_and_with_all_there_is_nothing_else() -> None:
    steady = bursts(share=0)
    assert 850 < sum(SECOND_NS <= at_ns < 1.1 * SECOND_NS for at_ns in steady) < 1_150
    assert all(at_ns % (2 * SECOND_NS) >= SECOND_NS for at_ns in bursts(share=1))


def test_a_burst_at_the_end_is_cut_off_with_the_run() -> None:
    assert max(bursts(first_s=1.95)) < 10 * SECOND_NS


@pytest.mark.parametrize(("every_s", "share"), [(0.1, 0.5), (2, -0.1), (2, 1.1)])
def test_bursts_that_cannot_be_are_refused(every_s: float, share: float) -> None:
    with pytest.raises(ValueError, match="no burst"):
        bursts_ns(100, 10, 1, every_s=every_s, share=share, first_s=0)


def test_a_window_of_whole_periods_has_its_bursts_in_their_middle() -> None:
    plan = Plan("", [], {}, 1, 1, 1_000, 0.5, 4, 1, arrivals="burst", burst_every_s=2)
    arrivals = arrivals_ns(plan)
    for begin_s in (1.5, 3.5):
        within = sum(begin_s <= at_ns / SECOND_NS < begin_s + BURST_S for at_ns in arrivals)
        assert within > 900


@pytest.mark.parametrize("arrivals", ["poisson", "burst"])
def test_more_than_have_numbers_are_refused_before_any_is_made(arrivals: Arrivals) -> None:
    check_size(MOST_MESSAGES / 3_600, 3_600)
    plan = Plan("", [], {}, 1, 1, 1e15, 1, 3_599, 1, arrivals=arrivals)
    with pytest.raises(ScheduleError, match="a run may have 81,000,000"):
        arrivals_ns(plan)
