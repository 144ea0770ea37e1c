"""Databases for tests, each a copy of one migrated template."""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.postmaster import Postmaster

TEMPLATE = "pitboss_template"
# Files that live in memory, where the system has such a folder.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder in it has a name of its own
# A server's log may grow to 2 GB, and a database is a few MB: room for it and for others beside it.
_ROOM_BYTES: Final = 4 * 2**30


def named(server_url: str, database: str) -> str:
    """Return the DSN of another database on the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder for a server that need not survive: in memory if there is room, else `otherwise`.

    Each test makes and removes a database of hundreds of files. On a disk (ext4) a file takes the
    longer to make the more of them were removed a moment ago.
    """
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        yield otherwise
        return
    with tempfile.TemporaryDirectory(prefix="pitboss-", dir=_MEMORY) as folder:
        yield Path(folder)


# Waits for a line, and gets none but the end of its input when its parent is gone.
_WATCH: Final = """
    read line && exit
    kill -INT "$0"
    while kill -0 "$0"; do sleep 0.1; done 2> /dev/null
    rm -rf "$1"
"""


@contextmanager
def stopped_with_us(server: EmbeddedPostgres) -> Iterator[None]:
    """Have a server stopped and its folder removed even if this process is killed.

    An embedded server outlives its process on purpose; that of a test run would stay for ever.
    """
    found = Postmaster.find(server.cluster)
    assert found is not None
    watch = ["sh", "-c", _WATCH, str(found.pid), str(server.data_dir)]
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
