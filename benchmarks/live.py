"""`pitboss bench bets`: the load generator against a server that runs, wherever it does."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
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
    DEPTH,
    LOAD_HELP,
    LOADS,
    MODE_HELP,
    MODES,
)
from benchmarks.measurement import Measurement, MeasurementError, measure
from benchmarks.obstacles import explained, hint
from benchmarks.plan import Arrivals, Load, Plan, Progress
from benchmarks.players import BET, CURRENCY, EnlistError, enlist
from benchmarks.series import Series
from benchmarks.target import Target
from benchmarks.usage import Meter
from benchmarks.worker import WorkerError

# What a server with its default limits takes from one address, with room to spare.
_RATE: Final = 1_000.0
_CONNECTIONS: Final = 16
_WARM_UP_S: Final = 1.0
_PROGRESS_EVERY_S: Final = 1.0
_POSITIVE: Final = click.IntRange(min=1)
_POSITIVE_RATE: Final = click.FloatRange(min=0, min_open=True)
# What the world may do to a load test. Everything else is a mistake of ours.
_FAILURES: Final = (
    EnlistError,
    MeasurementError,
    WorkerError,
    aiohttp.ClientError,
    TimeoutError,
)
# To the beginning of the line, and what stood there away.
_REWRITE: Final = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Options:
    """A load test. With a `rate` the loop is open, without it is closed."""

    url: str
    connections: int
    mode: str
    rate: float | None
    depth: int
    seconds: float
    load: Load
    arrivals: Arrivals
    stake: int
    currency: str

    def plan(self, tokens: Sequence[str]) -> Plan:
        """What the generator is to do; the players' tokens take turns on its connections."""
        per_message = BETS_PER_MESSAGE[self.mode]
        return Plan(
            url=self.url,
            tokens=[tokens[number % len(tokens)] for number in range(self.connections)],
            bet={**BET, "stake": self.stake, "currency": self.currency},
            bets_per_message=per_message,
            depth=self.depth,
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

    def show(self, progress: Progress) -> None:
        """Show how the run goes."""
        refused = ", ".join(f"{code} {count:,}" for code, count in progress.refused.items())
        self._write(
            f"{progress.elapsed_s:5.0f} s {progress.bets_per_second:9,.0f} bets/s"
            f"  p50 {progress.p50_ms:8.2f} ms  p99 {progress.p99_ms:8.2f} ms"
            f"  refused: {refused or 'none'}"
        )

    def _write(self, text: str) -> None:
        sys.stderr.write(f"{_REWRITE}{text}" if self._rewrites else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the last line where it stands."""
        if self._rewrites:
            sys.stderr.write("\n")


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


async def bench(options: Options, tokens: Sequence[str], file: Path | None) -> str:
    """Run the load test, write its results to `file`, and return the report.

    Raises:
        EnlistError: The server takes no guests, and there are no tokens.
        WorkerError: The generator failed.
        MeasurementError: No bet was settled.
    """
    players = tokens or await guests(options.url, options.connections)
    shown = ProgressLine()
    try:
        measured = await measure(
            options.plan(players),
            Meter(None, None),
            commits=False,
            refusals=None,
            progress=shown.show,
        )
    finally:
        shown.close()
    series = Series(options.mode, options.rate, [measured])
    about = await machine.describe(None, None)
    notes = _notes(measured)
    settings = {name: getattr(options, name) for name in Options.__slots__}
    results.write(file, about, [series.figures()], notes, settings)
    return "\n\n".join([_table(options, measured), *notes])


def _table(options: Options, measured: Measurement) -> str:
    latency = measured.latency
    load = f"{options.depth} in flight" if options.rate is None else f"{options.rate:,.0f} bets/s"
    row = (
        options.mode,
        f"{options.connections} x {load}" if options.rate is None else load,
        f"{measured.bets_per_second:,.0f}",
        *(f"{latency.percentile(percent) / 1e6:.2f}" for percent in (50, 99, 99.9)),
        f"{latency.max / 1e6:.2f}",
        f"{measured.refused * 100:.2f}",
        f"{measured.lateness.percentile(99) / 1e6:.2f}",
        f"{measured.outcome.cores:.2f}",
    )
    head = ("mode", "load", "bets/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "refused %")
    return results.table((*head, "generator late p99 ms", "generator cores"), [row])


def _notes(measured: Measurement) -> list[str]:
    notes = [
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
        case aiohttp.ClientConnectionError() | TimeoutError():
            return f"There is no server at {url}: {error}"
        case aiohttp.ClientError():
            return f"There is no Pitboss server at {url}: {error}"
        case _:
            return explained(str(error))


@click.command("bets")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The server.")
@click.option(
    "--connections", type=_POSITIVE, default=_CONNECTIONS, show_default=True, help="Sockets."
)
@click.option("--rate", type=_POSITIVE_RATE, help="Bets a second offered: 1000 unless --depth is.")
@click.option(
    "--depth", type=_POSITIVE, help="Messages in flight on a connection, as fast as it goes."
)
@click.option("--seconds", type=_POSITIVE_RATE, default=10.0, show_default=True, help="How long.")
@click.option("--mode", type=MODES, default="single", show_default=True, help=MODE_HELP)
@click.option("--load", type=LOADS, default="uniform", show_default=True, help=LOAD_HELP)
@click.option("--arrivals", type=ARRIVALS, default="poisson", show_default=True, help=ARRIVALS_HELP)
@click.option("--token", "tokens", multiple=True, help="A player of your own; can be repeated.")
@click.option("--stake", type=_POSITIVE, default=BET["stake"], help="Of each bet, in minor units.")
@click.option("--currency", default=CURRENCY, show_default=True, help="Of the stakes.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
def command(
    url: str,
    connections: int,
    rate: float | None,
    depth: int | None,
    seconds: float,
    mode: str,
    load: Load,
    arrivals: Arrivals,
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
    if rate is not None and depth is not None:
        raise click.UsageError("--rate is for an open loop and --depth for a closed one.")
    try:
        Target.of(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from error
    options = Options(
        url=url.rstrip("/"),
        connections=connections,
        mode=mode,
        rate=None if depth is not None else rate or _RATE,
        depth=depth or DEPTH[mode],
        seconds=seconds,
        load=load,
        arrivals=arrivals,
        stake=stake,
        currency=currency,
    )
    try:
        click.echo(uvloop.run(bench(options, tokens, file)))
    except _FAILURES as error:
        raise click.ClickException(_sentence(url, error)) from error
