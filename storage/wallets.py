"""Wallets read back from PostgreSQL, and their snapshots written behind."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from actors.kind import Kind
from actors.runtime.ports import NOT_YET, Stored
from actors.wallet.facts import Entry, RestrictionSet, SeedPairIssued
from actors.wallet.state import SNAPSHOT_FORMAT, newest_restriction
from protocol.errors import Failure
from storage.borrow import borrow
from storage.rebuild import with_restrictions
from storage.rebuilder import Rebuilder
from storage.rows import ENTRY_COLUMNS, entry_of, pair_of, restriction_of
from storage.vault import Vault

log = logging.getLogger(__name__)

# Snapshots that wait to be written, 17 kB each at most. More are dropped: they only save time when
# their wallets are read back.
MAX_SNAPSHOTS: Final = 2_000
# Snapshots in one statement: under two megabytes.
SNAPSHOT_BATCH: Final = 100

# Rows that are folded one by one at hydration: five times the distance of snapshots, and a whole
# batch of such wallets is read within its time-out. A wallet with more since its snapshot has lost
# some, and one is made for it in the background.
MAX_FOLD: Final = 5_000
# Restrictions since a snapshot that a read puts up with: a day's. Entries bring new snapshots by
# themselves, and who changes limits only has none.
MAX_RESTRICTIONS: Final = 100

_ENTRIES: Final = ", ".join(f"e.{column}" for column in ENTRY_COLUMNS)

_NEWEST = """
    select w.id, (
        select seq from wallet_entries where wallet_id = w.id order by seq desc limit 1
    ) as seq, (
        select number from wallet_restrictions where wallet_id = w.id order by number desc limit 1
    ) as restriction
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
_RESTRICTIONS = f"""
    select r.* from unnest($1::bigint[], $2::integer[]) as w (id, after)
    cross join lateral (
        select * from wallet_restrictions
        where wallet_id = w.id and number > w.after order by number limit {MAX_FOLD + 1}
    ) r
    order by r.wallet_id, r.number
"""  # noqa: S608 - the limit is ours
_FIND = f"""
    select {_ENTRIES} from wallet_entries e where e.wallet_id = $1 and e.request_id = $2
"""  # noqa: S608 - the column names are ours
_PUT_SNAPSHOTS = f"""
    insert into wallet_snapshots (wallet_id, seq, state, format)
    select wallet_id, seq, state, {SNAPSHOT_FORMAT}
    from unnest($1::bigint[], $2::bigint[], $3::bytea[]) as made (wallet_id, seq, state)
    on conflict (wallet_id) do update
    set seq = excluded.seq, state = excluded.state, format = excluded.format
    where wallet_snapshots.seq <= excluded.seq or wallet_snapshots.format < excluded.format
"""  # noqa: S608 - the number is ours


_WALLET: Final = itemgetter("wallet_id")
_SEQ: Final = itemgetter("seq")


class _Snapshot(NamedTuple):
    """A wallet up to an entry and a restriction; None is one without any."""

    state: bytes | None = None
    seq: int = 0
    restriction: int = 0


class _Facts:
    """What follows a wallet's snapshot, in order; entries are made of rows as they are looked at.

    What restrictions change is changed by nothing else, nor anything else by them.
    """

    def __init__(
        self,
        entries: list[Any],
        pair: SeedPairIssued | None,
        restrictions: list[RestrictionSet],
    ) -> None:
        self._entries = entries
        self._pair = pair
        self._restrictions = restrictions

    def __iter__(self) -> Iterator[Entry | SeedPairIssued | RestrictionSet]:
        entries, pair = self._entries, self._pair
        if pair is None:
            yield from map(entry_of, entries)
        else:
            at = bisect_right(entries, pair.after_seq, key=_SEQ)
            yield from map(entry_of, entries[:at])
            yield pair
            yield from map(entry_of, entries[at:])
        yield from self._restrictions


