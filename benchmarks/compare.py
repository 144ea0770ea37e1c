"""How many bets a second Pitboss settles beside the ways that casinos are usually built.

Node's Socket.IO and python-socketio with atomic wallets in Redis and PostgreSQL written behind, and
Pitboss with one SQL transaction a bet: all do the same work for a bet, and take turns under the
same generator. What each has lost after a crash stands beside its figures.
"""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import machine, results
from benchmarks.choices import COUNT, POSITIVE
from benchmarks.contenders import (
    NODE,
    NODE_SYNCED,
    PITBOSS,
    PYTHON_SOCKETIO,
    STARTERS,
    Contender,
    available,
)
from benchmarks.contest import Run, Series, latency_table, throughput_table, times
from benchmarks.crash_losses import PROMISES
from benchmarks.ledger import LedgerError
from benchmarks.measurement import MeasurementError, measure
from benchmarks.peer_process import PeerError, node_trouble, node_versions
from benchmarks.plan import Plan
from benchmarks.players import BET, EnlistError
from benchmarks.redis_process import RedisStartError, redis_version
from benchmarks.server_process import ServerError, own_storage
from benchmarks.spread import Spread
from benchmarks.worker import WorkerError

# Of what each reached itself in the closed loop.
_OPEN_SHARE: Final = 0.5
# Above this share of a core it is the generator that is measured, at least in part.
_SATURATED_CORES: Final = 0.9
_NODE_PACKAGES: Final = ("ioredis", "pg", "pg-copy-streams")
_FAILURES: Final = (
    *(EnlistError, LedgerError, MeasurementError, PeerError),
    *(RedisStartError, ServerError, WorkerError),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and for how long."""

    names: tuple[str, ...]
    connections: int
    depth: int
    repeats: int
    open_repeats: int
    warm_up_s: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All runs, by contender: as fast as answers come, at half of that, and all at one rate.

    What was at half of its maximum and at the one rate is in both. `audited` are the contenders
    whose whole ledger was gone over.
    """

    closed: list[Series]
    open: list[Series]
    alike: list[Series]
    bets: int
    audited: list[str]

    @property
    def every(self) -> list[Series]:
        """Each series once."""
        return [*self.closed, *self.open, *(one for one in self.alike if one not in self.open)]


async def compare(options: Options) -> Comparison:
    """Run everything, in turns, so that a busy minute hits all alike.

    Raises:
        LedgerError: A contender did not do what it acknowledged.
    """
    async with AsyncExitStack() as stack:
        contenders = {
            name: await stack.enter_async_context(STARTERS[name]()) for name in options.names
        }
        bets = 0

        async def rounds(every: Sequence[Series], repeats: int) -> None:
            nonlocal bets
            for number in range(repeats):
                for series in in_turn(every, number):
                    run = await _once(contenders[series.name], series, options, number)
                    series.runs.append(run)
                    bets += run.measured.outcome.acknowledged
                    _progress(series, run)

        closed = [Series(name) for name in options.names]
        await rounds(closed, options.repeats)
        halves = [Series(one.name, round(one.per_second().middle * _OPEN_SHARE)) for one in closed]
        alike = at_one_rate(closed, halves)
        more = [one for one in alike if one not in halves]
        await rounds([*halves, *more], options.open_repeats)
        audited = []
        for contender in contenders.values():
            if contender.audit is not None:
                await contender.audit()
                audited.append(contender.name)
        return Comparison(closed, halves, alike, bets, audited)


def in_turn(every: Sequence[Series], number: int) -> list[Series]:
    """The order of a round: another one begins each time, so that none always follows the same."""
    first = number % len(every)
    return [*every[first:], *every[:first]]


def at_one_rate(closed: Sequence[Series], halves: Sequence[Series]) -> list[Series]:
    """Series at half of the durable Node peer's maximum, of all whose own maximum is above that.

    Its own, at least, is one of `halves`. There are none where that peer is not.
    """
    rate = next((one.offered for one in halves if one.name == NODE_SYNCED), None)
    if rate is None:
        return []
    at_half = {(one.name, one.offered): one for one in halves}
    return [
        at_half.get((one.name, rate)) or Series(one.name, rate)
        for one in closed
        if one.per_second().middle > rate
    ]


async def _once(contender: Contender, series: Series, options: Options, seed: int) -> Run:
    """One run, with players of its own, whose wallets and rows are checked afterwards.

    What PostgreSQL puts off for later is done before the next one's turn.
    """
    players = await contender.enlist(options.connections)
    plan = Plan(
        url=contender.url,
        tokens=[player.token for player in players],
        bet=BET,
        bets_per_message=1,
        depth=options.depth,
        messages_per_second=series.offered,
        warm_up_s=options.warm_up_s,
        window_s=options.window_s,
        seed=seed,
    )
    measured = await measure(plan, contender.meter, commits=False)
    run = Run(measured, contender.meter.redis_cores)
    await contender.check(players, measured.outcome.acknowledged)
    await contender.put_in_order()
    return run


def _progress(series: Series, run: Run) -> None:
    load = "closed" if series.offered is None else f"{series.offered:,.0f}/s"
    us = run.us()
    sys.stderr.write(
        f"{series.name:37} {load:>9}: {run.per_second:8,.0f} bets/s, server {us['server']:6.1f} us,"
        f" redis {us['redis']:5.1f}, postgres {us['postgres']:6.1f},"
        f" p99 {run.latency_ms(99):7.2f} ms, others {run.others:.2f} cores\n"
    )


def markdown(about: dict[str, Any], found: Comparison, notes: Sequence[str]) -> str:
    """The whole report."""
    parts = [
        machine.line(about),
        "### As fast as answers come",
        throughput_table(found.closed),
        "### Pitboss beside each, round by round",
        _ratios(found.closed),
        "### At half of its own maximum: latency from the moment when a bet was due",
        latency_table(found.open),
        *_at_one_rate(found.alike),
        "### What an acknowledged bet is worth",
        _promises([one.name for one in found.closed]),
    ]
    return "\n\n".join([*parts, *notes])


def _ratios(every: Sequence[Series]) -> str:
    """Throughput suffers where others keep cores busy; CPU a bet hardly does."""
    rows = [
        (
            name,
            one["bets_per_second"].text(1),
            one["stack_us_per_bet"].text(1),
            one["server_us_per_bet"].text(1),
        )
        for name, one in ratios(every).items()
    ]
    head = (
        *("", "Pitboss's bets/s are times these", "CPU a bet is times Pitboss's"),
        "the server's alone",
    )
    return results.table(head, rows)


def ratios(every: Sequence[Series]) -> dict[str, dict[str, Spread]]:
    """How many times Pitboss's bets a second are each other's, and the others' CPU Pitboss's."""
    ours = next(one for one in every if one.name == PITBOSS)
    return {
        theirs.name: {
            "bets_per_second": times(ours, theirs, lambda run: run.per_second),
            "stack_us_per_bet": times(theirs, ours, lambda run: run.us()["stack"]),
            "server_us_per_bet": times(theirs, ours, lambda run: run.us()["server"]),
        }
        for theirs in every
        if theirs is not ours
    }


def _at_one_rate(every: Sequence[Series]) -> list[str]:
    if not every:
        return []
    return [
        f"### At one rate, half of the maximum of {NODE_SYNCED}: from when a bet was due",
        latency_table(every),
    ]


def _promises(names: Sequence[str]) -> str:
    head = (
        *("", "a bet is acknowledged when", "on a crash of its process"),
        *("on a crash of Redis", "on a crash of the machine"),
    )
    return results.table(head, [(name, *PROMISES[name]) for name in names])


def notes_of(found: Comparison, wanted: Sequence[str]) -> list[str]:
    """What is to be said besides: what was checked, what is missing, whose figures these are."""
    checked = (
        f"Of all {found.bets:,} acknowledged bets the rows are in PostgreSQL. Where wallets are in"
        " Redis, every balance is the funds and the sum of its rows, and in each run every bet of"
        " the busiest wallet is what its seeds say."
    )
    notes = [checked]
    if found.audited:
        notes.append(f"`pitboss audit` finds nothing wrong: {'; '.join(found.audited)}.")
    absent = [name for name in STARTERS if name not in wanted]
    if absent:
        notes.append(f"Not here: {', '.join(absent)}.")
    saturated = [
        one.name
        for one in found.closed
        if one.spread(lambda run: run.measured.outcome.cores).middle > _SATURATED_CORES
    ]
    if saturated:
        notes.append(f"The generator was saturated: {', '.join(saturated)} can do more.")
    return notes


async def bench(options: Options, file: Path | None) -> str:
    """Run everything, write the results to `file`, and return the report."""
    trouble = await node_trouble() if NODE in options.names else ""
    if trouble:
        names = tuple(name for name in options.names if name not in {NODE, NODE_SYNCED})
        options = replace(options, names=names)
    about = await _about(options.names)
    found = await compare(options)
    notes = [*notes_of(found, options.names), *filter(None, [trouble])]
    settings = asdict(options) | {"bet": BET, "open_share": _OPEN_SHARE}
    figures = [one.figures() for one in found.every]
    figures.append({"pitboss_beside": ratios(found.closed)})
    report = markdown(about, found, notes)
    results.write(file, about, figures, notes, settings, report)
    return report


async def _about(names: Sequence[str]) -> dict[str, Any]:
    """The machine, and the versions of what is compared."""
    async with own_storage() as storage:
        about = await machine.describe(storage.database_url, storage.data_dir)
    if NODE in names:
        about |= await node_versions(*_NODE_PACKAGES)
    if PYTHON_SOCKETIO in names:
        about["redis"] = await redis_version()
    return about


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Three short rounds, open loop once: two minutes.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option(
    "--connections",
    type=COUNT,
    default=64,
    show_default=True,
    help="Players, one socket each.",
)
@click.option(
    "--depth",
    type=COUNT,
    default=8,
    show_default=True,
    help="Bets in flight on a connection.",
)
@click.option("--repeats", type=COUNT, help="Rounds of each kind.")
@click.option("--seconds", type=POSITIVE, help="Length of a run's measured window.")
def main(
    quick: bool,
    file: Path | None,
    connections: int,
    depth: int,
    repeats: int | None,
    seconds: float | None,
) -> None:
    """Read the command line."""
    options = Options(
        names=available(),
        connections=connections,
        depth=depth,
        repeats=repeats or (3 if quick else 5),
        open_repeats=repeats or (1 if quick else 5),
        # Node and PostgreSQL's caches need some thousand bets until they are as fast as they get.
        warm_up_s=0.7 if quick else 2.0,
        window_s=seconds or (1.5 if quick else 5.0),
    )
    file = results.place("compare", file, quick=quick)
    try:
        print(uvloop.run(bench(options, file)))
    except _FAILURES as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
