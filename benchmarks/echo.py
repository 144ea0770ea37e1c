"""How many acknowledged echoes a second Socket.IO servers do, side by side, and at what cost.

A client sends an event with an acknowledgement, whose arguments come back. Pitboss's socket layer,
Node's Socket.IO, python-socketio and a bare aiohttp WebSocket take turns under the same generator,
which compares every answer with what it must be, to the byte.
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import uvloop

from benchmarks import machine, results
from benchmarks.choices import COUNT, POSITIVE
from benchmarks.echo_generator import EchoOutcome, EchoPlan
from benchmarks.histogram import Histogram
from benchmarks.peer_process import (
    NODE,
    OURS,
    PEERS,
    Peer,
    PeerError,
    available,
    node_trouble,
    node_versions,
    peer,
)
from benchmarks.spread import Spread, spread
from benchmarks.usage import Meter, Usage
from benchmarks.worker import BEGIN, END, WorkerError, worker

# Above this share of a core it is the generator that is measured, at least in part.
_SATURATED_CORES: Final = 0.9


class Load(NamedTuple):
    """Connections, and how many messages each keeps in flight."""

    connections: int
    depth: int

    def __str__(self) -> str:
        return f"{self.connections} x {self.depth}"


# Players who do not wait for their answers; players who do; and many of these.
_LOADS: Final = (Load(50, 16), Load(50, 1), Load(1_000, 1))


@dataclass(frozen=True, slots=True)
class Echoed:
    """One run against one server."""

    outcome: EchoOutcome
    usage: Usage

    @property
    def per_second(self) -> float:
        """Echoes in a second."""
        return self.outcome.echoes / self.outcome.window_s

    @property
    def server_us(self) -> float:
        """Microseconds of the server's CPU for an echo."""
        return self.usage.server * 1e6 / self.per_second

    @property
    def others(self) -> float:
        """Cores busy with something that is no part of this."""
        return max(0.0, self.usage.machine - self.usage.server - self.outcome.cores)

    def latency_ms(self, percent: float) -> float:
        """A percentile of the time to an answer."""
        latency = Histogram.from_sparse(self.outcome.latency, self.outcome.latency_max_ns)
        return latency.percentile(percent) / 1e6