class WalletStore:
    """The committed rows of wallets, for the runtime's reads.

    Every read may raise Failure `storage_unavailable`.
    """

    def __init__(self, pool: asyncpg.Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault
        self._snapshots: dict[int, tuple[int, bytes]] = {}
        self._rebuilder = Rebuilder(pool, self._keep)

    async def hydrate(self, _kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        """All wallets of `keys`, each as its snapshot and the facts after it, in order.

        One with too many rows to fold is NOT_YET, until it was rebuilt in the background.
        """
        async with borrow(self._pool) as connection:
            snapshots, behind = await _read_snapshots(connection, keys)
            if not behind:
                return await self._read(connection, snapshots)
        await self._rebuilder.rebuild(behind)
        async with borrow(self._pool) as connection:
            snapshots, behind = await _read_snapshots(connection, keys)
            for key in behind:
                del snapshots[key]
            return {**await self._read(connection, snapshots), **dict.fromkeys(behind, NOT_YET)}

    async def _read(
        self, connection: asyncpg.pool.PoolConnectionProxy, snapshots: dict[int, _Snapshot]
    ) -> dict[int, Stored]:
        keys, after = list(snapshots), [snapshot.seq for snapshot in snapshots.values()]
        restricted = [snapshot.restriction for snapshot in snapshots.values()]
        entries = await connection.fetch(_FACTS, keys, after)
        pairs = {row["wallet_id"]: row for row in await connection.fetch(_PAIRS, keys)}
        restrictions = await connection.fetch(_RESTRICTIONS, keys, restricted)
        return {
            key: self._stored(
                key, snapshot, _part(entries, key), pairs.get(key), _part(restrictions, key)
            )
            for key, snapshot in snapshots.items()
        }

    def _stored(
        self,
        key: int,
        snapshot: _Snapshot,
        entries: list[Any],
        pair: Any | None,
        restrictions: list[Any],
    ) -> Stored:
        assert len(entries) <= MAX_FOLD, "rows were left out"
        state, restricted = snapshot.state, [restriction_of(row) for row in restrictions]
        if len(restricted) > MAX_RESTRICTIONS:
            state = with_restrictions(key, state, restricted)
            self._put(key, snapshot.seq, state)
            restricted = []
        issued = None if pair is None else pair_of(self._vault, pair)
        return Stored(state, snapshot.seq, _Facts(entries, issued, restricted))

    async def find(self, _kind: Kind, key: int, request_id: UUID) -> Entry | None:
        """The committed entry with this request id."""
        async with borrow(self._pool) as connection:
            row = await connection.fetchrow(_FIND, key, request_id)
        return None if row is None else entry_of(row)

    def put_snapshot(self, _kind: Kind, key: int, version: int, snapshot: bytes) -> None:
        """Write the snapshot some time soon; dropped where too many wait already."""
        self._put(key, version, snapshot)

    def _put(self, key: int, version: int, snapshot: bytes) -> None:
        if key in self._snapshots or len(self._snapshots) < MAX_SNAPSHOTS:
            self._snapshots[key] = (version, snapshot)

    async def _keep(self, key: int, seq: int, snapshot: bytes) -> None:
        """Write a snapshot now, so that the next read finds it."""
        async with borrow(self._pool) as connection:
            await connection.execute(_PUT_SNAPSHOTS, [key], [seq], [snapshot])

    def close(self) -> None:
        """Leave off rebuilding."""
        self._rebuilder.close()

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


async def _read_snapshots(
    connection: asyncpg.pool.PoolConnectionProxy, keys: Sequence[int]
) -> tuple[dict[int, _Snapshot], list[int]]:
    """The snapshots of `keys`, and which of them have too many rows since."""
    snapshots = dict.fromkeys(keys, _Snapshot())
    for row in await connection.fetch(_SNAPSHOTS, keys):
        state = row["state"]
        snapshots[row["wallet_id"]] = _Snapshot(state, row["seq"], newest_restriction(state))
    behind = []
    for row in await connection.fetch(_NEWEST, keys):
        snapshot = snapshots[row["id"]]
        entries = (row["seq"] or 0) - snapshot.seq
        restrictions = (row["restriction"] or 0) - snapshot.restriction
        if max(entries, restrictions) > MAX_FOLD:
            behind.append(row["id"])
    return snapshots, behind


def _part(rows: list[Any], wallet_id: int) -> list[Any]:
    """Those of one wallet, of rows in the order of wallets: there may be tens of thousands."""
    first = bisect_left(rows, wallet_id, key=_WALLET)
    return rows[first : bisect_right(rows, wallet_id, key=_WALLET)]
