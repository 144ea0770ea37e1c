"""The repeats of one measurement, and their spread."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.histogram import Histogram
from benchmarks.measurement import Measurement, largest_ms, milliseconds
from benchmarks.spread import Spread, spread


@dataclass
class Series:
    """Repeats of the same run. `offered` is bets a second, None in a closed loop."""

    mode: str
    offered: float | None
    repeats: list[Measurement] = field(default_factory=list)

    def spread(self, figure: Callable[[Measurement], float]) -> Spread:
        """How a figure varied over the repeats."""
        return spread(figure(repeat) for repeat in self.repeats)

    def bets_per_second(self) -> Spread:
        """Bets acknowledged in a second."""
        return self.spread(lambda one: one.bets_per_second)

    def server_us(self) -> Spread:
        """Microseconds of Pitboss's CPU for a bet."""
        return self.spread(lambda one: one.us_per_bet(one.usage.server))

    def postgres_us(self) -> Spread:
        """Microseconds of PostgreSQL's CPU for a bet."""
        return self.spread(lambda one: one.us_per_bet(one.usage.postgres))

    def generator_us(self) -> Spread:
        """Microseconds of the generator's CPU for a bet."""
        return self.spread(lambda one: one.us_per_bet(one.outcome.cores))

    def rows_per_commit(self) -> Spread:
        """Rows in a transaction."""
        return self.spread(lambda one: one.rows_per_commit)

    def refused_percent(self) -> Spread:
        """Bets that were refused, of a hundred."""
        return self.spread(lambda one: one.refused * 100)

    def latency_ms(self, percent: float) -> Spread:
        """A percentile of the latency, in each repeat."""
        return self.spread(lambda one: milliseconds(one.latency, percent))

    def cores(self) -> dict[str, float]:
        """Cores kept busy on average: by Pitboss, PostgreSQL, the generator and others."""
        return {
            "server": self.spread(lambda one: one.usage.server).middle,
            "postgres": self.spread(lambda one: one.usage.postgres).middle,
            "generator": self.spread(lambda one: one.outcome.cores).middle,
            "others": self.spread(lambda one: one.others).middle,
        }

    def latency(self) -> Histogram:
        """The latencies of all repeats together, in nanoseconds."""
        return _together([repeat.latency for repeat in self.repeats])

    def lateness(self) -> Histogram:
        """The generator's own lateness in all repeats together, in nanoseconds."""
        return _together([repeat.lateness for repeat in self.repeats])

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results; None for what is not known."""
        return _nones(self._figures())

    def _figures(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "loop": "closed" if self.offered is None else "open",
            "offered_bets_per_second": self.offered,
            "repeats": len(self.repeats),
            "bets_per_second": self.bets_per_second(),
            "server_us_per_bet": self.server_us(),
            "postgres_us_per_bet": self.postgres_us(),
            "generator_us_per_bet": self.generator_us(),
            "rows_per_commit": self.rows_per_commit(),
            "p50_ms": self.latency_ms(50),
            "p99_ms": self.latency_ms(99),
            "p999_ms": self.latency_ms(99.9),
            "max_ms": largest_ms(self.latency()),
            "generator_lateness_p99_ms": milliseconds(self.lateness(), 99),
            "refused_percent": self.refused_percent(),
            "cores": _nones(self.cores()),
            "runs": [_nones(_run(repeat)) for repeat in self.repeats],
        }


def _run(one: Measurement) -> dict[str, Any]:
    """The figures of one repeat."""
    return {
        "bets_per_second": one.bets_per_second,
        "server_us_per_bet": one.us_per_bet(one.usage.server),
        "postgres_us_per_bet": one.us_per_bet(one.usage.postgres),
        "generator_us_per_bet": one.us_per_bet(one.outcome.cores),
        "rows_per_commit": one.rows_per_commit,
        **{f"p{percent:g}_ms": milliseconds(one.latency, percent) for percent in (50, 99, 99.9)},
        "max_ms": largest_ms(one.latency),
        "generator_lateness_p99_ms": milliseconds(one.lateness, 99),
        "refused": one.outcome.refused,
        "other_cores": one.others,
    }


def _nones(figures: dict[str, Any]) -> dict[str, Any]:
    """The same, with None for what is not known."""
    return {name: None if _unknown(figure) else figure for name, figure in figures.items()}


def _unknown(figure: Any) -> bool:
    if isinstance(figure, Spread):
        return not figure.known
    return isinstance(figure, float) and math.isnan(figure)


def _together(histograms: list[Histogram]) -> Histogram:
    whole = Histogram()
    for one in histograms:
        whole.add(one)
    return whole
