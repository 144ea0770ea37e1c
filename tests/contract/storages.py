"""The two storages that the suites run on, behind one face."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import asyncpg

from actors.runtime.hydration import NOTHING
from actors.runtime.ports import Locks, Outbox, Store
from storage.lane import Connect
from storage.locks import PostgresLocks
from storage.outbox import PostgresOutbox
from storage.rows import tables
from storage.vault import Vault
from storage.wallets import WalletStore
from storage.writer import Connector
from tests.support.memory import (
    Fate,
    Fault,
    MemoryConnector,
    MemoryLocks,
    MemoryOutbox,
    MemoryStore,
    Weather,
)
from tests.support.memory_database import MemoryDatabase
from tests.support.wallets import KIND


class FlushedStore(Store, Protocol):
    """A store whose write-behind a test can hurry."""

    async def flush_snapshots(self) -> None: ...


class FlushedOutbox(Outbox, Protocol):
    """An outbox whose deletes a test can hurry."""

    async def flush(self) -> None: ...


class Storage(Protocol):
    """A database, as far as the suites need it. Each call makes what one process would have."""

    def connector(self, member: str = "") -> Connect: ...

    def store(self) -> FlushedStore: ...

    def outbox(self, owned: Callable[[], Collection[int]]) -> FlushedOutbox: ...

    def locks(self) -> Locks: ...

    async def end_backends(self) -> None:
        """End the connections of all lanes from the server's side."""

    def obstructed(self) -> AbstractAsyncContextManager[None]:
        """For a while, writes fail for a passing reason."""


class Blockable(Weather):
    """Weather in which a test can make writes fail. They take as long as those of many rows."""

    blocked = False

    def write(self) -> Fate:
        return Fate(Fault.TRANSIENT if self.blocked else Fault.NONE, request_s=0.01)

    def lock(self) -> Fate:
        return Fate()


class InMemory:
    """The twin."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.weather = Blockable()

    def connector(self, member: str = "") -> Connect:
        return MemoryConnector(self.database, self.weather, member)

    def store(self) -> FlushedStore:
        return MemoryStore(self.database, self.weather)

    def outbox(self, owned: Callable[[], Collection[int]]) -> FlushedOutbox:
        return MemoryOutbox(self.database, owned, self.weather, now_ms)

    def locks(self) -> Locks:
        return MemoryLocks(self.database, self.weather)

    async def end_backends(self) -> None:
        self.database.end_all()

    @asynccontextmanager
    async def obstructed(self) -> AsyncIterator[None]:
        self.weather.blocked = True
        yield
        self.weather.blocked = False


class InPostgres:
    """The real one."""

    def __init__(self, dsn: str, pool: asyncpg.Pool) -> None:
        self.dsn = dsn
        self.pool = pool
        self.vault = Vault(bytes(32))

    def connector(self, member: str = "") -> Connect:
        return Connector(self.dsn, tables(self.vault), member)

    def store(self) -> FlushedStore:
        return WalletStore(self.pool, self.vault)

    def outbox(self, owned: Callable[[], Collection[int]]) -> FlushedOutbox:
        return PostgresOutbox(self.pool, owned)

    def locks(self) -> Locks:
        return PostgresLocks(self.pool)

    async def end_backends(self) -> None:
        await self.pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name like 'pitboss-lane-%'"
        )

    @asynccontextmanager
    async def obstructed(self) -> AsyncIterator[None]:
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("lock table wallet_entries in access exclusive mode")
            yield


def now_ms() -> int:
    """The time that rows carry."""
    return int(time.time() * 1_000)


async def contents(storage: Storage, wallet_ids: Sequence[int]) -> dict[int, list[Any]]:
    """The committed facts of wallets, in order."""
    stored = await storage.store().hydrate(KIND, wallet_ids)
    return {key: list(stored.get(key, NOTHING).facts) for key in wallet_ids}
