"""Where figures go: a dated file of JSON with the report beside it, and tables of Markdown."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click
import msgspec

from server.cli import VERSION

_FOLDER: Final = Path(__file__).parent / "results"


def place(name: str, asked: Path | None, *, quick: bool) -> Path:
    """Open the file for the results of the benchmark `name`: the one asked for, or a dated one.

    A quick run's says so in its name: its figures are for the day, and git ignores them. This is
    for a command to do before it measures anything; if nothing is written until the command ends,
    a file that was made here goes again.

    Raises:
        click.ClickException: It cannot be written.
    """
    try:
        file, is_new = _dated(name, quick=quick) if asked is None else (asked, _opened(asked))
    except OSError as error:
        raise click.ClickException(f"The results cannot be written: {error}") from error
    if is_new:
        click.get_current_context().call_on_close(partial(_remove_empty, file))
    return file


def _dated(name: str, *, quick: bool) -> tuple[Path, bool]:
    """A new file with the time in its name, and a number if another run has begun just then."""
    marked = f"{name}-quick" if quick else name
    stem = time.strftime(f"{marked}-%Y-%m-%d-%H%M%S", time.gmtime())
    names = chain([stem], (f"{stem}-{number}" for number in count(2)))
    files = (_FOLDER / f"{one}.json" for one in names)
    return next(file for file in files if _made(file)), True


def _opened(file: Path) -> bool:
    """See that a file can be written, whose content stays until then. Returns if it is new."""
    if _made(file):
        return True
    with file.open("ab"):
        return False


def _made(file: Path) -> bool:
    """Make a file, and its folder. Returns False if there is one already."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        file.open("xb").close()
    except FileExistsError:
        return False
    return True


def _remove_empty(file: Path) -> None:
    if file.exists() and not file.stat().st_size:
        file.unlink()


@contextmanager
def saving() -> Iterator[None]:
    """Say it where a file cannot be written: the figures are still to be printed."""
    try:
        yield
    except OSError as error:
        click.echo(f"Not all results were written: {error}", err=True)


def write(
    file: Path | None,
    machine: dict[str, Any],
    series: Sequence[dict[str, Any]],
    notes: Sequence[str],
    settings: Mapping[str, Any] = MappingProxyType({}),
    report: str | None = None,
) -> None:
    """Write the results, if there is a file for them, with the time and Pitboss's version.

    `settings` are the run's own; `report` is Markdown, and goes beside the file. What cannot be
    written is said on stderr.
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
    with saving():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
        if report is not None:
            file.with_suffix(".md").write_text(f"{report}\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
