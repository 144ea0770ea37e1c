"""Crash tables read back from PostgreSQL: where the newest round begins, and all its rows."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from actors.crash.facts import ChainsRead, RoundEntry
from actors.crash.state import MAX_PAST, MAX_TAKEN, Begun, Past
from actors.kind import Kind
from actors.runtime.ports import Stored
from storage.borrow import borrow
from storage.chains import NOWHERE, Place, read_chains, with_new_chains
from storage.rows import ROUND_COLUMNS, round_entry_of
from storage.vault import Vault

_COLUMNS: Final = ", ".join(ROUND_COLUMNS)
_OPENED: Final = """
    select seq, round, chain_id, position from crash_entries
    where table_id = $1 and kind = 'opened'
    order by round desc limit 1
"""
_ROWS: Final = f"""
    select {_COLUMNS} from crash_entries where table_id = $1 and seq >= $2 order by seq
"""  # noqa: S608 - the column names are ours
_PAST: Final = """
    select round, multiplier, hash, kind = 'voided' as voided from crash_entries
    where table_id = $1 and kind in ('crashed', 'voided') and round < $2
    order by round desc limit $3
"""
_TAKEN: Final = """
    select wallet_id, hold, reason from crash_entries
    where table_id = $1 and kind in ('joined', 'returned') and seq < $2
    order by seq desc limit $3
"""


class CrashStore:
    """The committed rows of crash tables, for the runtime's reads.

    With `trials`, tables without other chains play those for trying out. Every read may raise
    Failure `storage_unavailable`.
    """

    def __init__(self, pool: asyncpg.Pool, vault: Vault, *, trials: bool) -> None:
        self._pool = pool
        self._vault = vault
        self._trials = trials

    async def hydrate(self, _kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        """All tables of `keys`: few, and each a hundred milliseconds of rows at most."""
        async with borrow(self._pool) as connection:
            return {key: await self._read(connection, key) for key in keys}

    async def _read(self, connection: asyncpg.Connection, table: int) -> Stored:
        opened = await connection.fetchrow(_OPENED, table)
        seq, number, *place = opened or (1, 1, *NOWHERE)
        chains = await read_chains(
            connection, self._vault, table, Place(*place), trials=self._trials
        )
        rows: list[RoundEntry] = [
            round_entry_of(row) for row in await connection.fetch(_ROWS, table, seq)
        ]
        begun = Begun(
            seq - 1,
            number - 1,
            [Past(*row) for row in await connection.fetch(_PAST, table, number, MAX_PAST)],
            [tuple(row) for row in await connection.fetch(_TAKEN, table, seq, MAX_TAKEN)][::-1],
        )
        return Stored(msgspec.msgpack.encode(begun), seq - 1, [ChainsRead(chains), *rows])

    async def with_new_chains(self, tables: Collection[int]) -> set[int]:
        """Those of `tables` that have a chain to play after that of their newest round."""
        async with borrow(self._pool) as connection:
            return await with_new_chains(connection, tables, trials=self._trials)

    async def find(self, _kind: Kind, _key: int, _request_id: UUID) -> None:
        """No command of a table carries a request id."""

    def put_snapshot(self, _kind: Kind, _key: int, _version: int, _snapshot: bytes) -> None:
        """A table is read back from its newest round, so that it needs none."""
