"""What operators switched: rows that are only added, of which the newest of each game counts."""

from typing import Final, NamedTuple

import asyncpg

from storage.borrow import borrow

# Games and tables that anything was ever switched of, each found by the index: as many look-ups.
_PAUSED: Final = """
    with recursive switched as (
        (select game, table_id from game_switches order by game, table_id limit 1)
        union all
        select following.game, following.table_id
        from switched cross join lateral (
            select game, table_id from game_switches
            where (game, table_id) > (switched.game, switched.table_id)
            order by game, table_id limit 1
        ) following
    )
    select newest.* from switched cross join lateral (
        select game, table_id, paused, user_id, at_ms from game_switches
        where game = switched.game and table_id = switched.table_id
        order by number desc limit 1
    ) newest
    where newest.paused order by newest.game, newest.table_id
"""
_CHANGES: Final = """
    select game, table_id, paused, user_id, at_ms from game_switches order by number desc limit $1
"""
# Two operators who switch the same at once add two rows that say the same, which harms nobody.
_NEWEST: Final = """
    select game, table_id, paused, user_id, at_ms from game_switches
    where game = $1 and table_id = $2 order by number desc limit 1
"""
_ADD: Final = """
    insert into game_switches (game, table_id, paused, user_id, at_ms)
    values ($1, $2, $3, $4, $5)
"""

ALL_TABLES: Final = 0


class Switch(NamedTuple):
    """One row. The table is ALL_TABLES for all of a game."""

    game: str
    table: int
    paused: bool
    user_id: int
    at_ms: int


class SwitchStore:
    """The switches in PostgreSQL. Every method may raise the Failure `storage_unavailable`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def paused(self) -> list[Switch]:
        """What is paused now, by game and table."""
        async with borrow(self._pool) as connection:
            return [Switch(*row) for row in await connection.fetch(_PAUSED)]

    async def changes(self, limit: int) -> list[Switch]:
        """The newest changes, newest first."""
        async with borrow(self._pool) as connection:
            return [Switch(*row) for row in await connection.fetch(_CHANGES, limit)]

    async def put(self, switch: Switch) -> Switch:
        """Switch, and return the row that says so: the one before, if it said so already."""
        async with borrow(self._pool) as connection:
            before = await connection.fetchrow(_NEWEST, switch.game, switch.table)
            if before is not None and before["paused"] == switch.paused:
                return Switch(*before)
            await connection.execute(_ADD, *switch)
        return switch
