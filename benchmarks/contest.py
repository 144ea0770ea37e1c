"""The runs of one contender, how many times one is another, and their tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from benchmarks import results
from benchmarks.measurement import Measurement
from benchmarks.spread import Spread, spread

PERCENTS: Final = (50, 99, 99.9)


@dataclass(frozen=True, slots=True)
class Run:
    """One run against one contender. `redis` is the cores that its Redis kept busy."""

    measured: Measurement
    redis: float

    @property
    def per_second(self) -> float:
        """Bets acknowledged in a second."""
        return self.measured.bets_per_second

    @property
    def others(self) -> float:
        """Cores busy with something that is no part of this."""
        return max(0.0, self.measured.others - self.redis)

    def us(self) -> dict[str, float]:
        """Microseconds of CPU for a bet, by whose they are; `stack` is all but the generator's."""
        measured = self.measured
        cores = {
            "server": measured.usage.server,
            "redis": self.redis,
            "postgres": measured.usage.postgres,
        }
        cores |= {"stack": sum(cores.values()), "generator": measured.outcome.cores}
        return {name: measured.us_per_bet(busy) for name, busy in cores.items()}

    def latency_ms(self, percent: float) -> float:
        """A percentile of the time from the moment when a bet was due to its answer."""
        return self.measured.latency.percentile(percent) / 1e6

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        return {
            "bets_per_second": self.per_second,
            "us_per_bet": self.us(),
            **{f"p{percent:g}_ms": self.latency_ms(percent) for percent in PERCENTS},
            "max_ms": self.measured.latency.max / 1e6,
            "generator_lateness_p99_ms": self.measured.lateness.percentile(99) / 1e6,
            "generator_cores": self.measured.outcome.cores,
            "other_cores": self.others,
        }


@dataclass
class Series:
    """Repeats of one run. `offered` is bets a second, None in a closed loop."""

    name: str
    offered: float | None = None
    runs: list[Run] = field(default_factory=list)

    def spread(self, figure: Callable[[Run], float]) -> Spread:
        """How a figure varied over the repeats."""
        return spread(figure(run) for run in self.runs)

    def per_second(self) -> Spread:
        """Bets acknowledged in a second."""
        return self.spread(lambda run: run.per_second)

    def us(self, whose: str) -> Spread:
        """Microseconds of somebody's CPU for a bet."""
        return self.spread(lambda run: run.us()[whose])

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        return {
            "server": self.name,
            "loop": "closed" if self.offered is None else "open",
            "offered_bets_per_second": self.offered,
            "bets_per_second": self.per_second(),
            "runs": [run.figures() for run in self.runs],
        }


def times(ours: Series, theirs: Series, figure: Callable[[Run], float]) -> Spread:
    """How many times their figure ours is, round by round."""
    rounds = zip(ours.runs, theirs.runs, strict=True)
    return spread(figure(mine) / figure(other) for mine, other in rounds)


def throughput_table(every: Sequence[Series]) -> str:
    """Bets a second, and whose CPU each of them takes."""
    whose = ("server", "redis", "postgres", "generator")
    head = (
        *("", "bets/s", "server µs/bet", "Redis µs/bet", "PostgreSQL µs/bet"),
        *("generator µs/bet", "other cores"),
    )
    rows = [
        (
            one.name,
            one.per_second().text(0),
            *(one.us(name).text(1) for name in whose),
            one.spread(lambda run: run.others).text(2),
        )
        for one in every
    ]
    return results.table(head, rows)


def latency_table(every: Sequence[Series]) -> str:
    """What was offered and answered in open loops, how late, and at what cost in CPU."""
    head = (
        *("", "offered bets/s", "answered bets/s", "p50 ms", "p99 ms", "p99.9 ms"),
        *("generator late p99 ms", "server µs/bet", "Redis µs/bet", "PostgreSQL µs/bet"),
        "other cores",
    )
    rows = [
        (
            one.name,
            f"{one.offered:,.0f}",
            one.per_second().text(0),
            *(one.spread(partial(Run.latency_ms, percent=percent)).text(2) for percent in PERCENTS),
            one.spread(lambda run: run.measured.lateness.percentile(99) / 1e6).text(2),
            *(one.us(name).text(1) for name in ("server", "redis", "postgres")),
            one.spread(lambda run: run.others).text(2),
        )
        for one in every
    ]
    return results.table(head, rows)
