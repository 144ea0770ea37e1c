"""Reading a few wallets back looks at their rows alone, however large the ledger is."""

import asyncpg

from actors.wallet.state import SNAPSHOT_FORMAT
from storage.vault import Vault
from storage.wallets import WalletStore
from tests.support.wallets import KIND

# Many wallets with many rows: a fresh ledger, of which the planner has no statistics yet.
FILL = """
    insert into wallet_entries
    select wallet, seq, 'PLAY', 'deposit', 1, 0, seq, 0, null, gen_random_uuid(), 0
    from generate_series(1, 400) as wallet, generate_series(1, 100) as seq
"""
SNAPSHOTS = """
    insert into wallet_snapshots select wallet, 97, $1, $2 from generate_series(1, 400) as wallet
"""
SCANNED = """
    select sum(seq_tup_read)::bigint from pg_stat_user_tables where relname like 'wallet_entries%'
"""


async def test_the_ledger_is_not_scanned(database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        await pool.execute(FILL)
        state = KIND.restore(1, None)
        await pool.execute(SNAPSHOTS, KIND.snapshot(state), SNAPSHOT_FORMAT)
        await pool.execute("select pg_stat_force_next_flush()")
        before = await pool.fetchval(SCANNED)
        store = WalletStore(pool, Vault(bytes(32)))
        for first in range(1, 200, 20):
            stored = await store.hydrate(KIND, range(first, first + 20))
            assert [len(list(one.facts)) for one in stored.values()] == [3] * 20
        await pool.execute("select pg_stat_force_next_flush()")
        assert await pool.fetchval(SCANNED) == before
