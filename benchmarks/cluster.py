"""What a cluster gives, what it costs, and how long a wallet's bets wait when its node goes.

Bets a second of one process, of a cluster of one and of two workers; the CPU of a bet that comes to
the wallet's node, and of one that another node passes on; and two nodes of which one is killed,
sent away and started again while players bet. Everything is on this machine: with as many busy
processes as cores, a second node cannot add to the throughput.
"""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import machine, results
from benchmarks.arrangements import (
    WORKERS,
    WORKERS_OF,
    Arrangement,
    Load,
    arranged,
    meter_of_nodes,
    once,
    remote_commands,
)
from benchmarks.choices import COUNT
from benchmarks.contest import Run, Series, latency_table, throughput_table
from benchmarks.ledger import LedgerError, audit
from benchmarks.measurement import MeasurementError
from benchmarks.moves import CAME, KILLED, LEFT, Move, figure, moved, words
from benchmarks.nodes import Nodes, clustered, shard_of
from benchmarks.players import EnlistError, Player, enlist
from benchmarks.redis_process import RedisStartError
from benchmarks.server_process import ServerError
from benchmarks.spread import Spread, spread
from benchmarks.verdict import Verdict, judge
from benchmarks.worker import WorkerError

NAMES: Final = ("north", "south")
HERE: Final = "wallets of the node that is asked"
THERE: Final = "wallets of the other node"
# So many of the players made for a run are enough on either node, however shards fall.
_SPARE: Final = 3
# Bets a second of the open loop: far from what any of it can do.
_RATE: Final = 1_000.0
_FAILURES: Final = (
    *(EnlistError, LedgerError, MeasurementError, RedisStartError),
    *(ServerError, WorkerError),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and for how long."""

    connections: int
    depth: int
    repeats: int
    moves: int
    warm_up_s: float
    window_s: float

    @property
    def load(self) -> Load:
        """The load of one run."""
        return Load(self.connections, self.depth, self.warm_up_s, self.window_s)


@dataclass(frozen=True, slots=True)
class Found:
    """All figures: of whole arrangements, of bets here and there, and of moves."""

    whole: list[Series]
    remote_percent: Spread
    closed: list[Series]
    open: list[Series]
    moves: list[Move]
    verdict: Verdict
    bets: int

    def figures(self) -> list[dict[str, Any]]:
        """For the file of results."""
        series = (one.figures() for one in (*self.whole, *self.closed, *self.open))
        moves = (asdict(move) for move in self.moves)
        return [*series, {"remote_percent": self.remote_percent}, *moves]


async def _whole(options: Options) -> tuple[list[Series], Spread]:
    """Every arrangement as fast as answers come, in turns, so that a busy minute hits all alike.

    Besides, the share of bets that came to the worker that has not their wallet.
    """
    every, shares = {name: Series(name) for name in WORKERS_OF}, []
    async with AsyncExitStack() as stack:
        arrangements = [await stack.enter_async_context(arranged(name)) for name in WORKERS_OF]
        for number in range(options.repeats):
            for where in arrangements:
                players = await enlist(where.url, options.connections)
                before = await remote_commands(where.url)
                run = await once(where, players, options.load, None, number)
                every[where.name].runs.append(run)
                _progress(every[where.name], run)
                if where.name == WORKERS:
                    passed_on = await remote_commands(where.url) - before
                    shares.append(100 * passed_on / run.measured.outcome.acknowledged)
        for where in arrangements:
            await audit(where.storage.environment)
    return list(every.values()), spread(shares)


async def _here_and_there(nodes: Nodes, options: Options) -> tuple[list[Series], list[Series]]:
    """The same load on one node, for wallets of its own and of the other; closed and open."""
    meter = await meter_of_nodes(nodes)
    asked = nodes.nodes[0]
    where = Arrangement(asked.name, asked.url, nodes.storage, meter)
    closed, open_ = ([Series(name, offered) for name in (HERE, THERE)] for offered in (None, _RATE))
    for number in range(options.repeats):
        for series in (*closed, *open_):
            players = await _players_of(nodes, series.name == HERE, options.connections)
            run = await once(where, players, options.load, series.offered, number)
            series.runs.append(run)
            _progress(series, run)
    return closed, open_


async def _players_of(nodes: Nodes, here: bool, count: int) -> list[Player]:
    """New players whose wallets are on the first node, or on the other one."""
    owners = await nodes.placed()
    asked = nodes.nodes[0]
    players = await enlist(asked.url, _SPARE * count)
    found = [one for one in players if (owners[shard_of(one.user_id)] == asked.name) is here]
    return found[:count]


async def measured(options: Options) -> tuple[Found, dict[str, Any]]:
    """Everything, and the machine that it was measured on."""
    whole, remote_percent = await _whole(options)
    async with clustered(NAMES) as nodes:
        about = await machine.describe(nodes.storage.database_url, nodes.storage.data_dir)
        closed, open_ = await _here_and_there(nodes, options)
        moves, players = await moved(nodes, options.moves)
        verdict = await judge(nodes.storage.database_url, players)
        await audit(nodes.storage.environment)
    every = (*whole, *closed, *open_)
    bets = sum(run.measured.outcome.acknowledged for one in every for run in one.runs)
    bets += sum(len(player.promised) for player in players)
    return Found(whole, remote_percent, closed, open_, moves, verdict, bets), about


def _progress(series: Series, run: Run) -> None:
    load = "closed" if series.offered is None else f"{series.offered:,.0f}/s"
    us = run.us()
    sys.stderr.write(
        f"{series.name:33} {load:>8}: {run.per_second:8,.0f} bets/s, server {us['server']:6.1f} us,"
        f" redis {us['redis']:5.1f}, postgres {us['postgres']:6.1f},"
        f" p99 {run.latency_ms(99):7.2f} ms, others {run.others:.2f} cores\n"
    )


def markdown(about: dict[str, Any], found: Found) -> str:
    """The whole report."""
    return "\n\n".join(
        [
            machine.line(about),
            "### Processes, as fast as answers come",
            throughput_table(found.whole),
            f"Bets that came to the worker without their wallet: {found.remote_percent.text(0)} %.",
            "### Bets here and there: two nodes, all bets sent to one of them",
            throughput_table(found.closed),
            f"The same at {_RATE:,.0f} bets a second, from the moment when a bet was due:",
            latency_table(found.open),
            "### A node goes and comes: seconds without an answer for a wallet",
            moves_table(found.moves),
            *notes(found),
        ]
    )


def moves_table(moves: Sequence[Move]) -> str:
    """How each kind of move went."""
    head = (
        *("the other node is", "times", "wallets moved", "first bet after s", "last after s"),
        *("median silence s", "longest s", "longest of a wallet that stayed s"),
    )
    names = ("wallets", "first_bet", "last_bet", "silence", "longest", "stayed")
    rows = [
        (
            how,
            str(sum(move.how == how for move in moves)),
            *(figure(moves, how, name).text(0 if name == "wallets" else 2) for name in names),
        )
        for how in (KILLED, LEFT, CAME)
    ]
    return results.table(head, rows)


def notes(found: Found) -> list[str]:
    """How the figures are to be read, and what was checked."""
    verdict = found.verdict
    checked = (
        f"Of all {found.bets:,} acknowledged bets the rows are in the ledger, and the audit of each"
        f" ledger finds nothing. Of the moves' bets {len(verdict.lost)} are lost,"
        f" {len(verdict.unpromised)} unpromised, {len(verdict.changed)} changed and"
        f" {len(verdict.refused)} refused."
    )
    return [words(), checked]


async def bench(options: Options, file: Path | None) -> str:
    """Measure, write the results to `file`, and return the report.

    Raises:
        LedgerError: A promise was broken.
    """
    found, about = await measured(options)
    report = markdown(about, found)
    results.write(file, about, found.figures(), notes(found), asdict(options), report)
    if not found.verdict.clean:
        raise LedgerError(f"{report}\n\nA promise was broken: {found.verdict}")
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Short runs and fewer moves: about two minutes.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--connections", type=COUNT, default=64, show_default=True, help="Players in a run.")
@click.option("--depth", type=COUNT, default=8, show_default=True, help="Bets in flight on each.")
@click.option("--repeats", type=COUNT, help="Runs of each kind.")
@click.option("--moves", type=COUNT, help="How often the node is killed, and how often sent away.")
def main(
    quick: bool,
    file: Path | None,
    connections: int,
    depth: int,
    repeats: int | None,
    moves: int | None,
) -> None:
    """Read the command line."""
    options = Options(
        connections=connections,
        depth=depth,
        repeats=repeats or (1 if quick else 5),
        moves=moves or (2 if quick else 7),
        warm_up_s=0.5 if quick else 1.0,
        window_s=1.5 if quick else 5.0,
    )
    file = results.place("cluster", file, quick=quick)
    try:
        print(uvloop.run(bench(options, file)))
    except _FAILURES as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
