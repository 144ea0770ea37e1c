"""Migrations of a database that is in use: whoever goes on meanwhile is not kept out for long."""

from pathlib import Path

import asyncpg

from storage.migrate import MIGRATIONS, migrate

# The newest that a database with players in it may be at.
RELEASED = 3
ROWS = 2_000
_PLAY = """
    insert into wallet_entries (wallet_id, seq, currency, kind, available_delta, held_delta,
        available_after, held_after, request_id, at_ms, game, stake, payout, pair, nonce,
        parameters, outcome)
    select 1 + n % 50, 1 + n / 50, 'PLAY', 'bet', 0, 0, 100, 0, gen_random_uuid(), n,
        'dice', 10, 10, 1, n / 50, '{}', '{}'
    from generate_series(0, $1 - 1) n
"""
_READ = """
    select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_xact_user_tables
    where relname like 'wallet_entries%'
"""
_KEEPS_OUT = """
    select count(*) > 0 from pg_locks l join pg_class c on c.oid = l.relation
    where c.relname like 'wallet_entries%' and c.relkind in ('r', 'p')
        and l.mode = 'AccessExclusiveLock'
"""


def _pick(tmp_path: Path, upto: int) -> Path:
    """A folder with the first migrations."""
    for path in sorted(MIGRATIONS.glob("*.sql"))[:upto]:
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


async def test_nothing_reads_the_ledger_while_it_keeps_everybody_out(
    empty_database_url: str, tmp_path: Path
) -> None:
    await migrate(empty_database_url, _pick(tmp_path, RELEASED))
    connection = await asyncpg.connect(empty_database_url)
    # What other processes read is not counted here.
    await connection.execute("set max_parallel_maintenance_workers = 0")
    await connection.execute(_PLAY.replace("$1", str(ROWS)))
    read = {}
    for path in sorted(MIGRATIONS.glob("*.sql"))[RELEASED:]:
        async with connection.transaction():
            before = await connection.fetchval(_READ)
            await connection.execute(path.read_text(encoding="utf-8"))
            read[path.stem] = await connection.fetchval(_READ) - before
            kept_out = await connection.fetchval(_KEEPS_OUT)
        assert not (kept_out and read[path.stem]), path.stem
    assert sum(read.values()) == 2 * ROWS, "once to check it, once for the index"
    await connection.close()


async def test_old_rows_are_checked_like_new_ones(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("select bool_and(convalidated) from pg_constraint")
    await connection.close()
