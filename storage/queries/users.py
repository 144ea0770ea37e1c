"""Users: whether one exists, and all of them by number."""

from collections.abc import Collection
from typing import Final, NamedTuple

import asyncpg

from storage.borrow import borrow

_ACCOUNT: Final = (
    "select id, username, email, role, guest, created_at_ms, disabled_at_ms from users"
)


class Account(NamedTuple):
    """An account as operators see it."""

    id: int
    username: str
    email: str | None
    role: str
    guest: bool
    created_at_ms: int
    disabled_at_ms: int | None


async def exists(pool: asyncpg.Pool, user_id: int) -> bool:
    """Whether there is a user of this number. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        found: bool = await connection.fetchval(
            "select exists (select from users where id = $1)", user_id
        )
    return found


async def usernames(pool: asyncpg.Pool, user_ids: Collection[int]) -> dict[int, str]:
    """The names of users, by number. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        rows = await connection.fetch(
            "select id, username from users where id = any($1::bigint[])", list(user_ids)
        )
    return {row["id"]: row["username"] for row in rows}


async def find_account(pool: asyncpg.Pool, user_id: int) -> Account:
    """The account of a user who exists. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        row = await connection.fetchrow(f"{_ACCOUNT} where id = $1", user_id)
    return Account(*row)


async def accounts_after(pool: asyncpg.Pool, user_id: int, limit: int) -> list[Account]:
    """The next accounts by number. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        rows = await connection.fetch(
            f"{_ACCOUNT} where id > $1 order by id limit $2", user_id, limit
        )
    return [Account(*row) for row in rows]
