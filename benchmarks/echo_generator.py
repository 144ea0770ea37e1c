"""The generator of echoes, a process of its own: connections that keep messages in flight."""

import gc
from time import perf_counter_ns, process_time_ns
from typing import Final

import msgspec

from benchmarks.crowd import Crowd
from benchmarks.echoes import Echoes, EchoLine, Tally
from benchmarks.line import LineError
from benchmarks.worker import BEGIN, END, read_plan, say, tell

# An answer that takes longer than this will not come.
_ANSWER_LIMIT_NS: Final = 20_000_000_000


class EchoPlan(msgspec.Struct, forbid_unknown_fields=True):
    """`connections` that keep `depth` messages in flight each."""

    url: str
    connections: int
    depth: int
    warm_up_s: float
    window_s: float


class EchoOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """How many echoes came back within the window, and how long each took, in nanoseconds.

    `cores` is how much of a core the generator itself kept busy meanwhile.
    """

    echoes: int
    window_s: float
    latency: dict[int, int]
    latency_max_ns: int
    cores: float


def run(plan: EchoPlan) -> EchoOutcome:
    """Connect, echo, wait for the last answer, and leave.

    Raises:
        LineError: A connection was lost, or an answer was wrong or did not come.
    """
    tally, echoes = Tally(), Echoes()
    lines = [EchoLine(echoes, tally) for _ in range(plan.connections)]
    crowd = Crowd(lines)
    crowd.join(plan.url, one_address=True)
    for line in lines:
        line.send(plan.depth, perf_counter_ns())
    _turn_until(crowd, perf_counter_ns() + int(plan.warm_up_s * 1e9))
    outcome = _measure(crowd, tally, plan.window_s)
    _last_answers(crowd, tally)
    crowd.close()
    return outcome


def _measure(crowd: Crowd, tally: Tally, window_s: float) -> EchoOutcome:
    say(BEGIN)
    cpu_ns, began_ns = process_time_ns(), perf_counter_ns()
    tally.measuring = True
    _turn_until(crowd, began_ns + int(window_s * 1e9))
    tally.measuring = False
    elapsed_ns = perf_counter_ns() - began_ns
    cores = (process_time_ns() - cpu_ns) / elapsed_ns
    say(END)
    latency = tally.latency
    return EchoOutcome(latency.count, elapsed_ns / 1e9, latency.sparse(), latency.max, cores)


def _turn_until(crowd: Crowd, end_ns: int) -> None:
    while perf_counter_ns() < end_ns:
        crowd.turn(end_ns)


def _last_answers(crowd: Crowd, tally: Tally) -> None:
    tally.refill = False
    limit_ns = perf_counter_ns() + _ANSWER_LIMIT_NS
    while tally.outstanding:
        if perf_counter_ns() > limit_ns:
            raise LineError(f"{tally.outstanding} messages were never answered")
        crowd.turn(limit_ns)


if __name__ == "__main__":
    gc.disable()  # a pause to collect garbage would look like the server's; a run makes little
    tell(run(read_plan(EchoPlan)))
