"""`docs/errors.md`: errors and disconnect reasons, for readers of the repository.

`python -m server.documents.errors_page` writes it; a test says when that is due.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from protocol.disconnects import REASONS
from protocol.errors import ErrorKind
from server.documents.families import families

PATH: Final = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
_INTRODUCTION: Final = """\
# Errors and disconnect reasons

Made from `protocol/errors.py` and `protocol/disconnects.py` by `make docs`.

A refused command is answered with `{"success": false, "error": {...}, "meta": {...}}`. The error's
`code` and `number` are stable, so that programs may switch on them; `message` is for people;
`details` holds what else a program may need, such as `retry_after_ms`. After a *temporary* error
the same request may succeed later: a command that moves money is sent again with the same
`request_id`, which never moves it twice. The thousand of a number names its family.
"""
_DISCONNECTS: Final = """\
## Disconnect reasons

The close code of a WebSocket. Codes below 4000 have their meaning from RFC 6455, section 7.4.1.
"""


def build() -> str:
    """The whole file."""
    return "\n".join([_INTRODUCTION, *_errors(), _DISCONNECTS, *_reasons()])


def _errors() -> Iterator[str]:
    for title, kinds in families():
        yield f"## {title}\n"
        yield from _table(("Number", "Code", "HTTP", "Retry", "Message"), map(_row, kinds))
        yield ""


def _row(kind: ErrorKind) -> tuple[str, ...]:
    lasting = "temporary" if kind.temporary else "lasting"
    return str(kind.number), f"`{kind.code}`", str(kind.status), lasting, kind.message


def _reasons() -> Iterator[str]:
    rows = (
        (str(reason.close_code), f"`{reason.name}`", reason.message) for reason in REASONS.values()
    )
    yield from _table(("Code", "Reason", "Meaning"), rows)
    yield ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    PATH.write_text(build(), encoding="utf-8")
