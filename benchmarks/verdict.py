"""What players were promised, held against what the ledger has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from benchmarks.retrying import Promise, Retrying

# Of each wallet by itself: a million rows of all at once would fill the memory.
_ROWS = """
    select request_id, wallet_id || '-' || seq as bet_id, (outcome::jsonb ->> 'roll')::int as roll,
        payout, available_after
    from wallet_entries where wallet_id = $1 and kind = 'bet'
"""


@dataclass
class Verdict:
    """Request ids by what is wrong with them. All are empty if nothing is."""

    lost: list[str] = field(default_factory=list)
    """Acknowledged, and not in the ledger."""
    unpromised: list[str] = field(default_factory=list)
    """In the ledger, though never asked for, or refused for good."""
    changed: list[str] = field(default_factory=list)
    """Answered otherwise than before, or than the ledger has it."""
    refused: list[str] = field(default_factory=list)
    """Refused for good, though nothing was wrong with them."""

    @property
    def clean(self) -> bool:
        """Whether every promise was kept, once."""
        return not (self.lost or self.unpromised or self.changed or self.refused)


async def judge(database_url: str, players: Sequence[Retrying]) -> Verdict:
    """Compare every promise with the committed rows."""
    verdict = Verdict()
    connection = await asyncpg.connect(database_url)
    try:
        for player in players:
            rows = await connection.fetch(_ROWS, player.player.user_id)
            compare(verdict, player, [(row[0], Promise(*row[1:])) for row in rows])
    finally:
        await connection.close()
    return verdict


def compare(verdict: Verdict, player: Retrying, rows: Sequence[tuple[UUID, Promise]]) -> None:
    """Compare what one player was promised with the rows of their bets."""
    verdict.changed += player.changed
    verdict.refused += player.refused
    stored: dict[str, Promise] = {}
    for request_id, row in rows:
        name = str(request_id)
        # An id is there once, as its index is unique: a bet that was placed again has another.
        if name not in player.promised:
            verdict.unpromised.append(name)
        stored[name] = row
    for name, promise in player.promised.items():
        if name not in stored:
            verdict.lost.append(name)
        elif stored[name] != promise:
            verdict.changed.append(name)
