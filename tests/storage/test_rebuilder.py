"""Wallets with too many rows to fold are rebuilt behind the reads, and nobody else waits for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from actors.runtime.ports import NOT_YET, Stored
from actors.wallet.state import WalletState
from protocol.errors import STORAGE_UNAVAILABLE, Failure
from storage import rebuilder
from storage.borrow import borrow
from storage.rebuild import Lend, rebuild_snapshot
from storage.vault import Vault
from storage.wallets import WalletStore
from tests.support.wallets import KIND

LONG, OTHER, NEW = 1, 2, 3
ROWS = 40
SLICE = 10
LIMIT_S = 30

# A deposit of one each: what stands after a row is its number.
FILL = """
    insert into wallet_entries
    select $1, seq, 'PLAY', 'deposit', 1, 0, seq, 0, null, gen_random_uuid(), 0
    from generate_series(1, $2::bigint) as seq
"""
RESTRICT = """
    insert into wallet_restrictions
    select $1, number, 0, 'stake', 'day', 'PLAY', number, number, null, number
    from generate_series($2::integer, $3::integer) as number
"""


class Gate:
    """Rebuilding, which waits while the gate is shut. `error` is what it fails with."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun: list[int] = []
        self.error: Exception | None = None

    async def __call__(self, lend: Lend, wallet_id: int) -> tuple[int, bytes]:
        self.begun.append(wallet_id)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return await rebuild_snapshot(lend, wallet_id)


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a database with a long wallet and a short one."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as connections:
        await connections.execute(FILL, LONG, ROWS)
        await connections.execute(FILL, OTHER, 5)
        yield connections


