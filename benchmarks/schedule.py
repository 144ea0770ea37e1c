"""When bets arrive in an open loop, the same for the same seed."""

from array import array
from bisect import bisect_left
from itertools import count
from random import Random
from typing import Final

from benchmarks.messages import END_ID, FIRST_ID
from benchmarks.plan import Plan

# Players of a crash round bet at once when it opens for bets: within a tenth of a second.
BURST_S: Final = 0.1
# Chance gives a few more than are due on average: a ten-thousandth part at this size, and bursts
# that are cut off by the ends of a run another one.
MOST_MESSAGES: Final = (END_ID - FIRST_ID) * 9 // 10


class ScheduleError(ValueError):
    """There cannot be such a schedule."""


def check_size(messages_per_second: float, duration_s: float) -> None:
    """Raise ScheduleError if so many messages would come that they run out of numbers."""
    messages = messages_per_second * duration_s
    if messages > MOST_MESSAGES:
        raise ScheduleError(
            f"{messages_per_second:,.0f} messages a second for {duration_s:,.0f} s are"
            f" {messages:,.0f}, and a run may have {MOST_MESSAGES:,}"
        )


def arrivals_ns(plan: Plan) -> "array[int]":
    """Moments after the start of an open loop, in nanoseconds and ascending.

    Raises:
        ScheduleError: They are too many, or the plan's bursts are no part of their period.
    """
    assert plan.messages_per_second is not None
    duration_s = plan.warm_up_s + plan.window_s
    check_size(plan.messages_per_second, duration_s)
    if plan.arrivals == "poisson":
        return poisson_ns(plan.messages_per_second, duration_s, plan.seed)
    # Periods begin with the window, so that one of whole periods has as many bursts.
    first_s = (plan.warm_up_s + plan.burst_every_s / 2) % plan.burst_every_s
    return bursts_ns(
        plan.messages_per_second,
        duration_s,
        plan.seed,
        every_s=plan.burst_every_s,
        share=plan.burst_share,
        first_s=first_s,
    )


def poisson_ns(per_second: float, duration_s: float, seed: int) -> "array[int]":
    """A Poisson process of `per_second` on average, for `duration_s`."""
    return _poisson_ns(Random(seed), per_second, 0.0, duration_s)


def bursts_ns(
    per_second: float,
    duration_s: float,
    seed: int,
    *,
    every_s: float,
    share: float,
    first_s: float,
) -> "array[int]":
    """The same number on average, of which `share` comes in bursts, one every `every_s`.

    The first burst begins at `first_s`. Each is a Poisson process of its own, of BURST_S; the rest
    are one at a steady rate.

    Raises:
        ScheduleError: The share is not from 0 to 1, or a period is no longer than its burst.
    """
    if not 0 <= share <= 1 or every_s <= BURST_S:
        raise ScheduleError(f"no burst of {share} of the bets can come every {every_s} s")
    dice = Random(seed)
    steady = _poisson_ns(dice, per_second * (1 - share), 0.0, duration_s)
    in_burst = per_second * share * every_s / BURST_S
    # Sorting all of an hour's would take as long as making them, and many times their memory.
    moments, taken = array("q"), 0
    for number in count():
        begin_s = first_s + number * every_s
        if begin_s >= duration_s:
            break
        end_s = min(begin_s + BURST_S, duration_s)
        burst = _poisson_ns(dice, in_burst, begin_s, end_s)
        first = bisect_left(steady, int(begin_s * 1e9), taken)
        past = bisect_left(steady, int(end_s * 1e9), first)
        moments += steady[taken:first]
        moments += array("q", sorted(steady[first:past] + burst))
        taken = past
    return moments + steady[taken:]


def _poisson_ns(dice: Random, per_second: float, begin_s: float, end_s: float) -> "array[int]":
    """A Poisson process from `begin_s` to `end_s`; none at a rate of 0."""
    moments = array("q")
    if per_second == 0:
        return moments
    at_s = begin_s + dice.expovariate(per_second)
    while at_s < end_s:
        moments.append(int(at_s * 1e9))
        at_s += dice.expovariate(per_second)
    return moments
