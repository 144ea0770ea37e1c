"""What all nodes of a database agree on, kept in the database itself."""

from typing import Final

import asyncpg

__all__ = ["WrongShardsError", "check_shards"]

_FIX: Final = "insert into placement (shards) values ($1) on conflict do nothing"
_FIXED: Final = "select shards from placement"


class WrongShardsError(Exception):
    """The database's actors are hashed into another number of shards; nothing was changed."""


async def check_shards(pool: asyncpg.Pool, shards: int) -> None:
    """Fix the number of shards, or see that it is the one that was fixed before.

    Two nodes of different numbers would both own some actors, and neither would find what waits in
    the outbox for others.

    Raises:
        WrongShardsError: It is another number.
        asyncpg.PostgresError: The database cannot be asked.
    """
    await pool.execute(_FIX, shards)
    fixed = await pool.fetchval(_FIXED)
    if fixed != shards:
        raise WrongShardsError(
            f"the actors of this database are hashed into {fixed} shards, which cannot be changed:"
            f" set PITBOSS_SHARDS to {fixed} instead of {shards}"
        )
