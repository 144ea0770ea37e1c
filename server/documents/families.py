"""Errors by family, as people look them up."""

from typing import Final

from protocol.errors import ERRORS, ErrorKind

# The thousand of an error's number names its family (protocol/errors.py).
_TITLES: Final = {
    1: "The message",
    2: "Who is asking",
    3: "Money",
    4: "Games",
    5: "Limits",
    9: "The server itself",
}


def families() -> list[tuple[str, list[ErrorKind]]]:
    """Each family's title and its errors, by number."""
    kinds = sorted(ERRORS.values(), key=lambda kind: kind.number)
    return [
        (title, [kind for kind in kinds if kind.number // 1_000 == thousand])
        for thousand, title in _TITLES.items()
    ]
