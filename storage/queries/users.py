"""Whether a user exists."""

import asyncpg

from storage.accounts_connection import borrow


async def exists(pool: asyncpg.Pool, user_id: int) -> bool:
    """Whether there is a user of this number. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        found: bool = await connection.fetchval(
            "select exists (select from users where id = $1)", user_id
        )
    return found
