"""How a crowd that comes back at once is let in, and what bets of those connected notice of it.

A whole Pitboss server that has just started; some players place bets at a steady rate, first alone
and then while thousands of clients connect in one moment, each from an address of its own: over a
WebSocket at once, or polling first, as the official JavaScript client does unless told otherwise.
"""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import machine, results
from benchmarks.choices import POSITIVE
from benchmarks.crowd import raise_file_limit
from benchmarks.line import LineError
from benchmarks.measurement import Measurement, MeasurementError, measure, meter_of
from benchmarks.players import EnlistError, enlist, steady
from benchmarks.returns import JOINED, KINDS, ReturnOutcome, ReturnPlan
from benchmarks.server_process import Server, ServerError, Storage, own_storage, serving
from benchmarks.spread import Spread, spread
from benchmarks.worker import Worker, WorkerError, worker

# Players who bet, one socket each.
_BETTORS: Final = 32
# The window of bets alone, and what is added to the storm's length as the rate foresees it.
_ALONE_S: Final = 5.0
_MORE_S: Final = 1.0
# What this server would admit without a bound, about, on the machines we know.
_FASTEST_PER_SECOND: Final = {"websocket": 2_000, "polling,websocket": 500}
# Clients of a full run. Those who poll have three network connections each until they are settled,
# and many a system allows a process 20,000 files.
_FULL: Final = {"websocket": 10_000, "polling,websocket": 5_000}
_QUICK: Final = 3_000


@dataclass(frozen=True, slots=True)
class Options:
    """The crowds by their transports, the bets, and the server's bound on handshakes."""

    clients: dict[str, int]
    bets_per_second: float
    handshakes_per_second: int
    repeats: int

    def storm_s(self, transports: str) -> float:
        """How long a storm is expected to last: bets are measured for that time."""
        rate = min(self.handshakes_per_second, _FASTEST_PER_SECOND[transports])
        return self.clients[transports] / rate + _MORE_S


