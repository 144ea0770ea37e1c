"""What a generator tells while it runs."""

from time import perf_counter

from benchmarks.plan import Progress
from benchmarks.traffic import Traffic
from benchmarks.worker import tell_progress


class Reporter:
    """Tells how a run goes, each time what is new since the last."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._began_s = self._last_s = perf_counter()
        self._bets = traffic.bets_in_window
        self._latency = traffic.latency.sparse()

    def report(self) -> None:
        """Tell whoever gave the plan."""
        traffic, now_s = self._traffic, perf_counter()
        recent = traffic.latency.since(self._latency)
        tell_progress(
            Progress(
                elapsed_s=now_s - self._began_s,
                bets_per_second=(traffic.bets_in_window - self._bets) / (now_s - self._last_s),
                p50_ms=recent.percentile(50) / 1e6,
                p99_ms=recent.percentile(99) / 1e6,
                refused=dict(traffic.refused),
            )
        )
        self._last_s, self._bets = now_s, traffic.bets_in_window
        self._latency = traffic.latency.sparse()
