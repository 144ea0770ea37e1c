"""What an idle connection costs: memory, CPU for its heartbeats, and the CPU to let it in.

A crowd of real WebSockets, each from an address of its own and in the main namespace, answers
heartbeats and does nothing else: players of a whole Pitboss server, whose tokens it has looked up,
and guests of its socket layer alone.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import machine, results
from benchmarks.crowd import raise_file_limit
from benchmarks.line import LineError
from benchmarks.peer_process import PITBOSS, PeerError, peer
from benchmarks.players import EnlistError, enlist
from benchmarks.server_process import ServerError, Storage, own_storage, serving
from benchmarks.spread import Spread, spread
from benchmarks.usage import Meter, resident
from benchmarks.watch import JOINED, WatchOutcome, WatchPlan
from benchmarks.worker import WorkerError, worker

SERVER: Final = "Pitboss, players"
LAYER: Final = "socket layer alone"
# Who connects and leaves before anything is measured, so that what a first client makes a server
# load and allocate counts for nobody. A handful: the memory of those who left is used again, and
# would make those who come look smaller.
_WARM_UP: Final = 8
# Until their sessions have ended and the server has nothing to do.
_LEAVE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure. Heartbeats are counted from the moment all have joined."""

    sizes: tuple[int, ...]
    repeats: int
    heartbeat_s: float
    empty_s: float
    settle_heartbeats: int
    measured_heartbeats: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A server, and the handshakes it lets in."""

    url: str
    pid: int
    auths: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Idle:
    """One crowd. CPU is the server's, in microseconds; a second's is beyond an empty server's."""

    connections: int
    per_second: float
    connect_us: float
    heap_bytes: float
    rss_bytes: float
    cpu_us_per_second: float
    empty_us_per_second: float
    heartbeats: int


@dataclass
class Series:
    """The repeats of one size on one kind of server."""

    subject: str
    connections: int
    heartbeat_s: float
    repeats: list[Idle] = field(default_factory=list)

    def spread(self, name: str) -> Spread:
        """How a figure of `Idle` varied."""
        return spread(getattr(one, name) for one in self.repeats)

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        return {
            "subject": self.subject,
            "connections": self.connections,
            "repeats": len(self.repeats),
            "heartbeat_interval_s": self.heartbeat_s,
            "heartbeats": min(one.heartbeats for one in self.repeats),
            "heap_bytes_per_connection": self.spread("heap_bytes"),
            "rss_bytes_per_connection": self.spread("rss_bytes"),
            "cpu_us_per_second_per_connection": self.spread("cpu_us_per_second"),
            "empty_server_us_per_second": self.spread("empty_us_per_second"),
            "connects_per_second": self.spread("per_second"),
            "server_us_per_connect": self.spread("connect_us"),
        }


async def measure(options: Options) -> list[Series]:
    """Measure every size on a fresh server of each kind, in turns."""
    series = [
        Series(kind, size, options.heartbeat_s)
        for size in options.sizes
        for kind in (SERVER, LAYER)
    ]
    async with own_storage() as storage:
        tokens = await _tokens(storage, max(options.sizes))
        for _ in range(options.repeats):
            for one in series:
                auths = [{"token": token} for token in tokens[: one.connections]]
                start = (
                    _server(storage, auths, options)
                    if one.subject == SERVER
                    else _layer(auths, options)
                )
                async with start as subject:
                    one.repeats.append(await _idle(subject, options))
                _progress(one)
    return series


async def _tokens(storage: Storage, count: int) -> list[str]:
    """Tokens of new guests, from a server that is gone afterwards: its memory is used."""
    async with serving(storage) as server:
        return [player.token for player in await enlist(server.url, count, funded=False)]


@asynccontextmanager
async def _server(
    storage: Storage, auths: list[dict[str, str]], options: Options
) -> AsyncIterator[Subject]:
    settings = {
        "PITBOSS_PING_INTERVAL_MILLISECONDS": str(_interval_ms(options)),
        # The rate at which a real server lets crowds in would be measured otherwise.
        "PITBOSS_HANDSHAKES_PER_SECOND": "1000000",
    }
    async with serving(storage, settings) as server:
        assert server.pid is not None
        yield Subject(server.url, server.pid, auths)


@asynccontextmanager
async def _layer(auths: list[dict[str, str]], options: Options) -> AsyncIterator[Subject]:
    async with peer(PITBOSS, "--ping-interval-ms", str(_interval_ms(options))) as layer:
        yield Subject(layer.url, layer.pid, auths)


def _interval_ms(options: Options) -> int:
    return int(options.heartbeat_s * 1_000)


