"""Bets and rounds with what they come to, for every verifier to agree on."""

import json
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("fairness.json")

Case = dict[str, Any]


def cases() -> dict[str, list[Case]]:
    """The cases of each game: `given` as it stands in records, and what is `expected` of it."""
    read: dict[str, list[Case]] = json.loads(FILE.read_text())
    return read