@dataclass(frozen=True, slots=True)
class Return:
    """One storm: the same bets without and with it, and how the clients came."""

    before: Measurement
    during: Measurement
    crowd: ReturnOutcome

    @property
    def half_joined_s(self) -> float:
        """When half of the clients had joined."""
        joined_s = sorted(self.crowd.joined_s)
        return joined_s[len(joined_s) // 2]

    @property
    def all_joined_s(self) -> float:
        """When all had."""
        return max(self.crowd.joined_s)

    @property
    def all_settled_s(self) -> float:
        """When all had, and were on their WebSockets."""
        return max(self.crowd.settled_s)

    @property
    def joined_per_second(self) -> float:
        """How many joined in a second, on average."""
        return len(self.crowd.joined_s) / self.all_joined_s

    @property
    def refused(self) -> int:
        """Attempts that were refused or cut off."""
        return sum(self.crowd.refused.values())

    @property
    def server_us(self) -> float:
        """Microseconds of the server's CPU for a client: what the same bets alone do not take."""
        more_cores = self.during.usage.server - self.before.usage.server
        return more_cores * self.during.window_s * 1e6 / len(self.crowd.joined_s)

    @property
    def client_us(self) -> float:
        """Microseconds of CPU that a client itself took."""
        return self.crowd.cpu_s * 1e6 / len(self.crowd.joined_s)


@dataclass
class Series:
    """The repeats of one kind of crowd."""

    transports: str
    options: Options
    repeats: list[Return] = field(default_factory=list)

    def spread(self, name: str) -> Spread:
        """How a figure of `Return` varied."""
        return spread(getattr(one, name) for one in self.repeats)

    def bets_ms(self, percent: float, *, during: bool) -> Spread:
        """A percentile of the time to a bet's acknowledgement, during the storm or before."""
        return spread(
            (one.during if during else one.before).latency.percentile(percent) / 1e6
            for one in self.repeats
        )

    def lateness_ms(self) -> Spread:
        """How late the generator of bets was during the storm (99th percentile)."""
        return spread(one.during.lateness.percentile(99) / 1e6 for one in self.repeats)

    def others(self) -> Spread:
        """Cores busy on average with what is no part of this, before the storm."""
        return spread(one.before.others for one in self.repeats)

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        return {
            "transports": self.transports,
            "clients": self.options.clients[self.transports],
            "handshakes_per_second": self.options.handshakes_per_second,
            "offered_bets_per_second": self.options.bets_per_second,
            "repeats": len(self.repeats),
            "half_joined_s": self.spread("half_joined_s"),
            "all_joined_s": self.spread("all_joined_s"),
            "all_settled_s": self.spread("all_settled_s"),
            "joined_per_second": self.spread("joined_per_second"),
            "refused": [one.crowd.refused for one in self.repeats],
            "server_us_per_client": self.spread("server_us"),
            "client_us_per_client": self.spread("client_us"),
            "bets_p50_ms_before": self.bets_ms(50, during=False),
            "bets_p99_ms_before": self.bets_ms(99, during=False),
            "bets_max_ms_before": self.bets_ms(100, during=False),
            "bets_p50_ms": self.bets_ms(50, during=True),
            "bets_p99_ms": self.bets_ms(99, during=True),
            "bets_max_ms": self.bets_ms(100, during=True),
            "generator_late_p99_ms": self.lateness_ms(),
            "other_cores": self.others(),
        }


async def measure_all(options: Options, storage: Storage) -> list[Series]:
    """Let each kind of crowd come to a fresh server, in turns."""
    series = [Series(transports, options) for transports in options.clients]
    async with serving(storage) as server:
        crowd = await enlist(server.url, max(options.clients.values()), funded=False)
    auths = [{"token": player.token} for player in crowd]
    settings = {"PITBOSS_HANDSHAKES_PER_SECOND": str(options.handshakes_per_second)}
    for _ in range(options.repeats):
        for one in series:
            async with serving(storage, settings) as server:
                some = auths[: options.clients[one.transports]]
                plan = ReturnPlan(server.url, some, one.transports, seed=1)
                one.repeats.append(await _once(options, server, plan))
            _progress(one)
    return series


async def _once(options: Options, server: Server, plan: ReturnPlan) -> Return:
    meter = await meter_of(server)
    bettors = await enlist(server.url, _BETTORS)
    rate, storm_s = options.bets_per_second, options.storm_s(plan.transports)
    before = await measure(steady(server.url, bettors, rate, _ALONE_S), meter)
    crowd: Worker
    async with AsyncExitStack() as stack:

        async def storm() -> None:
            nonlocal crowd
            crowd = await stack.enter_async_context(worker("benchmarks.returns", plan))

        during = await measure(steady(server.url, bettors, rate, storm_s), meter, storm)
        await crowd.expect(JOINED)
        return Return(before, during, await crowd.outcome(ReturnOutcome))


def _progress(series: Series) -> None:
    one = series.repeats[-1]
    sys.stderr.write(
        f"{series.transports:17}: joined after {one.all_joined_s:5.2f} s,"
        f" settled after {one.all_settled_s:5.2f} s, {one.refused} refused,"
        f" server {one.server_us:5.0f} us a client,"
        f" bets p99 {one.before.latency.percentile(99) / 1e6:6.2f} ms before,"
        f" {one.during.latency.percentile(99) / 1e6:6.2f} ms during\n"
    )


def markdown(about: dict[str, Any], series: Sequence[Series], notes: Sequence[str]) -> str:
    """The whole report."""
    storms = [
        (
            one.transports,
            f"{one.options.clients[one.transports]:,}",
            one.spread("half_joined_s").text(2),
            one.spread("all_joined_s").text(2),
            one.spread("all_settled_s").text(2),
            one.spread("joined_per_second").text(0),
            one.spread("refused").text(0),
            one.spread("server_us").text(0),
            one.spread("client_us").text(0),
        )
        for one in series
    ]
    bets = [
        (
            one.transports,
            *(
                one.bets_ms(percent, during=during).text(2)
                for percent in (50, 99, 100)
                for during in (False, True)
            ),
            one.lateness_ms().text(2),
            one.others().text(2),
        )
        for one in series
    ]
    head = (
        *("transports", "clients", "half joined s", "all joined s", "all on WebSockets s"),
        *("joined/s", "refused", "server µs/client", "client µs/client"),
    )
    bets_head = (
        *("transports", "p50 ms before", "during", "p99 ms before", "during"),
        *("longest ms before", "during", "generator late p99 ms", "other cores"),
    )
    parts = [
        machine.line(about),
        "### Clients that come back at once",
        results.table(head, storms),
        "### Bets meanwhile",
        results.table(bets_head, bets),
    ]
    return "\n\n".join([*parts, *notes])


def notes_of(series: Sequence[Series]) -> list[str]:
    """What is to be said besides."""
    options = series[0].options
    offered = (
        f"{options.bets_per_second:,.0f} bets a second were offered, as a Poisson process; none was"
        f" refused. The server let in at most {options.handshakes_per_second:,} clients a second."
    )
    outlasted = [
        f"A storm of `{one.transports}` outlasted the bets that were measured."
        for one in series
        if one.spread("all_settled_s").greatest > options.storm_s(one.transports)
    ]
    return [offered, *outlasted]


async def bench(options: Options, file: Path | None) -> str:
    """Run everything, write the results to `file`, and return the report."""
    async with own_storage() as storage:
        about = await machine.describe(storage.database_url, storage.data_dir)
        series = await measure_all(options, storage)
    notes = notes_of(series)
    report = markdown(about, series, notes)
    results.write(file, about, [one.figures() for one in series], notes, asdict(options), report)
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="3,000 clients, each kind once: 40 seconds.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option(
    "--transports",
    type=click.Choice(list(KINDS)),
    multiple=True,
    help="How clients begin; repeatable, and both unless given.",
)
@click.option("--clients", type=int, help="How many of each kind come back at once.")
@click.option(
    "--rate", type=POSITIVE, default=1_000.0, show_default=True, help="Bets offered in a second."
)
@click.option(
    "--handshakes", default=1_000, show_default=True, help="The server's bound in a second."
)
@click.option("--repeats", type=int, help="Storms of each kind.")
def main(
    quick: bool,
    file: Path | None,
    transports: tuple[str, ...],
    clients: int | None,
    rate: float,
    handshakes: int,
    repeats: int | None,
) -> None:
    """Read the command line."""
    options = Options(
        clients={
            kind: clients or (_QUICK if quick else _FULL[kind])
            for kind in transports or tuple(KINDS)
        },
        bets_per_second=rate,
        handshakes_per_second=handshakes,
        repeats=repeats or (1 if quick else 3),
    )
    file = results.place("storm", file, quick=quick)
    try:
        most = max(KINDS[kind].connections * count for kind, count in options.clients.items())
        raise_file_limit(most + _BETTORS)
        print(uvloop.run(bench(options, file)))
    except (EnlistError, LineError, MeasurementError, ServerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
