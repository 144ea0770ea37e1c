"""The figures as Markdown, for people."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.machine import line
from benchmarks.measurement import largest_ms, milliseconds
from benchmarks.results import table
from benchmarks.series import Series
from benchmarks.spread import shown


def markdown(machine: dict[str, Any], series: Sequence[Series], notes: Iterable[str]) -> str:
    """The whole report. A figure with a range is the median of the repeats and their extremes."""
    closed = [one for one in series if one.offered is None]
    open_ = [one for one in series if one.offered is not None]
    parts = [line(machine)]
    if closed:
        parts += ["### Closed loop: as fast as answers come", _throughput(closed)]
    if open_:
        parts += ["### Open loop: latency from the moment a bet was due", _latency(open_)]
    parts += ["### Cores busy on average", _cores(series)]
    return "\n\n".join([*parts, *notes])


def _throughput(series: Iterable[Series]) -> str:
    head = (
        "mode",
        "bets/s",
        "server µs/bet",
        "PostgreSQL µs/bet",
        "generator µs/bet",
        "rows/commit",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
    )
    rows = [
        (
            one.mode,
            one.bets_per_second().text(0),
            one.server_us().text(1),
            one.postgres_us().text(1),
            one.generator_us().text(1),
            one.rows_per_commit().text(0),
            *_percentiles(one),
        )
        for one in series
    ]
    return table(head, rows)


def _latency(series: Iterable[Series]) -> str:
    head = (
        "mode",
        "offered bets/s",
        "answered bets/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "server µs/bet",
        "rows/commit",
        "generator late p99 ms",
        "refused %",
    )
    rows = [
        (
            one.mode,
            f"{one.offered:,.0f}",
            one.bets_per_second().text(0),
            *_percentiles(one),
            one.server_us().text(1),
            one.rows_per_commit().text(0),
            shown(milliseconds(one.lateness(), 99), 2),
            one.refused_percent().text(2),
        )
        for one in series
    ]
    return table(head, rows)


def _cores(series: Iterable[Series]) -> str:
    names = ("server", "postgres", "generator", "others")
    rows = [
        (
            one.mode,
            "as fast as it goes" if one.offered is None else f"{one.offered:,.0f} bets/s",
            *(shown(one.cores()[name], 2) for name in names),
        )
        for one in series
    ]
    return table(("mode", "load", *names), rows)


def _percentiles(one: Series) -> tuple[str, ...]:
    return (
        one.latency_ms(50).text(2),
        one.latency_ms(99).text(2),
        one.latency_ms(99.9).text(2),
        shown(largest_ms(one.latency()), 2),
    )
