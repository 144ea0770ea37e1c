"""What a wallet has, by its committed rows."""

from typing import Final

import asyncpg

from protocol.commands.wallet import BalanceOf
from storage.borrow import borrow

_BALANCES: Final = """
    with newest as (
        select currency, max(seq) as seq from wallet_entries where wallet_id = $1 group by currency
    )
    select e.currency, e.available_after, e.held_after, e.seq
    from newest join wallet_entries e on e.wallet_id = $1 and e.seq = newest.seq
    order by e.currency
"""


async def newest_entries(
    connection: asyncpg.pool.PoolConnectionProxy, wallet_id: int
) -> list[asyncpg.Record]:
    """The newest entry of each currency: what stands after it is the balance."""
    rows: list[asyncpg.Record] = await connection.fetch(_BALANCES, wallet_id)
    return rows


async def balances(pool: asyncpg.Pool, wallet_id: int) -> list[BalanceOf]:
    """The balance of each currency the wallet ever had. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        rows = await newest_entries(connection, wallet_id)
    return [
        BalanceOf(
            currency=row["currency"],
            available=row["available_after"],
            held=row["held_after"],
            seq=row["seq"],
        )
        for row in rows
    ]