async def _idle(subject: Subject, options: Options) -> Idle:
    """Let a crowd in, wait for its heartbeats to be even, and measure."""
    async with worker("benchmarks.watch", WatchPlan(subject.url, subject.auths[:_WARM_UP])) as one:
        await one.expect(JOINED)
        await one.outcome(WatchOutcome)
    await asyncio.sleep(_LEAVE_S)
    meter = Meter(subject.pid, None)
    empty = await _cores(meter, options.empty_s)
    memory, before = resident(subject.pid), meter.read()
    async with worker("benchmarks.watch", WatchPlan(subject.url, subject.auths)) as crowd:
        await crowd.expect(JOINED)
        connect_s = meter.read().server_s - before.server_s
        await asyncio.sleep(options.settle_heartbeats * options.heartbeat_s)
        busy = await _cores(meter, options.measured_heartbeats * options.heartbeat_s)
        grown = resident(subject.pid)
        outcome = await crowd.outcome(WatchOutcome)
    count = len(subject.auths)
    return Idle(
        connections=count,
        per_second=count / outcome.join_s,
        connect_us=connect_s * 1e6 / count,
        heap_bytes=(grown.heap_bytes - memory.heap_bytes) / count,
        rss_bytes=(grown.rss_bytes - memory.rss_bytes) / count,
        cpu_us_per_second=(busy - empty) * 1e6 / count,
        empty_us_per_second=empty * 1e6,
        heartbeats=outcome.least_pings,
    )


async def _cores(meter: Meter, seconds: float) -> float:
    """How much of a core the server keeps busy in the time that follows."""
    before = meter.read()
    await asyncio.sleep(seconds)
    return meter.read().since(before).server


def _progress(series: Series) -> None:
    one = series.repeats[-1]
    sys.stderr.write(
        f"{series.subject:18} {one.connections:6,}: {one.heap_bytes:7,.0f} bytes,"
        f" {one.cpu_us_per_second:6.2f} us/s, connect {one.per_second:6,.0f}/s"
        f" at {one.connect_us:5.0f} us, {one.heartbeats} heartbeats\n"
    )


def markdown(about: dict[str, Any], series: Sequence[Series], notes: Sequence[str]) -> str:
    """The whole report."""
    head = (
        *("server", "connections", "bytes (heap)", "bytes (RSS)", "CPU µs/s", "heartbeat s"),
        *("connects/s", "CPU µs/connect", "empty server CPU µs/s"),
    )
    rows = [
        (
            one.subject,
            f"{one.connections:,}",
            one.spread("heap_bytes").text(0),
            one.spread("rss_bytes").text(0),
            one.spread("cpu_us_per_second").text(2),
            f"{one.heartbeat_s:g}",
            one.spread("per_second").text(0),
            one.spread("connect_us").text(0),
            one.spread("empty_us_per_second").text(0),
        )
        for one in series
    ]
    title = "### An idle connection"
    return "\n\n".join([machine.line(about), title, results.table(head, rows), *notes])


def notes_of(options: Options) -> list[str]:
    """What is to be said besides."""
    heartbeats = options.settle_heartbeats + options.measured_heartbeats
    memory = (
        f"Memory is what the process has grown by after {heartbeats} heartbeats, by the"
        " connections. The kernel's own buffers are not in it."
    )
    cpu = (
        f"CPU is of {options.measured_heartbeats} whole heartbeats, without what the empty server"
        " uses."
    )
    return [memory, cpu]


async def bench(options: Options, file: Path | None) -> str:
    """Run everything, write the results to `file`, and return the report."""
    about = await machine.describe(None, None)
    series = await measure(options)
    notes = notes_of(options)
    report = markdown(about, series, notes)
    results.write(file, about, [one.figures() for one in series], notes, asdict(options), report)
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="1,000 only, with quick heartbeats: half a minute.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--connections", "sizes", type=int, multiple=True, help="How many; repeatable.")
@click.option("--repeats", default=1, show_default=True, help="Crowds of each kind.")
def main(quick: bool, file: Path | None, sizes: tuple[int, ...], repeats: int) -> None:
    """Read the command line."""
    options = Options(
        sizes=sizes or ((1_000,) if quick else (1_000, 10_000)),
        repeats=repeats,
        heartbeat_s=2.0 if quick else 25.0,
        empty_s=2.0 if quick else 10.0,
        settle_heartbeats=1,
        measured_heartbeats=2,
    )
    file = results.place("connections", file, quick=quick)
    try:
        raise_file_limit(max(options.sizes))
        print(uvloop.run(bench(options, file)))
    except (EnlistError, LineError, PeerError, ServerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
