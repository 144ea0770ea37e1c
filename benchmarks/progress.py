"""What a generator tells while it runs."""

from time import perf_counter, process_time

from benchmarks.plan import Outcome, Progress
from benchmarks.traffic import Traffic
from benchmarks.worker import tell_progress


class Reporter:
    """Tells how a run goes, each time what is new since the last."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._began_s = self._last_s = perf_counter()
        self._began_cpu_s = process_time()
        self._bets = traffic.bets_in_window
        self._latency = traffic.latency.sparse()

    def report(self) -> None:
        """Tell whoever gave the plan."""
        traffic, now_s = self._traffic, perf_counter()
        recent = traffic.latency.since(self._latency)
        p50_ms, p99_ms = (
            recent.percentile(percent) / 1e6 if recent.count else None for percent in (50, 99)
        )
        elapsed_s = now_s - self._began_s
        outcome = outcome_of(traffic, (process_time() - self._began_cpu_s) / elapsed_s)
        tell_progress(
            Progress(
                elapsed_s=elapsed_s,
                bets_per_second=(traffic.bets_in_window - self._bets) / (now_s - self._last_s),
                p50_ms=p50_ms,
                p99_ms=p99_ms,
                outcome=outcome,
            )
        )
        self._last_s, self._bets, self._latency = now_s, outcome.bets, outcome.latency


def outcome_of(traffic: Traffic, cores: float) -> Outcome:
    """What has come of a run until now, in which the generator kept so much of a core busy."""
    return Outcome(
        bets=traffic.bets_in_window,
        placed=traffic.placed,
        acknowledged=traffic.acknowledged,
        refused=dict(traffic.refused),
        latency=traffic.latency.sparse(),
        latency_max_ns=traffic.latency.max,
        lateness=traffic.lateness.sparse(),
        lateness_max_ns=traffic.lateness.max,
        cores=cores,
    )
