"""The figures as Markdown, for people."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.machine import line
from benchmarks.series import Series, Spread


def markdown(machine: dict[str, Any], series: Sequence[Series], notes: Iterable[str]) -> str:
    """The whole report. A figure with a range is the median of the repeats and their extremes."""
    closed = [one for one in series if one.offered is None]
    open_ = [one for one in series if one.offered is not None]
    parts = [f"Machine: {line(machine)}"]
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
            _range(one.bets_per_second(), 0),
            _range(one.server_us(), 1),
            _range(one.postgres_us(), 1),
            _range(one.generator_us(), 1),
            _range(one.rows_per_commit(), 0),
            *_percentiles(one),
        )
        for one in series
    ]
    return _table(head, rows)


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
    )
    rows = [
        (
            one.mode,
            f"{one.offered:,.0f}",
            _range(one.bets_per_second(), 0),
            *_percentiles(one),
            _range(one.server_us(), 1),
            _range(one.rows_per_commit(), 0),
            f"{one.lateness().percentile(99) / 1e6:.2f}",
        )
        for one in series
    ]
    return _table(head, rows)


def _cores(series: Iterable[Series]) -> str:
    names = ("server", "postgres", "generator", "others")
    rows = [
        (
            one.mode,
            "as fast as it goes" if one.offered is None else f"{one.offered:,.0f} bets/s",
            *(f"{one.cores()[name]:.2f}" for name in names),
        )
        for one in series
    ]
    return _table(("mode", "load", *names), rows)


def _percentiles(one: Series) -> tuple[str, ...]:
    return (
        _range(one.latency_ms(50), 2),
        _range(one.latency_ms(99), 2),
        _range(one.latency_ms(99.9), 2),
        f"{one.latency().max / 1e6:.2f}",
    )


def _range(spread: Spread, digits: int) -> str:
    least, middle, greatest = (f"{value:,.{digits}f}" for value in spread)
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
