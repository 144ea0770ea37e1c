"""Where figures go: a dated file of JSON, and tables of Markdown."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

_FOLDER: Final = Path(__file__).parent / "results"


def place(name: str, asked: Path | None, *, quick: bool) -> Path | None:
    """The file for the results of the benchmark `name`: the one asked for, or a dated one.

    A quick run's figures are not worth a dated one.
    """
    if asked is not None or quick:
        return asked
    return _FOLDER / time.strftime(f"{name}-%Y-%m-%d-%H%M%S.json", time.gmtime())


def write(
    file: Path | None,
    machine: dict[str, Any],
    series: Sequence[dict[str, Any]],
    notes: Sequence[str],
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the results, if there is a file for them. `settings` are the run's own."""
    if file is None:
        return
    results = {"machine": machine, "settings": dict(settings), "series": series, "notes": notes}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
