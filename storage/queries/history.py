"""A wallet's ledger entries, newest first, by key."""

from typing import Final

import asyncpg

from protocol.commands.wallet import GetHistory, History, HistoryEntry
from protocol.ids import bet_id
from storage.borrow import borrow
from storage.queries.stretch import find_stretch

_HISTORY: Final = """
    select * from wallet_entries
    where wallet_id = $1 and seq >= $2 and seq < $3 and ($4::text is null or currency = $4)
    order by seq desc limit $5
"""


async def history(pool: asyncpg.Pool, wallet_id: int, command: GetHistory) -> History:
    """A page of the wallet's entries. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        stretch = await find_stretch(connection, wallet_id, command.before)
        rows = await connection.fetch(
            _HISTORY, wallet_id, *stretch, command.currency, command.limit + 1
        )
    entries = [
        HistoryEntry(
            seq=row["seq"],
            kind=row["kind"],
            currency=row["currency"],
            available_delta=row["available_delta"],
            held_delta=row["held_delta"],
            available_after=row["available_after"],
            held_after=row["held_after"],
            counterparty=row["counterparty"],
            request_id=row["request_id"],
            at_ms=row["at_ms"],
            bet_id=bet_id(wallet_id, row["hold"] or row["seq"]) if row["game"] else None,
        )
        for row in rows[: command.limit]
    ]
    left_out = entries[-1].seq if len(rows) > command.limit else None
    return History(entries=entries, next_before=stretch.next_before(left_out))
