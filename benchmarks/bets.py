"""How many durable bets a second Pitboss settles, how fast, and at what cost in CPU.

A real server in a process of its own, on PostgreSQL that syncs to disk; a generator in another,
over real WebSockets. Each bet has its own request id, each acknowledgement is awaited and read, and
afterwards the ledger must have every bet that was acknowledged.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import aiohttp
import click
import uvloop

from benchmarks import machine, results
from benchmarks.choices import (
    ARRIVALS,
    ARRIVALS_HELP,
    BETS_PER_MESSAGE,
    BURST_EVERY_S,
    COUNT,
    DEPTH,
    LOAD_HELP,
    LOADS,
    MODE_HELP,
    MODES,
    POSITIVE,
    check_open_loop,
)
from benchmarks.ledger import LedgerError, audit, check_rows
from benchmarks.lengths import LONGEST_S, LengthError, check_length
from benchmarks.measurement import Measurement, MeasurementError, measure, meter_of, milliseconds
from benchmarks.plan import Arrivals, Load, Plan
from benchmarks.players import BET, EnlistError, enlist
from benchmarks.plot import plot
from benchmarks.report import markdown
from benchmarks.series import Series
from benchmarks.server_process import Server, ServerError, own_server
from benchmarks.spread import shown
from benchmarks.usage import Meter
from benchmarks.worker import WorkerError

# Loads of the open loop, as shares of what the closed loop reached.
_SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_QUICK_SHARES: Final = (0.1, 0.5, 0.9)
# The page of commits is made anew once a second: a shorter window might see the same one twice.
_QUICK_WINDOW_S: Final = 1.5
# What a server may refuse because of the load: how much, is a figure of the open loop.
_SHED: Final = ("overloaded",)
# What may go wrong, of which the message is enough. Everything else is a mistake of ours.
_FAILURES: Final = (
    EnlistError,
    LedgerError,
    MeasurementError,
    ServerError,
    WorkerError,
    aiohttp.ClientError,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and for how long. `shares` of the maximum are the loads of the open loop."""

    modes: tuple[str, ...]
    loops: tuple[str, ...]
    connections: int
    depth: int | None
    rate: float | None
    warm_up_s: float
    window_s: float
    repeats: int
    open_repeats: int
    open_modes: tuple[str, ...]
    shares: tuple[float, ...]
    load: Load
    arrivals: Arrivals


class Bench:
    """All the runs against one server."""

    def __init__(self, options: Options, server: Server, meter: Meter) -> None:
        self._options = options
        self._server = server
        self.meter = meter
        self.acknowledged = 0

    async def run(self) -> list[Series]:
        """Measure everything. Repeats take turns, so that a busy minute hits all alike."""
        options = self._options
        closed = [Series(mode, None) for mode in options.modes]
        if "closed" in options.loops or options.rate is None:
            await self._repeat(closed, options.repeats)
        open_ = list(self._open_series(closed)) if "open" in options.loops else []
        await self._repeat(open_, options.open_repeats)
        return [one for one in (*closed, *open_) if one.repeats]

    def _open_series(self, closed: list[Series]) -> Iterator[Series]:
        options = self._options
        for one in closed:
            if one.mode not in options.open_modes:
                continue
            if options.rate is not None:
                yield Series(one.mode, options.rate)
            else:
                most = one.bets_per_second().middle
                yield from (Series(one.mode, round(most * share)) for share in options.shares)

    async def _repeat(self, series: list[Series], repeats: int) -> None:
        for number in range(repeats):
            for one in series:
                one.repeats.append(await self._once(one, number))
                _progress(one)

    async def _once(self, series: Series, seed: int) -> Measurement:
        """One run, with players of its own, whose ledger is checked afterwards."""
        options, server = self._options, self._server
        players = await enlist(server.url, options.connections)
        per_message = BETS_PER_MESSAGE[series.mode]
        plan = Plan(
            url=server.url,
            tokens=[player.token for player in players],
            bet=BET,
            bets_per_message=per_message,
            depth=options.depth or DEPTH[series.mode],
            messages_per_second=series.offered and series.offered / per_message,
            warm_up_s=options.warm_up_s,
            window_s=options.window_s,
            seed=seed,
            arrivals=options.arrivals,
            burst_every_s=min(BURST_EVERY_S, options.window_s),
            load=options.load,
        )
        shed = () if series.offered is None else _SHED
        measured = await measure(plan, self.meter, refusals=shed)
        self.acknowledged += measured.outcome.acknowledged
        if server.database_url is not None:
            user_ids = [player.user_id for player in players]
            await check_rows(server.database_url, user_ids, measured.outcome.acknowledged)
        return measured

    async def notes(self) -> list[str]:
        """What else is to be said: memory, and that the ledger is right."""
        notes = []
        if self._server.pid is not None:
            server_mb, postgres_mb = self.meter.memory_mb()
            known = self._server.database_url is not None
            postgres = f", PostgreSQL {postgres_mb:.0f} MB" if known else ""
            notes.append(f"Memory at the end: server {server_mb:.0f} MB{postgres}.")
        if self._server.database_url is None:
            return [*notes, "The ledger was not checked: no --database-url was given."]
        said = await audit(self._server.environment)
        checked = f"The ledger has all {self.acknowledged:,} acknowledged bets, and no others."
        return [*notes, checked, f"```\n{said}\n```"]