@dataclass
class Series:
    """The repeats of one load on one server."""

    server: str
    load: Load
    repeats: list[Echoed] = field(default_factory=list)

    def per_second(self) -> Spread:
        """Echoes in a second."""
        return spread(one.per_second for one in self.repeats)

    def server_us(self) -> Spread:
        """Microseconds of the server's CPU for an echo."""
        return spread(one.server_us for one in self.repeats)

    def latency_ms(self, percent: float) -> Spread:
        """A percentile of the time to an answer, in each repeat."""
        return spread(one.latency_ms(percent) for one in self.repeats)

    def cores(self) -> dict[str, float]:
        """Cores kept busy on average, by whom."""
        return {
            "server": spread(one.usage.server for one in self.repeats).middle,
            "generator": spread(one.outcome.cores for one in self.repeats).middle,
            "others": spread(one.others for one in self.repeats).middle,
        }

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        return {
            "server": self.server,
            "connections": self.load.connections,
            "in_flight": self.load.depth,
            "repeats": len(self.repeats),
            "echoes_per_second": self.per_second(),
            "server_us_per_echo": self.server_us(),
            "p50_ms": self.latency_ms(50),
            "p99_ms": self.latency_ms(99),
            "cores": self.cores(),
        }


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and for how long."""

    loads: Sequence[Load]
    rounds: int
    warm_up_s: float
    window_s: float


async def measure(options: Options, names: Sequence[str]) -> list[Series]:
    """Run every load on every server, in turns, so that a busy minute hits all alike."""
    every = [Series(name, load) for load in options.loads for name in names]
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(peer(name)) for name in names}
        for _ in range(options.rounds):
            for series in every:
                one = await _once(servers[series.server], series.load, options)
                series.repeats.append(one)
                _progress(series, one)
    return every


async def _once(server: Peer, load: Load, options: Options) -> Echoed:
    plan = EchoPlan(server.url, load.connections, load.depth, options.warm_up_s, options.window_s)
    meter = Meter(server.pid, None)
    async with worker("benchmarks.echo_generator", plan) as generator:
        await generator.expect(BEGIN)
        before = meter.read()
        await generator.expect(END)
        usage = meter.read().since(before)
        return Echoed(await generator.outcome(EchoOutcome), usage)


def _progress(series: Series, one: Echoed) -> None:
    sys.stderr.write(
        f"{series.load!s:>9} {series.server:15}: {one.per_second:9,.0f} echoes/s,"
        f" server {one.server_us:6.1f} us, p99 {one.latency_ms(99):7.2f} ms,"
        f" generator {one.outcome.cores:.2f} cores, others {one.others:.2f}\n"
    )


def ratios(every: Iterable[Series]) -> dict[Load, dict[str, dict[str, Spread]]]:
    """By load, how many times the echoes of each other server each Pitboss does, by round."""
    by_load: dict[Load, dict[str, Series]] = {}
    for series in every:
        by_load.setdefault(series.load, {})[series.server] = series
    return {
        load: {
            one: {name: _times(servers[one], servers[name]) for name in servers if name not in OURS}
            for one in OURS
            if one in servers
        }
        for load, servers in by_load.items()
    }


def _times(ours: Series, theirs: Series) -> Spread:
    rounds = zip(ours.repeats, theirs.repeats, strict=True)
    return spread(mine.per_second / other.per_second for mine, other in rounds)


def markdown(about: dict[str, Any], every: Sequence[Series], notes: Iterable[str]) -> str:
    """The whole report."""
    head = (
        *("load", "server", "echoes/s", "server µs/echo", "p50 ms", "p99 ms"),
        *("server cores", "generator cores", "other cores"),
    )
    rows = [
        (
            str(one.load),
            one.server,
            one.per_second().text(0),
            one.server_us().text(1),
            one.latency_ms(50).text(2),
            one.latency_ms(99).text(2),
            *(f"{cores:.2f}" for cores in one.cores().values()),
        )
        for one in every
    ]
    others = [name for name in PEERS if name not in OURS and name in {one.server for one in every}]
    compared = [
        (str(load), ours, *(times[name].text(1) for name in others))
        for load, servers in ratios(every).items()
        for ours, times in servers.items()
    ]
    parts = [
        machine.line(about),
        "### Acknowledged echoes (connections x in flight on each)",
        results.table(head, rows),
        "### Times the echoes a second of the others, round by round",
        results.table(("load", "server", *others), compared),
    ]
    return "\n\n".join([*parts, *notes])


def notes_of(every: Sequence[Series]) -> list[str]:
    """What is to be said besides: what is missing, and what is the generator's figure."""
    notes = ["Every answer was compared with what it must be, to the byte."]
    absent = set(PEERS) - {one.server for one in every}
    if absent:
        notes.append(f"Not here: {', '.join(sorted(absent))}.")
    saturated = [
        f"{one.server} at {one.load}"
        for one in every
        if one.cores()["generator"] > _SATURATED_CORES
    ]
    if saturated:
        notes.append(f"The generator was saturated: {', '.join(saturated)} can do more.")
    return notes


async def bench(options: Options, file: Path | None) -> str:
    """Run everything, write the results to `file`, and return the report."""
    about = await machine.describe(None, None)
    names = available()
    trouble = await node_trouble() if NODE in names else ""
    if trouble:
        names = tuple(name for name in names if name != NODE)
    if NODE in names:
        about |= await node_versions()
    every = await measure(options, names)
    notes = [*notes_of(every), *filter(None, [trouble])]
    report = markdown(about, every, notes)
    results.write(file, about, [one.figures() for one in every], notes, asdict(options), report)
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Three short rounds of two loads: a minute in all.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--rounds", type=COUNT, help="Runs of each kind.")
@click.option("--seconds", type=POSITIVE, help="Length of a run's measured window.")
def main(quick: bool, file: Path | None, rounds: int | None, seconds: float | None) -> None:
    """Read the command line."""
    options = Options(
        loads=_LOADS[:2] if quick else _LOADS,
        rounds=rounds or (3 if quick else 5),
        warm_up_s=0.3 if quick else 1.0,
        window_s=seconds or (1.0 if quick else 4.0),
    )
    file = results.place("echo", file, quick=quick)
    try:
        print(uvloop.run(bench(options, file)))
    except (PeerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
