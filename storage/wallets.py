"""Wallets read back from PostgreSQL, and their snapshots written behind."""

import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, cast
from uuid import UUID

import asyncpg

from actors.kind import Kind
from actors.runtime.ports import Stored
from actors.wallet.facts import Entry, SeedPairIssued
from actors.wallet.state import SNAPSHOT_FORMAT
from protocol.errors import Failure
from storage.borrow import borrow
from storage.rebuild import rebuild_snapshot
from storage.rows import ENTRY_COLUMNS, entry_of, pair_of, restriction_of
from storage.vault import Vault

log = logging.getLogger(__name__)

# Snapshots that wait to be written, 17 kB each at most. More are dropped: they only save time when
# their wallets are read back.
MAX_SNAPSHOTS: Final = 2_000
# Snapshots in one statement: under two megabytes.
SNAPSHOT_BATCH: Final = 100

# Rows that are folded one by one at hydration: five times the distance of snapshots. A wallet with
# more since its snapshot has lost some, and gets one from its newest rows instead.
MAX_FOLD: Final = 5_000

_ENTRIES: Final = ", ".join(f"e.{column}" for column in ENTRY_COLUMNS)

_NEWEST = """
    select w.id, (
        select seq from wallet_entries where wallet_id = w.id order by seq desc limit 1
    ) as seq
    from unnest($1::bigint[]) as w (id)
"""
# Those of an earlier version, which a process that ends may leave behind, lack what counts now.
_SNAPSHOTS = f"""
    select wallet_id, seq, state from wallet_snapshots
    where wallet_id = any($1::bigint[]) and format = {SNAPSHOT_FORMAT}
"""  # noqa: S608 - the number is ours
# A look-up for each wallet by itself: a join would have the planner guess how many rows `after`
# leaves, and read the whole ledger for a few. Nobody reaches the limit: a wallet with more rows has
# been given a newer snapshot, and while it is read nobody writes it.
_FACTS = f"""
    select {_ENTRIES}
    from unnest($1::bigint[], $2::bigint[]) as w (id, after)
    cross join lateral (
        select * from wallet_entries
        where wallet_id = w.id and seq > w.after order by seq limit {MAX_FOLD + 1}
    ) e
    order by e.wallet_id, e.seq
"""  # noqa: S608 - the column names and the limit are ours
# The newest pair is enough: a pair's nonce begins at its first_nonce, and only bets after it count.
_PAIRS = """
    select p.* from unnest($1::bigint[]) as w (id)
    cross join lateral (
        select * from wallet_seed_pairs where wallet_id = w.id order by number desc limit 1
    ) p
"""
# A snapshot may have those that were made right after its newest entry, or not.
_RESTRICTIONS = """
    select r.* from unnest($1::bigint[], $2::bigint[]) as w (id, after)
    cross join lateral (
        select * from wallet_restrictions where wallet_id = w.id and after_seq >= w.after
    ) r
    order by r.wallet_id, r.number
"""
_FIND = f"""
    select {_ENTRIES} from wallet_entries e where e.wallet_id = $1 and e.request_id = $2
"""  # noqa: S608 - the column names are ours
_PUT_SNAPSHOTS = f"""
    insert into wallet_snapshots (wallet_id, seq, state, format)
    select wallet_id, seq, state, {SNAPSHOT_FORMAT}
    from unnest($1::bigint[], $2::bigint[], $3::bytea[]) as made (wallet_id, seq, state)
    on conflict (wallet_id) do update
    set seq = excluded.seq, state = excluded.state, format = excluded.format
    where wallet_snapshots.seq < excluded.seq or wallet_snapshots.format < excluded.format
"""  # noqa: S608 - the number is ours


class WalletStore:
    """The committed rows of wallets, for the runtime's reads.

    Every read may raise Failure `storage_unavailable`.
    """

    def __init__(self, pool: asyncpg.Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault
        self._snapshots: dict[int, tuple[int, bytes]] = {}

    async def hydrate(self, _kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        """All wallets of `keys`, each as its snapshot and the facts after it, in order."""
        async with borrow(self._pool) as connection:
            snapshots = await self._read_snapshots(connection, keys)
            after = [snapshots[key][0] if key in snapshots else 0 for key in keys]
            entries = _grouped(await connection.fetch(_FACTS, keys, after), "wallet_id")
            assert all(len(rows) <= MAX_FOLD for rows in entries.values()), "rows were left out"
            pairs = _grouped(await connection.fetch(_PAIRS, keys), "wallet_id")
            restrictions = await connection.fetch(_RESTRICTIONS, keys, after)
        restricted = _grouped(restrictions, "wallet_id")
        return {
            key: Stored(
                snapshots[key][1] if key in snapshots else None,
                seq,
                [
                    *self._in_order(entries[key], pairs[key]),
                    # Nothing that they change is changed by entries, or the other way round.
                    *map(restriction_of, restricted[key]),
                ],
            )
            for key, seq in zip(keys, after, strict=True)
        }

    async def _read_snapshots(
        self, connection: asyncpg.Connection, keys: Sequence[int]
    ) -> dict[int, tuple[int, bytes]]:
        snapshots = {
            row["wallet_id"]: (row["seq"], row["state"])
            for row in await connection.fetch(_SNAPSHOTS, keys)
        }
        for row in await connection.fetch(_NEWEST, keys):
            key, newest = row["id"], row["seq"] or 0
            if newest - snapshots.get(key, (0, b""))[0] > MAX_FOLD:
                snapshots[key] = await rebuild_snapshot(connection, key)
                self._snapshots[key] = snapshots[key]
        return snapshots

    def _in_order(self, entries: list[Any], pairs: list[Any]) -> list[Entry | SeedPairIssued]:
        facts: list[Entry | SeedPairIssued] = [entry_of(row) for row in entries]
        for pair in pairs:
            issued = pair_of(self._vault, pair)
            at = bisect_right(facts, issued.after_seq, key=lambda fact: cast(Entry, fact).seq)
            facts.insert(at, issued)
        return facts

    async def find(self, _kind: Kind, key: int, request_id: UUID) -> Entry | None:
        """The committed entry with this request id."""
        async with borrow(self._pool) as connection:
            row = await connection.fetchrow(_FIND, key, request_id)
        return None if row is None else entry_of(row)

    def put_snapshot(self, _kind: Kind, key: int, version: int, snapshot: bytes) -> None:
        """Write the snapshot some time soon; dropped where too many wait already."""
        if key in self._snapshots or len(self._snapshots) < MAX_SNAPSHOTS:
            self._snapshots[key] = (version, snapshot)

    async def flush_snapshots(self) -> None:
        """Write those that wait now. A failure drops them, with a warning."""
        while self._snapshots:
            keys = list(self._snapshots)[:SNAPSHOT_BATCH]
            taken = [(key, *self._snapshots.pop(key)) for key in keys]
            try:
                async with borrow(self._pool) as connection:
                    await connection.execute(_PUT_SNAPSHOTS, *map(list, zip(*taken, strict=True)))
            except (Failure, asyncpg.PostgresError) as error:
                log.warning("%d snapshots were dropped: %r", len(taken), error)
                return


def _grouped(rows: Sequence[Any], column: str) -> dict[int, list[Any]]:
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row[column]].append(row)
    return grouped
