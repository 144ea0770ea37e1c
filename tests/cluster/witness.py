"""A witness inside PostgreSQL: which connection wrote each row, and whether it had the lock."""

from typing import Final
from zlib import crc32

import asyncpg

from actors.crash.rules import CRASH
from actors.wallet.rules import WALLET
from storage.writer import LOCK_CLASS
from tests.support.clusters import SHARDS

_TABLE: Final = """
    create table written (
        kind text not null, key bigint not null, seq bigint not null, pid integer not null,
        locked boolean not null, at timestamptz not null default clock_timestamp()
    )
"""
# Told of all rows of a statement at once, before its transaction can commit.
_TRIGGER: Final = """
    create function witness_{kind}() returns trigger language plpgsql as $$
    begin
        insert into written (kind, key, seq, pid, locked)
        select '{kind}', entry.{key}, entry.seq, pg_backend_pid(),
            (entry.{key} + {salt}) % {shards} in (select objid::bigint from pg_locks
                where locktype = 'advisory' and granted and pid = pg_backend_pid()
                and classid = {lock_class}::oid)
        from entries entry;
        return null;
    end $$;
    create trigger witness after insert on {table} referencing new table as entries
        for each statement execute function witness_{kind}()
"""
_UNSEEN: Final = """
    select (select count(*) from wallet_entries) + (select count(*) from crash_entries)
        - (select count(*) from written)
"""
_UNLOCKED: Final = "select kind, key, seq, pid from written where not locked"


async def install(dsn: str) -> None:
    """Have every row of wallets and tables witnessed from now on, in an empty ledger."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_TABLE)
        for kind, table, key in (
            (WALLET, "wallet_entries", "wallet_id"),
            (CRASH, "crash_entries", "table_id"),
        ):
            await connection.execute(
                _TRIGGER.format(
                    kind=kind,
                    table=table,
                    key=key,
                    salt=crc32(kind.encode()),
                    shards=SHARDS,
                    lock_class=LOCK_CLASS,
                )
            )
    finally:
        await connection.close()


async def check(connection: asyncpg.Connection) -> None:
    """Every row was seen, and written by a connection that had the lock of its shard."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        unseen = await connection.fetchval(_UNSEEN)
        assert unseen == 0, f"{unseen} rows were not seen"
        unlocked = await connection.fetch(_UNLOCKED)
        assert not unlocked, f"written without the lock of their shard: {unlocked}"
