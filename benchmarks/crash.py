"""A crash table with thousands of players: how soon they hear of the bust, and what it costs.

A whole Pitboss server runs one table. A crowd in a process of its own watches it; some of them bet
in every round and cash out one after another while it rises. Everybody has to hear of every round's
opening, start and bust, once and in order. The bust is where the curve reaches it, so that a late
server hides nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import uvloop

from actors.crash.table import Table
from benchmarks import machine, results
from benchmarks.choices import COUNT, POSITIVE
from benchmarks.crowd import raise_file_limit
from benchmarks.line import LineError
from benchmarks.measurement import MeasurementError, largest_ms, meter_of, milliseconds
from benchmarks.players import CURRENCY, EnlistError, enlist
from benchmarks.seats import BET, CASH_OUT, TableOutcome, TablePlan, histogram_of, lateness_of
from benchmarks.server_process import ServerError, Storage, own_storage, serving
from benchmarks.spread import Spread, shown, spread
from benchmarks.usage import Usage
from benchmarks.worker import BEGIN, END, WorkerError, worker

_TABLE: Final = 1
_STAKE: Final = 10
# So that no round of these bets is cut short by what the house may pay.
_BANKROLL: Final = 1_000_000_000_000
# The house's answers to who cashes out when it is too late, which must not hold for anything else:
# the round has bust, or has reached its highest multiplier, where everybody is paid.
_TOO_LATE: Final = frozenset({f"{CASH_OUT} round_over", f"{CASH_OUT} already_cashed_out"})


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how many rounds of it. `most` bounds a round, in hundredths."""

    sockets: int
    bets: int
    cash_outs_per_second: float
    most: int
    rounds: int

    @property
    def table(self) -> Table:
        """The table, with the times that tables have unless they are configured."""
        return Table(
            _TABLE,
            "Benchmark",
            CURRENCY,
            least_stake=1,
            most_stake=_STAKE,
            bankroll=_BANKROLL,
            most_multiplier=self.most,
            max_bets=self.bets,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What all rounds showed together."""

    options: Options
    outcome: TableOutcome
    usage: Usage

    def us_per_event(self, cores: float) -> float:
        """What some busy cores are for each event that a player was told, in microseconds."""
        return cores * self.outcome.window_s * 1e6 / self.outcome.events

    def taken_ms(self, name: str) -> Spread:
        """How a time of the rounds varied, such as `last_ns`."""
        return spread(getattr(one, name) / 1e6 for one in self.outcome.rounds)

    def answered_ms(self, command: str, percent: float) -> float:
        """A percentile of the time to a command's answer."""
        return milliseconds(histogram_of(self.outcome, command), percent)

    @property
    def cash_outs(self) -> int:
        """Bets that were cashed out by hand."""
        return histogram_of(self.outcome, CASH_OUT).count

    @property
    def others(self) -> float:
        """Cores that were busy with something that is no part of this, on average."""
        usage = self.usage
        return max(0.0, usage.machine - usage.server - usage.postgres - self.outcome.cores)

    def figures(self) -> dict[str, Any]:
        """All figures, for the file of results."""
        outcome = self.outcome
        return {
            "rounds": [msgspec.to_builtins(one) for one in outcome.rounds],
            "first_ms": self.taken_ms("first_ns"),
            "p50_ms": self.taken_ms("p50_ns"),
            "p99_ms": self.taken_ms("p99_ns"),
            "last_ms": self.taken_ms("last_ns"),
            "decided_ms": self.taken_ms("decided_ns"),
            "started_last_ms": self.taken_ms("started_last_ns"),
            "cash_outs": self.cash_outs,
            "cash_outs_too_late": too_late(outcome),
            **{
                f"{name}_{part}_ms": value
                for name, command in (("cash_out", CASH_OUT), ("bet", BET))
                for part, value in (
                    ("p50", self.answered_ms(command, 50)),
                    ("p99", self.answered_ms(command, 99)),
                    ("max", largest_ms(histogram_of(outcome, command))),
                )
            },
            "late_p99_ms": milliseconds(lateness_of(outcome), 99),
            "window_s": outcome.window_s,
            "events": outcome.events,
            "server_us_per_event": self.us_per_event(self.usage.server),
            "postgres_us_per_event": self.us_per_event(self.usage.postgres),
            "crowd_us_per_event": self.us_per_event(outcome.cores),
            "server_cores": self.usage.server,
            "other_cores": self.others,
        }


async def play(options: Options, storage: Storage) -> Run:
    """Run the table with its players, and measure its rounds.

    Raises:
        MeasurementError: Somebody was not told, or a command was refused that must not be.
        WorkerError: The crowd failed.
    """
    tables = msgspec.json.encode([options.table]).decode()
    async with serving(storage, {"PITBOSS_CRASH_TABLES": tables}) as server:
        meter = await meter_of(server)
        bettors = await enlist(server.url, options.bets)
        others = await enlist(server.url, options.sockets - options.bets, funded=False)
        plan = TablePlan(
            server.url,
            _TABLE,
            [player.token for player in (*bettors, *others)],
            options.bets,
            {"stake": _STAKE, "currency": CURRENCY},
            options.cash_outs_per_second,
            options.rounds,
            seed=1,
        )
        async with worker("benchmarks.seats", plan) as crowd:
            await crowd.expect(BEGIN)
            before = meter.read()
            await crowd.expect(END)
            usage = meter.known(meter.read().since(before))
            outcome = await crowd.outcome(TableOutcome)
    check(outcome, options)
    return Run(options, outcome, usage)


def too_late(outcome: TableOutcome) -> int:
    """How many cash-outs came when the round was over, or had reached its end."""
    return sum(outcome.refused.get(answer, 0) for answer in _TOO_LATE)


def check(outcome: TableOutcome, options: Options) -> None:
    """Raise MeasurementError if not everything was as it must be."""
    missed = [one.round_id for one in outcome.rounds if one.recipients != options.sockets]
    if missed or len(outcome.rounds) != options.rounds:
        raise MeasurementError(f"of {len(outcome.rounds)} rounds, not all heard of {missed}")
    placed = histogram_of(outcome, BET).count
    refused = {what: count for what, count in outcome.refused.items() if what not in _TOO_LATE}
    if refused or placed != options.bets * options.rounds:
        raise MeasurementError(f"bets placed: {placed}; refused: {refused}")


def markdown(about: dict[str, Any], run: Run, notes: Sequence[str]) -> str:
    """The whole report."""
    options, outcome = run.options, run.outcome
    told = results.table(
        (
            *("players", "rounds", "decided ms late", "first ms", "p50 ms", "p99 ms", "last ms"),
            "start: last ms",
        ),
        [
            (
                f"{options.sockets:,}",
                f"{len(outcome.rounds)}",
                *(
                    run.taken_ms(name).text(1)
                    for name in ("decided_ns", "first_ns", "p50_ns", "p99_ns", "last_ns")
                ),
                run.taken_ms("started_last_ns").text(1),
            )
        ],
    )
    answered = results.table(
        ("command", "answers", "p50 ms", "p99 ms", "max ms", "crowd late p99 ms"),
        [
            (
                command,
                f"{histogram_of(outcome, command).count:,}",
                shown(run.answered_ms(command, 50), 2),
                shown(run.answered_ms(command, 99), 2),
                shown(largest_ms(histogram_of(outcome, command)), 2),
                shown(milliseconds(lateness_of(outcome), 99), 2),
            )
            for command in (BET, CASH_OUT)
        ],
    )
    cost = results.table(
        ("events told", "server µs/event", "PostgreSQL", "crowd", "server cores", "other cores"),
        [
            (
                f"{outcome.events:,}",
                shown(run.us_per_event(run.usage.server), 1),
                shown(run.us_per_event(run.usage.postgres), 1),
                shown(run.us_per_event(outcome.cores), 1),
                shown(run.usage.server, 2),
                shown(run.others, 2),
            )
        ],
    )
    parts = [machine.line(about), "### From the bust to the players", told]
    return "\n\n".join([*parts, "### Answers", answered, "### Cost", cost, *notes])


def notes_of(run: Run) -> list[str]:
    """What is to be said besides."""
    options, outcome = run.options, run.outcome
    busts = ", ".join(f"{one.bust / 100:.2f}" for one in outcome.rounds)
    played = (
        f"{options.bets:,} bets in each round, of which up to"
        f" {options.cash_outs_per_second:,.0f} a second were cashed out while it rose;"
        f" {too_late(outcome):,} came after the bust. Rounds end at"
        f" {options.most / 100:.2f} at the latest; these: {busts}."
    )
    cost = (
        "The server's microseconds are all that it did in these rounds, for each event that a"
        " player of the room was told: bets, commits and payouts are in them."
    )
    told = "Every player heard of every round's opening, start and bust, once and in order."
    return [played, cost, told]


async def bench(options: Options, file: Path | None) -> str:
    """Run everything, write the results to `file`, and return the report."""
    async with own_storage() as storage:
        about = await machine.describe(storage.database_url, storage.data_dir)
        run = await play(options, storage)
    notes = notes_of(run)
    report = markdown(about, run, notes)
    results.write(file, about, [run.figures()], notes, asdict(options), report)
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="1,000 players, two short rounds: under a minute.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--sockets", type=COUNT, help="Players at the table.")
@click.option("--bets", type=COUNT, help="Players who bet in each round.")
@click.option("--rounds", type=COUNT, help="Rounds that are measured.")
@click.option(
    "--cash-outs", type=POSITIVE, default=100.0, show_default=True, help="By hand, a second."
)
@click.option("--most", type=click.FloatRange(1.01, 1_000), help="Where rounds end at the latest.")
def main(
    quick: bool,
    file: Path | None,
    sockets: int | None,
    bets: int | None,
    rounds: int | None,
    cash_outs: float,
    most: float | None,
) -> None:
    """Read the command line."""
    sockets = sockets or (1_000 if quick else 10_000)
    options = Options(
        sockets=sockets,
        bets=bets or sockets // 5,
        cash_outs_per_second=cash_outs,
        most=round((most or (1.5 if quick else 3.0)) * 100),
        rounds=rounds or (2 if quick else 8),
    )
    if options.bets > options.sockets:
        raise click.UsageError("There are more --bets than --sockets.")
    file = results.place("crash", file, quick=quick)
    try:
        raise_file_limit(options.sockets)
        print(uvloop.run(bench(options, file)))
    except (EnlistError, LineError, MeasurementError, ServerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
