"""Whether a server that runs for long stays as it was: its memory, its latency, its answers.

An open loop of Poisson arrivals at half of what the server can do. Far more wallets exist than bet
at a time: in each row's time other players come, who bet as Zipf has it, a few all the time and
most now and then, so that wallets are read back and put away without a pause. At the end the ledger
must have every bet that was acknowledged, and `pitboss audit` must find nothing. Memory, latency
and refusals must have stayed within their bounds: if not, the exit code is 1, but for a quick soak.
"""

import operator
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import gettempdir
from typing import Any, Final

import asyncpg
import click
import uvloop

from benchmarks import machine, results
from benchmarks.choices import POSITIVE, Positive
from benchmarks.condition import Stored, stored
from benchmarks.flatness import Flatness
from benchmarks.histogram import Histogram
from benchmarks.ledger import LedgerError, audit
from benchmarks.looks import Looks, looking
from benchmarks.measurement import Measurement, MeasurementError, measure, meter_of
from benchmarks.plan import Plan
from benchmarks.players import BET, CURRENCY, EnlistError, Player, enlist, renewed
from benchmarks.server_process import Server, ServerError, own_storage, serving
from benchmarks.trend import trend
from benchmarks.usage import Meter
from benchmarks.worker import WorkerError
from server.auth.tokens import ACCESS_LIFETIME_S

# Idle for this long, a wallet is put away: short, so that much of it happens.
_PASSIVATE_S: Final = 0.5
# It wins nearly always and nothing by it, so that the faucet's gift lasts for a million bets. Its
# way through the server is that of any other.
_BET: Final = {"stake": 10, "currency": CURRENCY, "target": 100, "direction": "over"}
_HALF: Final = 0.5
_PEAK_CONNECTIONS: Final = 64
_PEAK_DEPTH: Final = 8
_WARM_UP_S: Final = 1.0
# What a bet takes on the disk, indexes included, and what PostgreSQL's log takes besides.
_BYTES_PER_BET: Final = 400
_LOG_BYTES: Final = 4_000_000_000
_LOOKS_PER_ROW: Final = 10
# Refusals that a bad minute of the machine brings; they are counted, and no reason to stop.
_PASSING: Final = ("storage_unavailable", "overloaded", "evicted")
# A token older than this is renewed before its player's next row.
_RENEW_AFTER_S: Final = 10 * 60.0
# A row must be over before any of its tokens is, with a minute for those who join and for the last
# answers.
_ROW_LIMIT_S: Final = ACCESS_LIFETIME_S - _RENEW_AFTER_S - 60.0
_BETS: Final = "select count(*) from wallet_entries where kind = 'bet'"


class SoakError(Exception):
    """The soak cannot be, or was interrupted."""


