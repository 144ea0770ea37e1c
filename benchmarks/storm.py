"""How a crowd that comes back at once is let in, and what bets of those connected notice of it.

A whole Pitboss server; some players place bets at a steady rate, first alone and then while
thousands of clients connect in one moment, each from an address of its own, as after a restart.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import machine, results
from benchmarks.crowd import raise_file_limit
from benchmarks.histogram import Histogram
from benchmarks.line import LineError
from benchmarks.plan import Outcome, Plan
from benchmarks.players import CURRENCY, EnlistError, enlist
from benchmarks.returns import JOINED, ReturnOutcome, ReturnPlan
from benchmarks.server_process import ServerError, own_storage, serving
from benchmarks.usage import Meter, Usage
from benchmarks.worker import BEGIN, END, Worker, WorkerError, worker

_BET: Final = {"stake": 10, "currency": CURRENCY, "target": 5_000, "direction": "over"}
# The window of bets alone, and what is added to the storm's length as the rate foresees it.
_ALONE_S: Final = 5.0
_MORE_S: Final = 1.0
# What this server would admit without a bound, about, on the machines we know.
_FASTEST_PER_SECOND: Final = 2_000


@dataclass(frozen=True, slots=True)
class Options:
    """The crowd, the bets, and the server's bound on handshakes."""

    clients: int
    players: int
    bets_per_second: float
    handshakes_per_second: int

    @property
    def storm_s(self) -> float:
        """How long the storm is expected to last: bets are measured for that time."""
        rate = min(self.handshakes_per_second, _FASTEST_PER_SECOND)
        return self.clients / rate + _MORE_S


@dataclass(frozen=True, slots=True)
class Bets:
    """The bets of one window."""

    outcome: Outcome
    usage: Usage

    def figures(self) -> dict[str, Any]:
        """Latencies from the moment a bet was due, and what the server used meanwhile."""
        latency = Histogram.from_sparse(self.outcome.latency, self.outcome.latency_max_ns)
        lateness = Histogram.from_sparse(self.outcome.lateness, self.outcome.lateness_max_ns)
        return {
            "answered": self.outcome.bets,
            "refused": self.outcome.refused,
            "p50_ms": latency.percentile(50) / 1e6,
            "p99_ms": latency.percentile(99) / 1e6,
            "max_ms": latency.max / 1e6,
            "generator_late_p99_ms": lateness.percentile(99) / 1e6,
            "busy_cores": self.usage.machine,
            "server_cores": self.usage.server,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """One storm."""

    options: Options
    before: Bets
    during: Bets
    crowd: ReturnOutcome

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        joined_s = sorted(self.crowd.joined_s)
        more_cores = self.during.usage.server - self.before.usage.server
        return {
            "clients": self.options.clients,
            "handshakes_per_second": self.options.handshakes_per_second,
            "offered_bets_per_second": self.options.bets_per_second,
            "half_joined_s": joined_s[len(joined_s) // 2],
            "all_joined_s": joined_s[-1],
            "admitted_per_second": len(joined_s) / joined_s[-1],
            "refused": self.crowd.refused,
            "server_us_per_join": more_cores * self.options.storm_s * 1e6 / len(joined_s),
            "bets_before": self.before.figures(),
            "bets_during": self.during.figures(),
        }


async def measure(options: Options) -> tuple[dict[str, Any], Result]:
    """Start a server, make the accounts, and let the storm come."""
    raise_file_limit(options.clients + options.players)
    settings = {"PITBOSS_HANDSHAKES_PER_SECOND": str(options.handshakes_per_second)}
    async with own_storage() as storage, serving(storage, settings) as server:
        about = await machine.describe(server.database_url, server.data_dir)
        meter = Meter(server.pid, None)
        crowd = await enlist(server.url, options.clients, funded=False)
        players = [player.token for player in await enlist(server.url, options.players)]
        auths = [{"token": player.token} for player in crowd]
        before, _ = await _bets(options, server.url, players, meter, [])
        during, returned = await _bets(options, server.url, players, meter, auths)
    assert returned is not None
    return about, Result(options, before, during, returned)


async def _bets(
    options: Options, url: str, players: list[str], meter: Meter, auths: list[dict[str, str]]
) -> tuple[Bets, ReturnOutcome | None]:
    """Bets at a steady rate, while a crowd comes if there is one."""
    plan = Plan(
        url=url,
        tokens=players,
        bet=_BET,
        bets_per_message=1,
        depth=1,
        messages_per_second=options.bets_per_second,
        warm_up_s=1.0,
        window_s=options.storm_s if auths else _ALONE_S,
        seed=len(auths),
    )
    async with worker("benchmarks.generator", plan) as generator:
        await generator.expect(BEGIN)
        before = meter.read()
        async with _storm(url, auths) as crowd:
            await generator.expect(END)
            usage = meter.read().since(before)
            outcome = await generator.outcome(Outcome)
            returned = await _returned(crowd)
    return Bets(outcome, usage), returned


@asynccontextmanager
async def _storm(url: str, auths: list[dict[str, str]]) -> AsyncIterator[Worker | None]:
    """The crowd that comes now, if there is one."""
    if not auths:
        yield None
        return
    async with worker("benchmarks.returns", ReturnPlan(url, auths, seed=1)) as crowd:
        yield crowd


async def _returned(crowd: Worker | None) -> ReturnOutcome | None:
    if crowd is None:
        return None
    await crowd.expect(JOINED)
    return await crowd.outcome(ReturnOutcome)


def markdown(about: dict[str, Any], result: Result) -> str:
    """The whole report."""
    figures = result.figures()
    storm = results.table(
        ("clients", "bound/s", "half joined s", "all joined s", "admitted/s", "refused", "µs/join"),
        [
            (
                f"{figures['clients']:,}",
                f"{figures['handshakes_per_second']:,}",
                f"{figures['half_joined_s']:.2f}",
                f"{figures['all_joined_s']:.2f}",
                f"{figures['admitted_per_second']:,.0f}",
                str(figures["refused"] or 0),
                f"{figures['server_us_per_join']:,.0f}",
            )
        ],
    )
    columns = {
        "p50 ms": "p50_ms",
        "p99 ms": "p99_ms",
        "max ms": "max_ms",
        "generator late p99 ms": "generator_late_p99_ms",
        "server cores": "server_cores",
        "busy cores": "busy_cores",
    }
    rows = [
        (
            name,
            f"{figures['offered_bets_per_second']:,.0f}",
            f"{bets['answered']:,}",
            str(bets["refused"] or 0),
            *(f"{bets[key]:.2f}" for key in columns.values()),
        )
        for name, bets in (("before", figures["bets_before"]), ("during", figures["bets_during"]))
    ]
    head = ("bets", "offered/s", "answered", "refused", *columns)
    return "\n\n".join([f"Machine: {machine.line(about)}", storm, results.table(head, rows)])


@click.command(help=__doc__)
@click.option("--clients", default=10_000, show_default=True, help="How many come back at once.")
@click.option("--players", default=32, show_default=True, help="Who place bets meanwhile.")
@click.option("--rate", default=1_000.0, show_default=True, help="Bets offered in a second.")
@click.option(
    "--handshakes", default=1_000, show_default=True, help="The server's bound in a second."
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
def main(clients: int, players: int, rate: float, handshakes: int, file: Path | None) -> None:
    """Read the command line."""
    try:
        about, result = uvloop.run(measure(Options(clients, players, rate, handshakes)))
    except (EnlistError, LineError, ServerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error
    results.write("storm", about, [result.figures()], [], file)
    sys.stdout.write(markdown(about, result) + "\n")


if __name__ == "__main__":
    main()
