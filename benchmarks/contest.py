"""The runs of one contender, and how many times one is another."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

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
