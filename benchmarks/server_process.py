"""A Pitboss server in a process of its own, on an embedded PostgreSQL that syncs to disk."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp

from benchmarks.own_postgres import own_folder, own_postgres

SERVE: Final = ("-m", "server", "serve")

ROOT: Final = Path(__file__).parents[1]
_START_LIMIT_S: Final = 30.0
# Its own limits on a shutdown add up to less.
_STOP_LIMIT_S: Final = 60.0
# Its sockets are gone a moment before its exit code is known.
_END_SEEN_S: Final = 1.0

# One address places all the bets here; what stops that in real life would be measured otherwise.
SETTINGS: Final = {
    "PITBOSS_BETS_PER_SECOND": "100000",
    "PITBOSS_COMMANDS_PER_SECOND": "10000",
    "PITBOSS_SIGN_INS_PER_MINUTE": "100000",
    "PITBOSS_MAX_CONNECTIONS_PER_IP": "20000",
    "PITBOSS_MAX_CONNECTIONS_PER_USER": "20000",
    "PITBOSS_GUEST_ACCOUNTS": "true",
    "PITBOSS_FAUCET_ENABLED": "true",
    "PITBOSS_DEMO_PLAYER": "false",
    "PITBOSS_CRASH_TABLES": "[]",
    "PITBOSS_LOG_LEVEL": "warning",
}


class ServerError(Exception):
    """The server did not start, or did not end in good order."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and what is known of its process and its database.

    `environment` has the settings that its own commands need to work on the same data.
    """

    url: str
    pid: int | None
    database_url: str | None
    data_dir: Path | None
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Storage:
    """An embedded PostgreSQL on fresh data, and the settings of a server on it."""

    database_url: str
    data_dir: Path
    environment: Mapping[str, str]


@asynccontextmanager
async def own_server() -> AsyncIterator[Server]:
    """Start PostgreSQL and Pitboss with fresh data, and remove all of it afterwards.

    Raises:
        ServerError: It did not start, or ended with an exit code other than 0.
    """
    async with own_storage() as storage, serving(storage) as server:
        yield server


@asynccontextmanager
async def own_storage() -> AsyncIterator[Storage]:
    """Start PostgreSQL with fresh data, for one server after another, and remove it afterwards."""
    with own_folder() as data_dir:
        async with own_postgres(data_dir / "data") as database_url:
            server_dir = str(data_dir / "server")
            environment = {"DATABASE_URL": database_url, "PITBOSS_DATA_DIR": server_dir}
            yield Storage(database_url, data_dir, environment)


@asynccontextmanager
async def serving(
    storage: Storage,
    settings: Mapping[str, str] = MappingProxyType({}),
    command: Sequence[str] = SERVE,
) -> AsyncIterator[Server]:
    """Run a server on a database: `command` is what Python runs, `settings` come on top of all.

    Raises:
        ServerError: It did not start, or ended with an exit code other than 0.
    """
    port = free_port()
    environment = {**SETTINGS, **storage.environment, **settings, "PITBOSS_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        cwd=ROOT,
        env={**foreign_environment(), **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await until_ready(url, process)
        yield Server(url, process.pid, storage.database_url, storage.data_dir, storage.environment)
    except aiohttp.ClientConnectionError as error:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SEEN_S):
                await process.wait()
        if process.returncode is None:
            raise
        raise ServerError(f"the server ended by itself, with {process.returncode}") from error
    finally:
        code = await ended(process)
    if code != 0:
        raise ServerError(f"the server ended with exit code {code}")


async def ended(process: asyncio.subprocess.Process) -> int:
    """Have a server drain and end, or kill one that does not. Returns its exit code."""
    # It may have ended a moment ago, by a Ctrl-C that it got too.
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_LIMIT_S):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


async def until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until a server takes bets. Raises ServerError if it ends instead, or takes too long."""
    deadline = asyncio.get_running_loop().time() + _START_LIMIT_S
    async with aiohttp.ClientSession() as http:
        while asyncio.get_running_loop().time() < deadline:
            if process.returncode is not None:
                raise ServerError(f"the server ended at once, with {process.returncode}")
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.02)
    raise ServerError(f"the server is not ready after {_START_LIMIT_S:.0f} s")


def foreign_environment() -> dict[str, str]:
    """The variables here that are no settings of Pitboss: a measured server has only its own."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PITBOSS_") and name not in {"DATABASE_URL", "REDIS_URL"}
    }


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
