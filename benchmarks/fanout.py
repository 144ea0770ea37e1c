"""How long a broadcast takes to reach a room, what it costs, and what players notice meanwhile.

A whole Pitboss server publishes an event to a room of watchers at regular times, while other
players bet at a given rate. A crowd in a process of its own notes when each watcher got it; each
has to get every one, once and in order. The same bets without broadcasts tell what they cost.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
import uvloop

from benchmarks import fanout_server, machine, results
from benchmarks.choices import COUNT, POSITIVE
from benchmarks.crowd import raise_file_limit
from benchmarks.deliveries import Publication
from benchmarks.line import LineError
from benchmarks.measurement import Measurement, MeasurementError, measure, meter_of
from benchmarks.players import MARGIN_S, EnlistError, enlist, steady
from benchmarks.server_process import Server, ServerError, Storage, own_storage, serving
from benchmarks.spread import Spread, spread
from benchmarks.watch import JOINED, WatchOutcome, WatchPlan
from benchmarks.worker import WorkerError, worker

# Members of the room, and seconds between two broadcasts: a large room's rests for up to a second,
# and what comes sooner is delayed on purpose.
_INTERVALS_S: Final = {10: 0.02, 100: 0.05, 1_000: 0.25, 10_000: 1.25}
# Players who bet, one socket each.
_BETTORS: Final = 32


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and for how long."""

    sizes: tuple[int, ...]
    interval_s: float | None
    bets_per_second: float
    window_s: float
    repeats: int

    def interval_of(self, size: int) -> float:
        """Seconds between broadcasts to a room of this size."""
        return self.interval_s or _INTERVALS_S.get(size, max(_INTERVALS_S.values()))


@dataclass(frozen=True, slots=True)
class Fanout:
    """One run: the same bets with and without broadcasts, and every broadcast's way."""

    members: int
    interval_s: float
    quiet: Measurement
    busy: Measurement
    publications: list[Publication]
    watchers_cpu_s: float

    def taken_ms(self, name: str) -> float:
        """The median, over all broadcasts, of a time of theirs such as `last_ns`."""
        taken_ns: list[int] = [getattr(one, name) for one in self.publications]
        return median(taken_ns) / 1e6

    @property
    def worst_ms(self) -> float:
        """The last recipient of the slowest broadcast."""
        return max(one.last_ns for one in self.publications) / 1e6

    @property
    def server_us(self) -> float:
        """Microseconds of the server's CPU for a delivery: what the same bets alone do not take."""
        per_second = self.members / self.interval_s
        return (self.busy.usage.server - self.quiet.usage.server) * 1e6 / per_second

    @property
    def watchers_us(self) -> float:
        """Microseconds of the crowd's CPU for a delivery, heartbeats and waiting included."""
        return self.watchers_cpu_s * 1e6 / (self.members * len(self.publications))


@dataclass
class Series:
    """The repeats of one size of room."""

    members: int
    interval_s: float
    repeats: list[Fanout] = field(default_factory=list)

    def taken_ms(self, name: str) -> Spread:
        """How a time of the broadcasts varied; each repeat counts with its median broadcast."""
        return spread(one.taken_ms(name) for one in self.repeats)

    def worst_ms(self) -> Spread:
        """The last recipient of the slowest broadcast, in each repeat."""
        return spread(one.worst_ms for one in self.repeats)

    def server_us(self) -> Spread:
        """Microseconds of the server's CPU for a delivery."""
        return spread(one.server_us for one in self.repeats)

    def watchers_us(self) -> Spread:
        """Microseconds of the crowd's CPU for a delivery."""
        return spread(one.watchers_us for one in self.repeats)

    def bets_ms(self, percent: float, *, busy: bool) -> Spread:
        """A percentile of the time to a bet's acknowledgement, with or without broadcasts."""
        return spread(
            (one.busy if busy else one.quiet).latency.percentile(percent) / 1e6
            for one in self.repeats
        )

    def others(self) -> Spread:
        """Cores busy on average with what is no part of this, without broadcasts."""
        return spread(one.quiet.others for one in self.repeats)

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        return {
            "members": self.members,
            "interval_s": self.interval_s,
            "repeats": len(self.repeats),
            "broadcasts": sum(len(one.publications) for one in self.repeats),
            "first_ms": self.taken_ms("first_ns"),
            "p50_ms": self.taken_ms("p50_ns"),
            "p99_ms": self.taken_ms("p99_ns"),
            "last_ms": self.taken_ms("last_ns"),
            "slowest_last_ms": self.worst_ms(),
            "server_us_per_delivery": self.server_us(),
            "watchers_us_per_delivery": self.watchers_us(),
            "bets_p50_ms": self.bets_ms(50, busy=True),
            "bets_p99_ms": self.bets_ms(99, busy=True),
            "bets_p50_ms_without": self.bets_ms(50, busy=False),
            "bets_p99_ms_without": self.bets_ms(99, busy=False),
            "other_cores": self.others(),
        }


