"""A wallet's ledger entries, newest first, by key."""

from typing import Final

import asyncpg

from protocol.commands.wallet import GetHistory, History, HistoryEntry
from protocol.ids import bet_id
from storage.borrow import borrow

_HISTORY: Final = """
    select * from wallet_entries
    where wallet_id = $1
        and ($2::bigint is null or seq < $2) and ($3::text is null or currency = $3)
    order by seq desc limit $4
"""


async def history(pool: asyncpg.Pool, wallet_id: int, command: GetHistory) -> History:
    """A page of the wallet's entries. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        rows = await connection.fetch(
            _HISTORY, wallet_id, command.before, command.currency, command.limit + 1
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
            bet_id=bet_id(wallet_id, row["seq"]) if row["game"] else None,
        )
        for row in rows[: command.limit]
    ]
    more = len(rows) > command.limit
    return History(entries=entries, next_before=entries[-1].seq if more else None)
