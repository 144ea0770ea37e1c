"""What a bet costs the server, stage by stage, and what each stage may cost.

CPU microseconds of a whole node, in this process, on PostgreSQL that syncs to disk. The whole route
is measured by itself as well, and what the stages do not add up to is said. With `--profile`, a
server in a process of its own is put under load too, and asked again and again where it is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import machine, results
from benchmarks.choices import POSITIVE
from benchmarks.ledger import LedgerError
from benchmarks.measurement import MeasurementError
from benchmarks.own_node import own_node
from benchmarks.players import EnlistError
from benchmarks.sampled import sample
from benchmarks.server_process import ServerError
from benchmarks.spread import Spread, spread
from benchmarks.stages import COMMITS, CONNECTIONS, Costs, measure
from benchmarks.worker import WorkerError

# Microseconds of CPU that each stage may take; 25 in all. docs/budget.md gives the reasons.
BUDGET: Final = {
    "frame": 3.0,
    "packet": 1.5,
    "decode": 1.0,
    "route": 2.0,
    "decide": 6.0,
    "encode rows": 4.0,
    "commit": 3.5,
    "ack": 4.0,
}
# Of a commit's cost, the part that each row adds is that between these sizes.
_FEW, _MANY = min(COMMITS), max(COMMITS)


def row_us(costs: Costs) -> float:
    """What one more row adds to a commit."""
    return (costs.commit_us[_MANY] - costs.commit_us[_FEW]) / (_MANY - _FEW)


def commit_us(costs: Costs, rows: float) -> float:
    """What each of `rows` bears of what a commit costs besides its rows."""
    return (costs.commit_us[_FEW] - _FEW * row_us(costs)) / rows


STAGES: Final[dict[str, Callable[[Costs], float]]] = {
    "frame": lambda one: one.frame,
    "packet": lambda one: one.packet,
    "decode": lambda one: one.decode,
    "route": lambda one: one.route,
    "decide": lambda one: one.decide,
    "encode rows": row_us,
    "commit": lambda one: commit_us(one, one.rows_per_commit),
    "ack": lambda one: one.ack,
}


def stage_spreads(costs: Sequence[Costs]) -> dict[str, Spread]:
    """Each stage's cost over the rounds."""
    return {name: spread(map(cost, costs)) for name, cost in STAGES.items()}


def table(costs: Sequence[Costs]) -> str:
    """The budget, as Markdown."""
    spreads = stage_spreads(costs)
    whole = spread(one.whole for one in costs)
    rows = [
        (
            name,
            found.text(2),
            f"{BUDGET[name]:.1f}",
            f"{found.middle / whole.middle:.0%}",
            "**over**" if found.middle > BUDGET[name] else "",
        )
        for name, found in spreads.items()
    ]
    total = sum(found.middle for found in spreads.values())
    most = sum(BUDGET.values())
    over = "**over**" if whole.middle > most else ""
    unexplained = whole.middle - total
    rows += [
        ("sum of the stages", f"{total:.2f}", f"{most:.1f}", f"{total / whole.middle:.0%}", ""),
        ("unexplained", f"{unexplained:.2f}", "", f"{unexplained / whole.middle:.0%}", ""),
        ("**whole route**", whole.text(2), f"{most:.1f}", "100%", over),
    ]
    return results.table(("stage", "µs/bet", "budget", "share", ""), rows)


def company(costs: Sequence[Costs], depth: int) -> str:
    """What depends on how many bets share a read, a commit or a write, as Markdown."""
    rows = [
        ("frame", f"{depth} in a read", spread(one.frame for one in costs)),
        ("frame", "1 in a read", spread(one.frame_alone for one in costs)),
        *(
            ("commit", f"{size} in a commit", spread(commit_us(one, size) for one in costs))
            for size in sorted(COMMITS)
        ),
        ("ack", f"{depth} in a write", spread(one.ack for one in costs)),
        ("ack", "1 in a write", spread(one.ack_alone for one in costs)),
    ]
    lines = [(stage, bets, found.text(2)) for stage, bets, found in rows]
    return results.table(("stage", "bets", "µs/bet"), lines)


def figures(costs: Sequence[Costs]) -> list[dict[str, Any]]:
    """All figures, for the file of results."""
    stages = [
        {"stage": name, "us_per_bet": found, "budget_us": BUDGET[name]}
        for name, found in stage_spreads(costs).items()
    ]
    whole = {
        "stage": "whole",
        "us_per_bet": spread(one.whole for one in costs),
        "budget_us": sum(BUDGET.values()),
        "rows_per_commit": spread(one.rows_per_commit for one in costs),
    }
    return [*stages, whole, {"rounds": [one._asdict() for one in costs]}]


async def bench(rounds: int, depth: int, profile_s: float | None, file: Path | None) -> str:
    """Measure, write the results to `file`, and return the report."""
    async with own_node() as node:
        about = await machine.describe(node.database_url, node.pitboss.settings.data_dir)
        costs = await measure(node, rounds, depth)
    rows = spread(one.rows_per_commit for one in costs).text(0)
    load = (
        f"{CONNECTIONS} connections, {depth} bets in each read and write, {rows} rows a commit;"
        f" the median of {rounds} rounds, and their extremes."
    )
    parts = [machine.line(about), load, table(costs), company(costs, depth)]
    found = figures(costs)
    if profile_s is not None:
        sampling = await sample(CONNECTIONS, depth, profile_s)
        parts.append(sampling.markdown(BUDGET))
        found.append(sampling.figures())
    report = "\n\n".join(parts)
    settings = {
        "rounds": rounds,
        "depth": depth,
        "connections": CONNECTIONS,
        "profile_s": profile_s,
    }
    results.write(file, about, found, [load], settings, report)
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Fewer rounds.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds; each measures every stage once.")
@click.option(
    "--depth", type=click.IntRange(1, 16), default=8, show_default=True, help="Bets in a read."
)
@click.option("--profile", is_flag=True, help="Sample a loaded server, too.")
@click.option(
    "--seconds", type=POSITIVE, default=5.0, show_default=True, help="How long it is sampled."
)
def main(
    quick: bool,
    file: Path | None,
    rounds: int | None,
    depth: int,
    profile: bool,
    seconds: float,
) -> None:
    """Read the command line."""
    rounds = rounds or (9 if quick else 25)
    file = results.place("budget", file, quick=quick)
    try:
        print(uvloop.run(bench(rounds, depth, seconds if profile else None, file)))
    except (EnlistError, LedgerError, MeasurementError, ServerError, WorkerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