@dataclass(frozen=True, slots=True)
class Options:
    """How long, how hard, and with how many; a row's time is the shortest stay of a player."""

    seconds: float
    every_s: float
    rate: float | None
    connections: int
    wallets: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one stretch of time showed; None is what nothing was there to tell."""

    at_s: float
    bets: int
    refused: int
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    server_us: float | None
    postgres_us: float | None
    generator_late_p99_ms: float
    others_cores: float
    rss_mb: float
    heap_mb: float
    postgres_mb: float
    live_most: int
    hydrations: int
    passivations: int
    snapshots: int
    queued_most: int
    lag_mean_ms: float
    late_turns: int
    wal_mb_per_s: float
    wal_kept_mb: float
    ledger_gb: float
    fullest_partition: float
    renewed: int
    looks_missed: int


_HEADS: Final[dict[str, tuple[str, int]]] = {
    "at_s": ("s", 0),
    "bets": ("bets", 0),
    "refused": ("refused", 0),
    "p50_ms": ("p50 ms", 2),
    "p99_ms": ("p99 ms", 2),
    "p999_ms": ("p99.9 ms", 1),
    "max_ms": ("max ms", 0),
    "server_us": ("server µs/bet", 1),
    "others_cores": ("others' cores", 2),
    "rss_mb": ("RSS MB", 1),
    "heap_mb": ("heap MB", 1),
    "postgres_mb": ("PostgreSQL MB", 0),
    "live_most": ("live", 0),
    "hydrations": ("read back", 0),
    "passivations": ("put away", 0),
    "snapshots": ("snapshots", 0),
    "queued_most": ("queued", 0),
    "lag_mean_ms": ("lag ms", 2),
    "late_turns": ("late turns", 0),
    "wal_mb_per_s": ("WAL MB/s", 1),
    "ledger_gb": ("ledger GB", 2),
    "fullest_partition": ("fullest partition", 2),
}
# What must stay flat.
_FLAT: Final = ("rss_mb", "heap_mb", "postgres_mb", "p50_ms", "p99_ms", "p999_ms", "server_us")


class Soak:
    """A server, its players, and the rows so far."""

    def __init__(
        self, options: Options, server: Server, meter: Meter, players: Sequence[Player]
    ) -> None:
        self.rows: list[Row] = []
        self.acknowledged = self.refused = 0
        self.options = options
        self._server = server
        self._meter = meter
        self._players = list(players)
        self._draw = Random(1)
        self._began_s = time.perf_counter()

    async def peak(self) -> float:
        """What the server can do, in bets a second: a short closed loop."""
        players, _renewed = await self._fresh(range(_PEAK_CONNECTIONS))
        return (await self._bet(players, None, 3.0)).bets_per_second

    async def run(self, rate: float) -> None:
        """Go on until the time is over."""
        options = self.options
        self._began_s = time.perf_counter()
        before = await stored(self._server, self._meter)
        while time.perf_counter() - self._began_s < options.seconds:
            numbers = self._draw.sample(range(len(self._players)), options.connections)
            players, renewals = await self._fresh(numbers)
            async with looking(self._server, options.every_s / _LOOKS_PER_ROW) as looks:
                measured = await self._bet(players, rate, options.every_s)
            after = await stored(self._server, self._meter)
            self._add(measured, looks, before, after, renewals)
            before = after

    async def _fresh(self, numbers: Sequence[int]) -> tuple[list[Player], int]:
        """The players of these numbers, with tokens for a row; and how many of those are new."""
        players = [self._players[number] for number in numbers]
        fresh = await renewed(self._server.url, players, _RENEW_AFTER_S)
        for number, player in zip(numbers, fresh, strict=True):
            self._players[number] = player
        return fresh, sum(map(operator.is_not, fresh, players))

    async def _bet(
        self, players: Sequence[Player], rate: float | None, window_s: float
    ) -> Measurement:
        plan = Plan(
            url=self._server.url,
            tokens=[player.token for player in players],
            bet=BET if rate is None else _BET,
            bets_per_message=1,
            depth=_PEAK_DEPTH,
            messages_per_second=rate,
            warm_up_s=_WARM_UP_S,
            window_s=window_s,
            seed=len(self.rows),
            load="uniform" if rate is None else "zipf",
        )
        measured = await measure(plan, self._meter, refusals=_PASSING)
        self.acknowledged += measured.outcome.acknowledged
        self.refused += sum(measured.outcome.refused.values())
        return measured

    def _add(
        self, measured: Measurement, looks: Looks, before: Stored, after: Stored, renewals: int
    ) -> None:
        latency, usage, seen = measured.latency, measured.usage, looks.seen
        if not seen:
            raise SoakError("in a whole row the server never told how it is")
        first, last = seen[0], seen[-1]
        at_s = time.perf_counter() - self._began_s
        elapsed_s = at_s - (self.rows[-1].at_s if self.rows else 0.0)
        hydrations = after.hydrations - before.hydrations
        turns = max(1, last.lag_samples - first.lag_samples)
        partitions = after.partition_rows.values()
        self.rows.append(
            Row(
                at_s=at_s,
                bets=measured.outcome.bets,
                refused=sum(measured.outcome.refused.values()),
                p50_ms=_ms(latency, 50),
                p99_ms=_ms(latency, 99),
                p999_ms=_ms(latency, 99.9),
                max_ms=_ms(latency, 100),
                server_us=measured.us_per_bet(usage.server),
                postgres_us=measured.us_per_bet(usage.postgres),
                generator_late_p99_ms=measured.lateness.percentile(99) / 1e6,
                others_cores=measured.others,
                rss_mb=last.rss_mb,
                heap_mb=last.heap_mb,
                postgres_mb=after.postgres_mb,
                live_most=max(one.live for one in seen),
                hydrations=hydrations,
                passivations=hydrations - (last.live - first.live),
                snapshots=after.snapshots - before.snapshots,
                queued_most=max(one.queued for one in seen),
                lag_mean_ms=(last.lag_s - first.lag_s) / turns * 1_000,
                late_turns=last.late_turns - first.late_turns,
                wal_mb_per_s=(after.wal_written_bytes - before.wal_written_bytes) / elapsed_s / 1e6,
                wal_kept_mb=after.wal_kept_bytes / 1e6,
                ledger_gb=after.ledger_bytes / 1e9,
                fullest_partition=max(partitions) * len(partitions) / sum(partitions),
                renewed=renewals,
                looks_missed=looks.missed,
            )
        )
        _say(", ".join(f"{_HEADS[name][0]} {value}" for name, value in _cells(self.rows[-1])))

    async def check_ledger(self) -> int:
        """Count the bets in the ledger, and return their number.

        Raises:
            LedgerError: Acknowledged bets are missing, or there are bets that nobody placed.
        """
        connection = await asyncpg.connect(self._server.database_url)
        try:
            rows = int(await connection.fetchval(_BETS))
        finally:
            await connection.close()
        check_count(rows, self.acknowledged, self.refused)
        return rows

    def flatness(self) -> Flatness:
        """How each figure that must stay flat went. The first row is left out if there are many."""
        rows = self.rows[1:] if len(self.rows) > 4 else self.rows
        trends = {}
        for name in _FLAT:
            known = [row for row in rows if getattr(row, name) is not None]
            if len(known) > 1:
                values = [getattr(row, name) for row in known]
                trends[name] = trend([row.at_s for row in known], values)
        others = [row.others_cores for row in rows]
        quarters = trend([row.at_s for row in rows], others) if len(rows) > 1 else None
        answered = self.acknowledged + self.refused
        return Flatness(
            trends=trends,
            refused_share=self.refused / answered if answered else 0.0,
            others_cores=max(quarters.first, quarters.last) if quarters else 0.0,
            rows=len(rows),
        )


def _ms(latency: Histogram, percent: float) -> float | None:
    return latency.percentile(percent) / 1e6 if latency.count else None


def _cells(row: Row) -> list[tuple[str, str]]:
    def text(name: str, digits: int) -> str:
        value = getattr(row, name)
        return "" if value is None else f"{value:,.{digits}f}"

    return [(name, text(name, digits)) for name, (_, digits) in _HEADS.items()]


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def table(rows: Sequence[Row]) -> str:
    """The rows, as Markdown."""
    heads = [head for head, _ in _HEADS.values()]
    return results.table(heads, [[text for _, text in _cells(row)] for row in rows])


def check_count(rows: int, acknowledged: int, refused: int) -> None:
    """Compare the ledger's bets with the answers; what was refused may have been committed.

    Raises:
        LedgerError: Acknowledged bets are missing, or there are bets that nobody placed.
    """
    if not acknowledged <= rows <= acknowledged + refused:
        raise LedgerError(
            f"{acknowledged} bets were acknowledged and {refused} refused for a passing reason,"
            f" and the ledger has {rows}"
        )


def check_disk(folder: Path, bets: float, free_bytes: Callable[[Path], int]) -> str:
    """What will be needed of the disk, in a sentence.

    Raises:
        SoakError: There is less.
    """
    needed, free = bets * _BYTES_PER_BET + _LOG_BYTES, free_bytes(folder)
    sentence = (
        f"{bets:,.0f} bets will take {needed / 1e9:.1f} GB of the {free / 1e9:.1f} GB"
        f" that are free in {folder}."
    )
    if needed > free:
        raise SoakError(f"{sentence} Choose fewer --seconds, a lower --rate or another TMPDIR.")
    return sentence


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


async def bench(options: Options, file: Path | None) -> tuple[str, Flatness]:
    """Soak, compare, audit, write the results to `file`, and return the report and the verdict.

    What was measured is written even if the soak ends early.
    """
    settings = {"PITBOSS_PASSIVATE_AFTER_SECONDS": str(_PASSIVATE_S)}
    async with own_storage() as storage, serving(storage, settings) as server:
        about = await machine.describe(storage.database_url, storage.data_dir)
        players = await enlist(server.url, options.wallets)
        soak = Soak(options, server, await meter_of(server), players)
        rate = options.rate or await soak.peak() * _HALF
        needs = check_disk(Path(gettempdir()), rate * options.seconds, _free_bytes)
        _say(f"{rate:,.0f} bets/s for {options.seconds:,.0f} s. {needs}")
        checked = ["**The soak or its checks ended early**: these are the rows until then."]
        try:
            await soak.run(rate)
            rows = await soak.check_ledger()
            said = await audit(storage.environment)
            checked = [_account(soak, rows), f"```\n{said}\n```"]
        finally:
            report, flatness = _write(soak, rate, about, checked, file)
    return report, flatness


def _account(soak: Soak, rows: int) -> str:
    return (
        f"The ledger has all {soak.acknowledged:,} acknowledged bets, and"
        f" {rows - soak.acknowledged} of {soak.refused} that were refused for a passing reason,"
        f" whose outcome is unknown."
    )


def _write(
    soak: Soak, rate: float, about: dict[str, Any], checked: Sequence[str], file: Path | None
) -> tuple[str, Flatness]:
    """Write what there is, and return the report and the verdict."""
    options, flatness = soak.options, soak.flatness()
    load = (
        f"{rate:,.0f} bets/s offered; {options.wallets:,} wallets, {options.connections:,} players"
        f" at a time, others every {options.every_s:.0f} s; a wallet is put away after"
        f" {_PASSIVATE_S} s. Latencies are those of settled bets: the refused are not in them."
    )
    notes = [load, flatness.sentence(), *checked]
    report = "\n\n".join(
        [
            machine.line(about),
            load,
            table(soak.rows),
            flatness.table({name: head for name, (head, _) in _HEADS.items()}),
            *notes[1:],
        ]
    )
    trends = {
        name: {**found._asdict(), "ratio": found.ratio} for name, found in flatness.trends.items()
    }
    summary = {
        "trends": trends,
        "refused_share": flatness.refused_share,
        "not_flat": flatness.crossed,
        "failed": flatness.failed,
    }
    figures: list[dict[str, Any]] = [*map(asdict, soak.rows), summary]
    results.write(file, about, figures, notes, {**asdict(options), "rate": rate}, report)
    return report, flatness


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A minute, in rows of five seconds.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--seconds", type=POSITIVE, help="How long: an hour unless set.")
@click.option(
    "--every",
    type=Positive(_ROW_LIMIT_S),
    help=f"Seconds of a row: a minute unless set; {_ROW_LIMIT_S:.0f} at most, as tokens end.",
)
@click.option("--rate", type=POSITIVE, help="Bets a second; half of the server's most unless set.")
@click.option("--connections", type=click.IntRange(2), help="Players at a time.")
@click.option("--wallets", type=click.IntRange(64), help="Players in all.")
def main(
    quick: bool,
    file: Path | None,
    seconds: float | None,
    every: float | None,
    rate: float | None,
    connections: int | None,
    wallets: int | None,
) -> None:
    """Read the command line."""
    options = Options(
        seconds=seconds or (60.0 if quick else 3_600.0),
        every_s=every or (5.0 if quick else 60.0),
        rate=rate,
        connections=connections or (200 if quick else 500),
        wallets=wallets or (800 if quick else 5_000),
    )
    if options.wallets < options.connections:
        raise click.UsageError("there must be at least as many wallets as players at a time")
    file = results.place("soak", file, quick=quick)
    try:
        report, flatness = uvloop.run(bench(options, file))
    except (
        EnlistError,
        LedgerError,
        MeasurementError,
        ServerError,
        SoakError,
        WorkerError,
    ) as error:
        raise click.ClickException(str(error)) from error
    print(report)
    if flatness.failed and not quick:
        sys.exit(1)


if __name__ == "__main__":
    main()
