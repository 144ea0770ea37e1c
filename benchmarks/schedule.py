"""When bets arrive in an open loop: a Poisson process, the same for the same seed."""

from array import array
from random import Random


def poisson_ns(per_second: float, duration_s: float, seed: int) -> "array[int]":
    """Moments after the start, in nanoseconds and ascending, at `per_second` on average."""
    expovariate = Random(seed).expovariate
    arrivals = array("q")
    at_s = expovariate(per_second)
    while at_s < duration_s:
        arrivals.append(int(at_s * 1e9))
        at_s += expovariate(per_second)
    return arrivals