@pytest.fixture
def store(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> WalletStore:
    """A store that folds ten rows, and waits for no rebuilding."""
    monkeypatch.setattr("storage.wallets.MAX_FOLD", SLICE)
    monkeypatch.setattr("storage.rebuild.SLICE", SLICE)
    monkeypatch.setattr("storage.rebuilder.PATIENCE_S", 0)
    return WalletStore(pool, Vault(bytes(32)))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The gate before all rebuilding, shut."""
    made = Gate()
    monkeypatch.setattr("storage.rebuilder.rebuild_snapshot", made)
    return made


def folded(wallet_id: int, stored: Stored) -> WalletState:
    state: WalletState = KIND.restore(wallet_id, stored.snapshot)
    for fact in stored.facts:
        KIND.apply(state, fact)
    return state


async def read(store: WalletStore, *wallet_ids: int) -> dict[int, WalletState]:
    """Wallets as they are once all of them can be read."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            stored = await store.hydrate(KIND, wallet_ids)
            if NOT_YET not in stored.values():
                return {key: folded(key, one) for key, one in stored.items()}
            await asyncio.sleep(0.001)


async def rebuilt(store: WalletStore) -> None:
    """Wait for all that is rebuilt now."""
    tasks = store._rebuilder._tasks.values()
    if tasks:
        await asyncio.wait(tasks, timeout=LIMIT_S)


async def test_a_long_wallet_is_put_off_alone_until_it_is_rebuilt(
    store: WalletStore, gate: Gate, pool: asyncpg.Pool
) -> None:
    for _ in range(2):
        stored = await store.hydrate(KIND, [LONG, OTHER, NEW])
        assert stored.pop(LONG) is NOT_YET
        assert [folded(key, one).seq for key, one in stored.items()] == [5, 0]
    assert gate.begun == [LONG], "once, however often it is asked for"
    gate.open.set()
    await rebuilt(store)
    states = await read(store, LONG, OTHER)
    assert (states[LONG].seq, states[LONG].balance("PLAY").available) == (ROWS, ROWS)
    assert gate.begun == [LONG], "the snapshot is there for whoever comes next"
    assert (
        await pool.fetchval("select seq from wallet_snapshots where wallet_id = $1", LONG) == ROWS
    )


async def test_a_read_waits_for_a_wallet_that_is_rebuilt_at_once(
    store: WalletStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.rebuilder.PATIENCE_S", LIMIT_S)
    stored = await store.hydrate(KIND, [LONG, OTHER])
    assert [folded(key, one).seq for key, one in stored.items()] == [ROWS, 5]


async def test_so_many_are_rebuilt_at_once_and_the_others_when_they_come_again(
    store: WalletStore, gate: Gate, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.rebuilder.MAX_REBUILDS", 3)
    wallets = range(11, 19)
    for wallet_id in wallets:
        await pool.execute(FILL, wallet_id, ROWS)
    for _ in range(2):
        stored = await store.hydrate(KIND, wallets)
        assert list(stored.values()) == [NOT_YET] * len(wallets)
    assert gate.begun == [11, 12, 13]
    gate.open.set()
    await rebuilt(store)
    states = await read(store, *wallets)
    assert {state.seq for state in states.values()} == {ROWS}


async def test_a_few_take_turns_and_the_others_wait_in_line(
    store: WalletStore, gate: Gate, pool: asyncpg.Pool
) -> None:
    wallets = range(11, 11 + 2 * rebuilder.TAKE_TURNS)
    for wallet_id in wallets:
        await pool.execute(FILL, wallet_id, ROWS)
    await store.hydrate(KIND, wallets)
    assert gate.begun == [*wallets[: rebuilder.TAKE_TURNS]]
    gate.open.set()
    await rebuilt(store)
    assert gate.begun == [*wallets]


@pytest.mark.parametrize("error", [Failure(STORAGE_UNAVAILABLE), AssertionError("a broken row")])
async def test_a_rebuilding_that_fails_is_begun_again(
    store: WalletStore, gate: Gate, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    gate.error = error
    gate.open.set()
    assert (await store.hydrate(KIND, [LONG]))[LONG] is NOT_YET
    await rebuilt(store)
    assert "wallet 1" in caplog.text
    gate.error = None
    assert (await read(store, LONG))[LONG].seq == ROWS


@pytest.mark.usefixtures("gate")
async def test_a_store_that_closes_leaves_off(store: WalletStore) -> None:
    await store.hydrate(KIND, [LONG])
    (task,) = store._rebuilder._tasks.values()
    store.close()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not store._rebuilder._tasks


async def test_one_connection_is_used_at_a_time(
    store: WalletStore, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []

    class Counted:
        def __init__(self, _pool: asyncpg.Pool) -> None:
            self._borrowed = borrow(_pool)

        async def __aenter__(self) -> Any:
            at_once.append(1)
            assert sum(at_once) == 1, "another one is under way"
            return await self._borrowed.__aenter__()

        async def __aexit__(self, *error: Any) -> None:
            await self._borrowed.__aexit__(*error)
            at_once.append(-1)

    monkeypatch.setattr("storage.rebuilder.borrow", Counted)
    await pool.execute(FILL, NEW, ROWS)
    await read(store, LONG, NEW)
    # On a slow machine the read does not wait for all of it.
    while store._rebuilder._tasks:
        await asyncio.sleep(0.01)
    assert sum(at_once) == 0
    assert len(at_once) / 2 > 2 * 2 * ROWS / SLICE, "slices of two passes over both"


# Restrictions: a wallet that plays nothing has no entries that would bring it a snapshot.


async def test_restrictions_are_read_once(store: WalletStore, pool: asyncpg.Pool) -> None:
    await pool.execute(FILL, NEW, 3)
    await pool.execute(RESTRICT, NEW, 1, 5)
    state = (await read(store, NEW))[NEW]
    store.put_snapshot(KIND, NEW, state.seq, KIND.snapshot(state))
    await store.flush_snapshots()
    await pool.execute(RESTRICT, NEW, 6, 7)
    stored = (await store.hydrate(KIND, [NEW]))[NEW]
    assert [fact.number for fact in stored.facts] == [6, 7]


@pytest.mark.parametrize("entries", [0, 3])
async def test_many_restrictions_bring_a_snapshot(
    store: WalletStore, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    monkeypatch.setattr("storage.wallets.MAX_RESTRICTIONS", 4)
    await pool.execute(FILL, NEW, entries)
    for number in range(1, 40):
        await pool.execute(RESTRICT, NEW, number, number)
        stored = (await store.hydrate(KIND, [NEW]))[NEW]
        assert len(list(stored.facts)) <= 4 + entries
        state = folded(NEW, stored)
        assert state.restrictions is not None
        assert (state.restrictions.number, state.seq) == (number, entries)
        assert state.restrictions.limit("stake", "day", "PLAY", 1_000).amount_minor == number
        await store.flush_snapshots()


async def test_a_wallet_with_more_restrictions_than_a_read_takes_is_rebuilt(
    store: WalletStore, gate: Gate, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.rebuild.RESTRICTIONS_TOGETHER", 7)
    await pool.execute(RESTRICT, NEW, 1, 3 * SLICE)
    assert (await store.hydrate(KIND, [NEW]))[NEW] is NOT_YET
    gate.open.set()
    restrictions = (await read(store, NEW))[NEW].restrictions
    assert restrictions is not None
    assert restrictions.number == 3 * SLICE


async def test_a_broken_snapshot_keeps_nobody_else_from_being_read(
    store: WalletStore, pool: asyncpg.Pool
) -> None:
    store.put_snapshot(KIND, OTHER, 5, b"\x00")
    await store.flush_snapshots()
    await pool.execute(FILL, NEW, 3)
    stored = await store.hydrate(KIND, [OTHER, NEW])
    assert folded(NEW, stored[NEW]).seq == 3
    with pytest.raises(msgspec.ValidationError):
        folded(OTHER, stored[OTHER])