class Bench:
    """All the runs on one database, each on a fresh server."""

    def __init__(self, options: Options, storage: Storage) -> None:
        self._options = options
        self._storage = storage

    async def run(self) -> list[Series]:
        """Measure every size, in turns."""
        options = self._options
        series = [Series(size, options.interval_of(size)) for size in options.sizes]
        async with serving(self._storage) as server:
            watchers = await enlist(server.url, max(options.sizes), funded=False)
        tokens = [player.token for player in watchers]
        for _ in range(options.repeats):
            for one in series:
                command = ("-m", fanout_server.__name__, str(one.interval_s))
                async with serving(self._storage, command=command) as server:
                    one.repeats.append(await self._once(server, tokens[: one.members], one))
                _progress(one)
        return series

    async def _once(self, server: Server, tokens: list[str], series: Series) -> Fanout:
        assert server.pid is not None
        meter = await meter_of(server)
        options = self._options
        bettors = await enlist(server.url, _BETTORS)
        plan = steady(server.url, bettors, options.bets_per_second, options.window_s)
        auths = [{"token": token, "watch": "yes"} for token in tokens]
        async with worker("benchmarks.watch", WatchPlan(server.url, auths)) as crowd:
            await crowd.expect(JOINED)
            quiet = await measure(plan, meter)
            os.kill(server.pid, fanout_server.START)
            busy = await measure(plan, meter)
            os.kill(server.pid, fanout_server.STOP)
            await asyncio.sleep(MARGIN_S)
            outcome = await crowd.outcome(WatchOutcome)
        check(outcome.publications, len(tokens))
        return Fanout(
            len(tokens), series.interval_s, quiet, busy, outcome.publications, outcome.cpu_s
        )


def check(publications: Sequence[Publication], members: int) -> None:
    """Raise MeasurementError if a broadcast did not reach everybody."""
    missed = [one.number for one in publications if one.recipients != members]
    if missed or not publications:
        raise MeasurementError(f"of {len(publications)} broadcasts, not all got {missed}")


def _progress(series: Series) -> None:
    one = series.repeats[-1]
    sys.stderr.write(
        f"{one.members:6,} members: last {one.taken_ms('last_ns'):7.2f} ms,"
        f" server {one.server_us:5.1f} us a delivery, watcher {one.watchers_us:4.1f} us,"
        f" bets p99 {one.quiet.latency.percentile(99) / 1e6:6.2f} ms alone,"
        f" {one.busy.latency.percentile(99) / 1e6:6.2f} ms with, others {one.quiet.others:.2f}\n"
    )


def markdown(about: dict[str, Any], series: Sequence[Series], notes: Sequence[str]) -> str:
    """The whole report."""
    head = (
        *("members", "every s", "first ms", "p50 ms", "p99 ms", "last ms", "slowest last ms"),
        *("server µs/delivery", "watcher µs/delivery"),
    )
    rows = [
        (
            f"{one.members:,}",
            f"{one.interval_s:g}",
            one.taken_ms("first_ns").text(2),
            one.taken_ms("p50_ns").text(2),
            one.taken_ms("p99_ns").text(2),
            one.taken_ms("last_ns").text(2),
            one.worst_ms().text(2),
            one.server_us().text(1),
            one.watchers_us().text(1),
        )
        for one in series
    ]
    bets = [
        (
            f"{one.members:,}",
            one.bets_ms(50, busy=False).text(2),
            one.bets_ms(50, busy=True).text(2),
            one.bets_ms(99, busy=False).text(2),
            one.bets_ms(99, busy=True).text(2),
            one.others().text(2),
        )
        for one in series
    ]
    parts = [
        machine.line(about),
        "### From publishing to a room's members",
        results.table(head, rows),
        "### Bets meanwhile",
        results.table(
            ("members", "p50 ms without", "with", "p99 ms without", "with", "other cores"), bets
        ),
    ]
    return "\n\n".join([*parts, *notes])


def notes_of(options: Options) -> list[str]:
    """What is to be said besides."""
    return [
        f"{options.bets_per_second:,.0f} bets a second went on meanwhile, as a Poisson process.",
        "Every member got every broadcast, once and in order.",
    ]


async def bench(options: Options, file: Path | None) -> str:
    """Run everything, write the results to `file`, and return the report."""
    async with own_storage() as storage:
        about = await machine.describe(storage.database_url, storage.data_dir)
        series = await Bench(options, storage).run()
    notes = notes_of(options)
    report = markdown(about, series, notes)
    results.write(file, about, [one.figures() for one in series], notes, asdict(options), report)
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Rooms up to 1,000, once: under a minute.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--members", "sizes", type=COUNT, multiple=True, help="Of the room; repeatable.")
@click.option("--interval", type=POSITIVE, help="Seconds between broadcasts, whatever the room.")
@click.option(
    "--rate", type=POSITIVE, default=1_000.0, show_default=True, help="Bets a second meanwhile."
)
@click.option("--seconds", type=POSITIVE, help="Length of a run's measured windows.")
@click.option("--repeats", type=COUNT, help="Runs of each size.")
def main(
    quick: bool,
    file: Path | None,
    sizes: tuple[int, ...],
    interval: float | None,
    rate: float,
    seconds: float | None,
    repeats: int | None,
) -> None:
    """Read the command line."""
    options = Options(
        sizes=sizes or tuple(_INTERVALS_S)[: 3 if quick else None],
        interval_s=interval,
        bets_per_second=rate,
        # Whole intervals of each room, so that a window has as many deliveries as were due in it.
        window_s=seconds or (2.0 if quick else 10.0),
        repeats=repeats or (1 if quick else 5),
    )
    file = results.place("fanout", file, quick=quick)
    try:
        raise_file_limit(max(options.sizes) + _BETTORS)
        print(uvloop.run(bench(options, file)))
    except (EnlistError, LineError, MeasurementError, ServerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
