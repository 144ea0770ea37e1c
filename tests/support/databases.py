"""Databases for tests, each a copy of one migrated template."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from storage.migrate import migrate

TEMPLATE = "pitboss_template"


def named(server_url: str, database: str) -> str:
    """Return the DSN of another database on the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


async def create_template(server_url: str) -> None:
    """Create and migrate the database that the tests' databases are copied from."""
    await _execute(server_url, f"CREATE DATABASE {TEMPLATE}")
    await migrate(named(server_url, TEMPLATE))


@asynccontextmanager
async def fresh_database(server_url: str, *, template: str = TEMPLATE) -> AsyncIterator[str]:
    """Yield the DSN of a new database, which is dropped afterwards with whoever is connected."""
    name = f"test_{uuid4().hex}"
    await _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
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
