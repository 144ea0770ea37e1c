"""`pitboss bench bets`: the load generator against a server that runs, wherever it does."""

import asyncio
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

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
from benchmarks.lengths import LONGEST_S, LengthError, check_length
from benchmarks.measurement import (
    Measurement,
    MeasurementError,
    largest_ms,
    measure,
    milliseconds,
)
from benchmarks.obstacles import explained, hint
from benchmarks.plan import Arrivals, Load, Plan, Progress
from benchmarks.players import BET, CURRENCY, EnlistError, enlist
from benchmarks.series import Series
from benchmarks.spread import shown
from benchmarks.target import Target
from benchmarks.usage import Meter, Usage
from benchmarks.worker import WorkerError

# What a server with its default limits takes from one address, with room to spare: 20 guests a
# minute, and 100 bets a second of each.
_CONNECTIONS: Final = 16
_RATE: Final = 1_000.0
_RATE_OF_ONE: Final = _RATE / _CONNECTIONS
_WARM_UP_S: Final = 1.0
_PROGRESS_EVERY_S: Final = 1.0
# What the world may do to a load test. Everything else is a mistake of ours.
_FAILURES: Final = (
    EnlistError,
    MeasurementError,
    WorkerError,
    aiohttp.ClientError,
)
# To the beginning of the line, and what stood there away.
_REWRITE: Final = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Options:
    """A load test. With a `depth` the loop is closed, without it is open, at a rate."""

    url: str
    connections: int
    mode: str
    rate: float | None
    depth: int | None
    seconds: float
    load: Load
    arrivals: Arrivals
    stake: int
    currency: str

    def fitted(self, players: int) -> Self:
        """The same with a rate, if none was asked for: what so many players may surely place."""
        if self.rate is not None or self.depth is not None:
            return self
        return replace(self, rate=min(_RATE, _RATE_OF_ONE * players))

    def plan(self, tokens: Sequence[str]) -> Plan:
        """What the generator is to do; the players' tokens take turns on its connections."""
        per_message = BETS_PER_MESSAGE[self.mode]
        return Plan(
            url=self.url,
            tokens=[tokens[number % len(tokens)] for number in range(self.connections)],
            bet={**BET, "stake": self.stake, "currency": self.currency},
            bets_per_message=per_message,
            depth=self.depth or DEPTH[self.mode],
            messages_per_second=self.rate and self.rate / per_message,
            warm_up_s=_WARM_UP_S,
            window_s=self.seconds,
            seed=1,
            arrivals=self.arrivals,
            burst_every_s=min(BURST_EVERY_S, self.seconds),
            load=self.load,
            progress_every_s=_PROGRESS_EVERY_S,
        )


