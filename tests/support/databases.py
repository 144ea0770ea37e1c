"""Databases for tests, each a copy of one migrated template."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from storage.migrate import migrate
from storage.postmaster import Postmaster

TEMPLATE = "pitboss_template"


def named(server_url: str, database: str) -> str:
    """Return the DSN of another database on the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


@contextmanager
def stopped_with_us(cluster: Path) -> Iterator[None]:
    """Have the server of a cluster stopped even if this process is killed.

    An embedded server outlives its process on purpose; that of a test run would stay for ever. The
    shell waits for a line, and gets none but the end of its input when we are gone.
    """
    found = Postmaster.find(cluster)
    assert found is not None
    watch = ["sh", "-c", 'read line || kill -INT "$0"', str(found.pid)]
    watcher = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        watcher.communicate(b"all is well\n")


async def create_template(server_url: str) -> None:
    """Create and migrate the database that the tests' databases are copied from."""
    await _execute(server_url, f"CREATE DATABASE {TEMPLATE}")
    await migrate(named(server_url, TEMPLATE))


@asynccontextmanager
async def fresh_database(server_url: str, *, template: str = TEMPLATE) -> AsyncIterator[str]:
    """Yield the DSN of a new database, which is dropped afterwards with whoever is connected."""
    name = f"test_{uuid4().hex}"
    # Copied file by file: through the log and the buffers it costs twice as much, and the drop too.
    copied = f"TEMPLATE {template} STRATEGY file_copy"
    await _execute(server_url, f"CREATE DATABASE {name} {copied}")
    try:
        yield named(server_url, name)
    finally:
        await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
