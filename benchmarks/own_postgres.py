"""An embedded PostgreSQL of a benchmark's own, of which nothing stays behind."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.interrupts import sigterm_interrupts
from storage.embedded import EmbeddedPostgres, EmbeddedPostgresError
from storage.postmaster import Postmaster, clear_remains, socket_dir, wait_until_deserted


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for all that a benchmark stores, removed afterwards, SIGTERM or not."""
    # PostgreSQL's last words may come into it while it is removed; that is no reason to fail.
    with (
        sigterm_interrupts(),
        tempfile.TemporaryDirectory(prefix="pitboss-bench-", ignore_cleanup_errors=True) as folder,
    ):
        yield Path(folder)


@asynccontextmanager
async def own_postgres(data_dir: Path) -> AsyncIterator[str]:
    """Run the PostgreSQL of a data folder, whose DSN this is; it has ended afterwards.

    Raises:
        EmbeddedPostgresError: It does not start.
    """
    postgres = EmbeddedPostgres(data_dir)
    starting = asyncio.create_task(postgres.start())
    try:
        # A thread starts it, which an interrupt does not stop: it is waited for below.
        yield await asyncio.shield(starting)
    finally:
        await asyncio.wait([starting])
        if starting.exception() is None:
            await postgres.stop()
        await clear_away(data_dir)


async def clear_away(data_dir: Path) -> None:
    """End a PostgreSQL that was left running in a folder, and remove its socket's folder.

    Harmless if there is none. What does not end is named on stderr: this is the last step of what
    may have failed already, and must not hide why.
    """
    try:
        await asyncio.to_thread(_clear_away, data_dir / "postgres")
    except EmbeddedPostgresError as error:
        sys.stderr.write(f"{error}\n")


def _clear_away(cluster: Path) -> None:
    sockets = socket_dir(cluster)
    postmaster = Postmaster.find(cluster)
    if postmaster is None:
        clear_remains(cluster)
    else:
        postmaster.shut_down()
    wait_until_deserted(cluster)
    if sockets is not None:
        shutil.rmtree(sockets, ignore_errors=True)