class ProgressLine:
    """One line of stderr, rewritten where that is a terminal."""

    def __init__(self) -> None:
        self._rewrites = sys.stderr.isatty()
        self.newest: Progress | None = None

    def show(self, progress: Progress) -> None:
        """Show how the run goes."""
        self.newest = progress
        counts = progress.outcome.refused.items()
        refused = ", ".join(f"{code} {count:,}" for code, count in counts)
        self._write(
            f"{progress.elapsed_s:5.0f} s {progress.bets_per_second:9,.0f} bets/s"
            f"  p50 {_padded(progress.p50_ms)} ms  p99 {_padded(progress.p99_ms)} ms"
            f"  refused: {refused or 'none'}"
        )

    def _write(self, text: str) -> None:
        sys.stderr.write(f"{_REWRITE}{text}" if self._rewrites else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the last line where it stands, if there is one."""
        if self._rewrites and self.newest is not None:
            sys.stderr.write("\n")
            sys.stderr.flush()


def _padded(ms: float | None) -> str:
    return f"{'-' if ms is None else f'{ms:.2f}':>8}"


async def guests(url: str, count: int) -> list[str]:
    """Tokens of new guests with play credits, of fewer where the server lets in no more.

    Raises:
        EnlistError: It let in none.
    """
    tokens: list[str] = []
    for _ in range(count):
        try:
            (player,) = await enlist(url, 1)
        except EnlistError as error:
            if error.code != "rate_limited" or not tokens:
                raise
            click.echo(
                f"Guests let in: {len(tokens)}; they share {count} connections."
                f" {hint(error.code, error.path)}",
                err=True,
            )
            break
        tokens.append(player.token)
    return tokens


async def bench(options: Options, tokens: Sequence[str], file: Path | None) -> None:
    """Run the load test, write its results to `file`, and print the report.

    A run that ends before its time writes what there is until then, and prints its report.

    Raises:
        EnlistError: The server takes no guests, and there are no tokens.
        WorkerError: The generator failed.
        MeasurementError: No bet was due, or none was settled.
    """
    players = tokens or await guests(options.url, options.connections)
    fitted = options.fitted(len(set(players)))
    if options.depth is None and fitted.rate != (options.rate or _RATE):
        click.echo(
            f"For so few players {fitted.rate:,.0f} bets/s are offered; see --rate.", err=True
        )
    line = ProgressLine()
    try:
        measured = await _measured(fitted.plan(players), line)
    except (asyncio.CancelledError, WorkerError):
        if line.newest is not None:
            click.echo(await _report(fitted, _until(line.newest), file))
        raise
    click.echo(await _report(fitted, measured, file))
    if not measured.outcome.bets:
        raise MeasurementError("No bet was settled in the window")


async def _measured(plan: Plan, line: ProgressLine) -> Measurement:
    nothing = Meter(None, None)
    try:
        return await measure(plan, nothing, commits=False, refusals=None, progress=line.show)
    finally:
        line.close()


def _until(progress: Progress) -> Measurement:
    """What a run had shown when it last told of its progress."""
    unknown = Usage(math.nan, math.nan, math.nan)
    return Measurement(progress.elapsed_s, progress.outcome, unknown, 0, 0)


async def _report(options: Options, measured: Measurement, file: Path | None) -> str:
    """Write the results to `file`, and return the report."""
    series = Series(options.mode, options.rate, [measured])
    about = await machine.describe(None, None)
    notes = _notes(options, measured)
    results.write(file, about, [series.figures()], notes, asdict(options))
    return "\n\n".join([_table(options, measured), *notes])


def _table(options: Options, measured: Measurement) -> str:
    latency = measured.latency
    depth = options.depth or DEPTH[options.mode]
    row = (
        options.mode,
        f"{options.connections} x {depth} in flight"
        if options.rate is None
        else f"{options.rate:,.0f} bets/s",
        f"{measured.bets_per_second:,.0f}",
        *(shown(milliseconds(latency, percent), 2) for percent in (50, 99, 99.9)),
        shown(largest_ms(latency), 2),
        shown(measured.refused * 100, 2),
        shown(milliseconds(measured.lateness, 99), 2),
        f"{measured.outcome.cores:.2f}",
    )
    head = ("mode", "load", "bets/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "refused %")
    return results.table((*head, "generator late p99 ms", "generator cores"), [row])


def _notes(options: Options, measured: Measurement) -> list[str]:
    notes = []
    if measured.window_s < options.seconds:
        notes.append(
            f"It ended early: these are its first {measured.window_s:.0f} s of {options.seconds:g}."
        )
    notes += [
        f"{count:,} bets were refused as {code}. {hint(code)}".strip()
        for code, count in sorted(measured.outcome.refused.items())
    ]
    if measured.outcome.cores > 0.9:
        notes.append("The generator was saturated: it is measured as much as the server.")
    return notes


def _sentence(url: str, error: Exception) -> str:
    match error:
        case EnlistError():
            return hint(error.code, error.path) or f"No guest was let in: {error}"
        case aiohttp.ClientConnectionError():
            return f"There is no server at {url}: {error}"
        case aiohttp.ClientError():
            return f"There is no Pitboss server at {url}: {error}"
        case _:
            return explained(str(error))


@click.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The server.")
@click.option("--connections", type=COUNT, default=_CONNECTIONS, show_default=True, help="Sockets.")
@click.option(
    "--rate",
    type=POSITIVE,
    help="Bets a second offered, unless --depth is. By default 62.5 for each player, up to 1000.",
)
@click.option("--depth", type=COUNT, help="Messages in flight on a connection, as fast as it goes.")
@click.option(
    "--seconds",
    type=POSITIVE,
    default=10.0,
    show_default=True,
    help=f"How long; at most {LONGEST_S}, or as long as each --token holds.",
)
@click.option("--mode", type=MODES, default="single", show_default=True, help=MODE_HELP)
@click.option("--load", type=LOADS, default="uniform", show_default=True, help=LOAD_HELP)
@click.option("--arrivals", type=ARRIVALS, show_default="poisson", help=ARRIVALS_HELP)
@click.option("--token", "tokens", multiple=True, help="A player of your own; can be repeated.")
@click.option("--stake", type=COUNT, default=BET["stake"], help="Of each bet, in minor units.")
@click.option("--currency", default=CURRENCY, show_default=True, help="Of the stakes.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
def bets(
    url: str,
    connections: int,
    rate: float | None,
    depth: int | None,
    seconds: float,
    mode: str,
    load: Load,
    arrivals: Arrivals | None,
    tokens: tuple[str, ...],
    stake: int,
    currency: str,
    file: Path | None,
) -> None:
    """Place dice bets on a server, and time its answers.

    Bets arrive at a --rate, whatever the server does, and latency counts from the moment each was
    due; or each connection keeps --depth messages in flight, as fast as answers come. Players are
    new guests with play credits, unless --token names some. Nothing but the server's own limits
    protects it, so ask whoever runs it. What is measured includes the network between.
    """
    if depth is not None and (rate, arrivals) != (None, None):
        raise click.UsageError(
            "--rate and --arrivals are of an open loop, --depth of a closed one."
        )
    try:
        Target.of(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from error
    try:
        check_length(seconds, tokens)
    except LengthError as error:
        raise click.BadParameter(str(error), param_hint="--seconds") from error
    check_open_loop(rate, BETS_PER_MESSAGE[mode], arrivals, _WARM_UP_S, seconds)
    options = Options(
        url=url.rstrip("/"),
        connections=connections,
        mode=mode,
        rate=rate,
        depth=depth,
        seconds=seconds,
        load=load,
        arrivals=arrivals or "poisson",
        stake=stake,
        currency=currency,
    )
    if file is not None:
        file = results.place("live", file, quick=False)
    try:
        uvloop.run(bench(options, tokens, file))
    except _FAILURES as error:
        raise click.ClickException(_sentence(url, error)) from error
