"""Where figures go: a dated file of JSON, and tables of Markdown."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

_FOLDER: Final = Path(__file__).parent / "results"


def write(
    name: str,
    machine: dict[str, Any],
    series: Sequence[dict[str, Any]],
    notes: Sequence[str],
    file: Path | None,
) -> None:
    """Write the results of the benchmark `name` to `file`, or to a dated one among the others."""
    if file is None:
        file = _FOLDER / time.strftime(f"{name}-%Y-%m-%d-%H%M%S.json", time.gmtime())
    results = {"machine": machine, "series": series, "notes": notes}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
