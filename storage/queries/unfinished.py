"""Crash tables that have left something open: a round, a bet, or a message that waits for them."""

from typing import Final

import asyncpg

from storage.borrow import borrow

# From table to table by the primary key: their rows are many, and they are few.
_UNFINISHED: Final = """
    with recursive every (number) as (
        select min(table_id) from crash_entries
        union all
        select (select min(table_id) from crash_entries where table_id > every.number)
        from every where every.number is not null
    )
    select number from every
    cross join lateral (
        select seq, round from crash_entries
        where table_id = number and kind = 'opened' order by round desc limit 1
    ) newest
    cross join lateral (
        select bool_or(kind in ('crashed', 'voided')) as over,
            count(*) filter (where kind = 'joined') as joined,
            count(*) filter (where kind in ('left', 'cashed_out', 'lost', 'refunded')) as ended
        from crash_entries where table_id = number and crash_entries.seq >= newest.seq
    ) rows
    where not over or joined <> ended
    union
    select key from outbox where kind = 'crash'
"""


async def unfinished_tables(pool: asyncpg.Pool) -> set[int]:
    """Their numbers. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        return {row["number"] for row in await connection.fetch(_UNFINISHED)}