def _progress(series: Series) -> None:
    newest = series.repeats[-1]
    load = "closed" if series.offered is None else f"{series.offered:,.0f}/s"
    sys.stderr.write(
        f"{series.mode:6} {load:>10}: {newest.bets_per_second:9,.0f} bets/s,"
        f" server {shown(newest.us_per_bet(newest.usage.server), 1):>5} us,"
        f" p99 {shown(milliseconds(newest.latency, 99), 2):>7} ms,"
        f" others {shown(newest.others, 2)} cores\n"
    )


@asynccontextmanager
async def _server(given: Server | None) -> AsyncIterator[Server]:
    if given is not None:
        yield given
        return
    async with own_server() as server:
        yield server


async def bench(options: Options, given: Server | None, file: Path) -> str:
    """Run everything, write the results to `file`, and return the report."""
    async with _server(given) as server:
        about = await machine.describe(server.database_url, server.data_dir)
        runs = Bench(options, server, await meter_of(server))
        series = await runs.run()
        notes = await runs.notes()
    printed = beside = markdown(about, series, notes)
    with results.saving():
        picture = file.with_suffix(".svg")
        if plot(picture, series):
            beside = f"{printed}\n\n![Latency over load]({picture.name})"
    results.write(file, about, [one.figures() for one in series], notes, asdict(options), beside)
    return printed


def _check_loops(
    loop: str | None, rate: float | None, depth: int | None, arrivals: Arrivals | None
) -> None:
    """Raise click.UsageError if an option is given for a loop that does not run."""
    if loop == "closed" and (rate, arrivals) != (None, None):
        raise click.UsageError("--rate and --arrivals are of the open loop.")
    # Without a rate, the open loop's are shares of what the closed one reached.
    if loop == "open" and rate is not None and depth is not None:
        raise click.UsageError("--depth is of the closed loop, and with --rate there is none.")


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Short runs, open loop once: under a minute in all.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path),
    help="Where the results go; tables and plots go beside it.",
)
@click.option(
    "--connections",
    type=COUNT,
    default=64,
    show_default=True,
    help="Players, one socket each.",
)
@click.option("--depth", type=COUNT, help="Messages in flight on a connection in the closed loop.")
@click.option("--rate", type=POSITIVE, help="Bets a second offered in the open loop.")
@click.option(
    "--seconds",
    type=POSITIVE,
    help=f"Length of a run's measured window; at most {LONGEST_S}.",
)
@click.option("--repeats", type=COUNT, default=5, show_default=True, help="Runs of each kind.")
@click.option("--mode", type=MODES, help=MODE_HELP)
@click.option("--loop", type=click.Choice(["open", "closed"]), help="Only this loop.")
@click.option("--load", type=LOADS, default="uniform", show_default=True, help=LOAD_HELP)
@click.option("--arrivals", type=ARRIVALS, show_default="poisson", help=ARRIVALS_HELP)
@click.option("--url", help="A server that runs already, with its rate limits raised.")
@click.option("--server-pid", type=COUNT, help="That server's process, to measure its CPU.")
@click.option("--database-url", help="That server's PostgreSQL, to check its ledger.")
def main(
    quick: bool,
    file: Path | None,
    connections: int,
    depth: int | None,
    rate: float | None,
    seconds: float | None,
    repeats: int,
    mode: str | None,
    loop: str | None,
    load: Load,
    arrivals: Arrivals | None,
    url: str | None,
    server_pid: int | None,
    database_url: str | None,
) -> None:
    """Read the command line."""
    _check_loops(loop, rate, depth, arrivals)
    modes = (mode,) if mode else tuple(BETS_PER_MESSAGE)
    options = Options(
        modes=modes,
        loops=(loop,) if loop else ("closed", "open"),
        connections=connections,
        depth=depth,
        rate=rate,
        warm_up_s=0.5 if quick else 1.0,
        window_s=seconds or (_QUICK_WINDOW_S if quick else 5.0),
        repeats=repeats,
        open_repeats=1 if quick else repeats,
        open_modes=modes[:1] if quick else modes,
        shares=_QUICK_SHARES if quick else _SHARES,
        load=load,
        arrivals=arrivals or "poisson",
    )
    try:
        check_length(options.window_s)
    except LengthError as error:
        raise click.BadParameter(str(error), param_hint="--seconds") from error
    per_message = min(BETS_PER_MESSAGE[one] for one in modes)
    check_open_loop(rate, per_message, arrivals, options.warm_up_s, options.window_s)
    environment = {} if database_url is None else {"DATABASE_URL": database_url}
    given = None if url is None else Server(url, server_pid, database_url, None, environment)
    file = results.place("bets", file, quick=quick)
    try:
        print(uvloop.run(bench(options, given, file)))
    except _FAILURES as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
