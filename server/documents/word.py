"""A field's meaning, and an example of what it holds."""

from typing import Any, Final, NamedTuple


class Word(NamedTuple):
    """A field's meaning, and what it may hold; `EXAMPLE_FROM_TYPE` where its type says it all."""

    meaning: str | None
    example: Any


EXAMPLE_FROM_TYPE: Final = object()
