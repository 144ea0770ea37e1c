"""How a server and its database are: memory, actors, queues, lag, and the sizes of tables."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.server_process import Server
from benchmarks.usage import Meter, resident

# A turn of the loop that was later than this is felt by players.
LATE_S: Final = 0.05

_TABLES = """
    select relname, n_tup_ins + n_tup_upd as written, coalesce(idx_scan, 0) as index_scans,
        pg_total_relation_size(relid) as bytes
    from pg_stat_user_tables
"""
_WAL = """
    select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as written,
        (select sum(size)::bigint from pg_ls_waldir()) as kept
"""
_ENTRIES: Final = "wallet_entries_"
_SNAPSHOTS: Final = "wallet_snapshots"
# Reading a wallet back looks its newest seed pair up, once, and nothing else does while bets run.
_PAIRS: Final = "wallet_seed_pairs"


class Condition(NamedTuple):
    """What a server's metrics and its process say at a moment."""

    rss_mb: float
    heap_mb: float
    live: int
    queued: int
    lag_s: float
    lag_samples: int
    late_turns: int


class Stored(NamedTuple):
    """What the database has counted until a moment, in rows and bytes."""

    hydrations: int
    snapshots: int
    partition_rows: dict[str, int]
    ledger_bytes: int
    wal_written_bytes: int
    wal_kept_bytes: int
    postgres_mb: float


async def condition(http: aiohttp.ClientSession, server: Server) -> Condition:
    """Ask the server."""
    assert server.pid is not None
    async with http.get(f"{server.url}/metrics") as response:
        samples = _samples(await response.text())
    memory = resident(server.pid)
    lag_samples = int(samples["pitboss_loop_lag_seconds_count"])
    return Condition(
        rss_mb=memory.rss_bytes / 1e6,
        heap_mb=memory.heap_bytes / 1e6,
        live=int(samples["pitboss_actors_live"]),
        queued=int(samples["pitboss_queue_depth"]),
        lag_s=samples["pitboss_loop_lag_seconds_sum"],
        lag_samples=lag_samples,
        late_turns=lag_samples - int(samples[f"pitboss_loop_lag_seconds_bucket{LATE_S}"]),
    )


def _samples(text: str) -> Mapping[str, float]:
    """Metrics by name; those with labels added up, but the buckets of histograms each by itself."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name + sample.labels.get("le", "")
            found[name] = found.get(name, 0.0) + sample.value
    return found


async def stored(server: Server, meter: Meter) -> Stored:
    """Ask the database."""
    connection = await asyncpg.connect(server.database_url)
    try:
        tables = {row["relname"]: row for row in await connection.fetch(_TABLES)}
        wal = await connection.fetchrow(_WAL)
    finally:
        await connection.close()
    parts = {name: row for name, row in tables.items() if name.startswith(_ENTRIES)}
    return Stored(
        hydrations=tables[_PAIRS]["index_scans"],
        snapshots=tables[_SNAPSHOTS]["written"],
        partition_rows={name: row["written"] for name, row in sorted(parts.items())},
        ledger_bytes=sum(row["bytes"] for row in parts.values()),
        wal_written_bytes=wal["written"],
        wal_kept_bytes=wal["kept"],
        postgres_mb=meter.memory_mb()[1],
    )
