"""What became of a stake that was held for a crash round: whether its table took the bet."""

from typing import Final

import asyncpg

from actors.crash.commands import Join
from actors.crash.facts import RoundEntry
from storage.borrow import borrow
from storage.rows import ROUND_COLUMNS, round_entry_of

_COLUMNS: Final = ", ".join(ROUND_COLUMNS)
_TAKEN: Final = f"""
    select {_COLUMNS} from crash_entries
    where table_id = $1 and wallet_id = $2 and hold = $3 and kind in ('joined', 'returned')
    order by seq limit 1
"""  # noqa: S608 - the column names are ours


async def taken(pool: asyncpg.Pool, join: Join) -> RoundEntry | None:
    """The row by which the table took the bet or sent it back; None if it has done neither yet.

    Raises Failure `storage_unavailable`.
    """
    async with borrow(pool) as connection:
        row = await connection.fetchrow(_TAKEN, join.table, join.wallet_id, join.hold)
    return None if row is None else round_entry_of(row)
