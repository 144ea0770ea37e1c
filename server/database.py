"""The database that a process works with: the one that is set, or the embedded one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from server.settings import Settings
from storage.embedded import EmbeddedPostgres


class Database(NamedTuple):
    """Where PostgreSQL is, and the embedded one if it is ours."""

    dsn: str
    embedded: EmbeddedPostgres | None


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Database]:
    """PostgreSQL: the one that is set, or the embedded one for as long as it is needed."""
    if settings.database_url is not None:
        yield Database(settings.database_url, None)
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        yield Database(await embedded.start(), embedded)
    finally:
        await embedded.stop()
