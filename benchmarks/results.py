"""Where figures go: a dated file of JSON with the report beside it, and tables of Markdown."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from server.cli import VERSION

_FOLDER: Final = Path(__file__).parent / "results"


def place(name: str, asked: Path | None, *, quick: bool) -> Path:
    """The file for the results of the benchmark `name`: the one asked for, or a dated one.

    A quick run's says so in its name: its figures are for the day, and git ignores them.
    """
    if asked is not None:
        return asked
    marked = f"{name}-quick" if quick else name
    return _FOLDER / time.strftime(f"{marked}-%Y-%m-%d-%H%M%S.json", time.gmtime())


def write(
    file: Path | None,
    machine: dict[str, Any],
    series: Sequence[dict[str, Any]],
    notes: Sequence[str],
    settings: Mapping[str, Any] = MappingProxyType({}),
    report: str | None = None,
) -> None:
    """Write the results, if there is a file for them, with the time and Pitboss's version.

    `settings` are the run's own; `report` is Markdown, and goes beside the file.
    """
    if file is None:
        return
    results = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "pitboss": VERSION,
        "machine": machine,
        "settings": dict(settings),
        "series": series,
        "notes": notes,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    if report is not None:
        file.with_suffix(".md").write_text(f"{report}\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
