"""A change of the key: all is sealed anew, in steps, while wallets are read and written."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from actors.crash.chain import Chain
from actors.runtime.ports import Stored
from storage import chains, reseal
from storage.audit import audit
from storage.reseal import Progress
from storage.rows import PAIR_COLUMNS, pair_row
from storage.vault import Vault, WrongKeyError
from storage.wallets import WalletStore
from tests.audit.ledger import ALICE, BOB, CAROL, KEY, played, store
from tests.contract.test_writer import pair
from tests.support.wallets import KIND

NEW = bytes(range(1, 33))
LATER = bytes(range(2, 34))
BOTH = Vault(NEW, KEY)
TABLE = 1


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database with a played ledger and a fixed chain, sealed with KEY."""
    await store(database_url, played())
    opened = await asyncpg.connect(database_url)
    await chains.ensure_trial_chain(opened, Vault(KEY), TABLE, 1, 3_500)
    yield opened
    await opened.close()


async def sealed(connection: asyncpg.Connection) -> list[bytes]:
    rows = await connection.fetch(
        "select sealed_server_seed as sealed from wallet_seed_pairs"
        " union all select sealed_hash from crash_chain_links order by 1"
    )
    return [row["sealed"] for row in rows]


async def resealed(connection: asyncpg.Connection, vault: Vault = BOTH) -> Progress:
    last = Progress(0, 0)
    async for progress in reseal.reseal(connection, vault):
        assert progress.seen > last.seen
        last = progress
    return last


async def chain(connection: asyncpg.Connection, vault: Vault) -> Chain:
    (found,) = await chains.read_chains(connection, vault, TABLE)
    return found


@pytest.mark.parametrize("batch", [1, 2, 1_000])
async def test_afterwards_the_old_key_is_not_needed(
    connection: asyncpg.Connection,
    database_url: str,
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reseal, "BATCH", batch)
    before = await sealed(connection)
    links = (await chain(connection, Vault(KEY))).links

    rows = await reseal.sealed_rows(connection)
    assert rows == len(before) > 8
    assert await resealed(connection) == Progress(rows, rows)
    assert not set(before) & set(await sealed(connection))
    report = await audit(database_url, Vault(NEW))
    assert report.findings == []
    assert report.seed_pairs == rows - len(links)
    assert (await chain(connection, Vault(NEW))).links == links
    assert not (await audit(database_url, Vault(KEY))).clean


async def test_a_second_time_there_is_nothing_to_do(connection: asyncpg.Connection) -> None:
    first = await resealed(connection)
    after = await sealed(connection)

    assert await resealed(connection) == Progress(first.seen, 0)
    assert await sealed(connection) == after
    # Nor with the new key alone.
    assert await resealed(connection, Vault(NEW)) == Progress(first.seen, 0)


async def test_what_was_interrupted_goes_on(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reseal, "BATCH", 2)
    async with aclosing(reseal.reseal(connection, BOTH)) as steps:
        assert await anext(steps) == Progress(2, 2)
        assert await anext(steps) == Progress(4, 4)

    rows = await reseal.sealed_rows(connection)
    assert await resealed(connection) == Progress(rows, rows - 4)


async def read(wallets: WalletStore, keys: list[int]) -> dict[int, Stored]:
    """What is stored of wallets, as something that compares."""
    stored = await wallets.hydrate(KIND, keys)
    return {key: one._replace(facts=list(one.facts)) for key, one in stored.items()}


async def test_wallets_are_read_and_written_meanwhile(
    connection: asyncpg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reseal, "BATCH", 1)
    keys = [ALICE, BOB, CAROL]
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        before = await read(WalletStore(pool, Vault(KEY)), keys)
        node = WalletStore(pool, BOTH)
        wallet_id = 100
        async for _ in reseal.reseal(connection, BOTH):
            assert await read(node, keys) == before
            wallet_id += 1
            row = pair_row(BOTH, pair(wallet_id, 1))
            await pool.copy_records_to_table(
                "wallet_seed_pairs", records=[row], columns=PAIR_COLUMNS
            )
            if wallet_id > 110:
                break
        await resealed(connection)
        after = WalletStore(pool, Vault(NEW))
        assert await read(after, keys) == before
        assert (await read(after, [wallet_id]))[wallet_id].facts == [pair(wallet_id, 1)]


class Overtaken:
    """A connection whose first rows are changed by another one before they are written back."""

    def __init__(self, connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
        self._connection = connection
        self._other = other
        self.execute = connection.execute
        self.after: list[bytes] | None = None

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._connection.fetch(query, *arguments)
        if self.after is None:
            await resealed(self._other)
            self.after = await sealed(self._other)
        return rows


async def test_two_at_once_do_no_harm(connection: asyncpg.Connection, database_url: str) -> None:
    """What was changed since it was read is left as it is."""
    other = await asyncpg.connect(database_url)
    overtaken = Overtaken(connection, other)
    progress = await resealed(overtaken)
    await other.close()

    assert progress.renewed > 0
    assert await sealed(connection) == overtaken.after


async def test_another_key_changes_nothing(connection: asyncpg.Connection) -> None:
    before = await sealed(connection)
    for vault in (Vault(NEW), Vault(NEW, LATER)):
        with pytest.raises(WrongKeyError, match="wallet_seed_pairs/1/1 does not open"):
            await resealed(connection, vault)
    assert await sealed(connection) == before


async def test_keys_can_be_changed_again(connection: asyncpg.Connection, database_url: str) -> None:
    await resealed(connection)
    progress = await resealed(connection, Vault(LATER, NEW))

    assert progress.renewed == progress.seen
    assert (await audit(database_url, Vault(LATER))).clean


async def test_a_wrong_key_is_found_before_anybody_plays(
    connection: asyncpg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reseal, "BATCH", 2)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        for vault in (Vault(KEY), BOTH):
            await reseal.check_key(pool, vault)
        with pytest.raises(WrongKeyError):
            await reseal.check_key(pool, Vault(NEW))
        async with aclosing(reseal.reseal(connection, BOTH)) as steps:
            await anext(steps)
        # The first rows open with the new key alone, the last ones do not.
        with pytest.raises(WrongKeyError):
            await reseal.check_key(pool, Vault(NEW))
        await resealed(connection)
        await reseal.check_key(pool, Vault(NEW))


async def test_an_empty_database_opens_with_any_key(database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        await reseal.check_key(pool, Vault(NEW))
