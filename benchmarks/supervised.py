"""A server with its own embedded PostgreSQL, which is killed and started again at once."""

import asyncio
import contextlib
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp
import psutil

from benchmarks.own_postgres import clear_away, own_folder
from benchmarks.server_process import SERVE, ServerError, ended, foreign_environment, free_port
from storage.postmaster import Postmaster

# What the server is started with, besides its port and its folder.
_SETTINGS: Final = {
    "PITBOSS_BETS_PER_SECOND": "100000",
    "PITBOSS_COMMANDS_PER_SECOND": "10000",
    "PITBOSS_SIGN_INS_PER_MINUTE": "100000",
    "PITBOSS_MAX_CONNECTIONS_PER_IP": "20000",
    "PITBOSS_DEMO_PLAYER": "false",
    "PITBOSS_LOG_LEVEL": "error",
}
_ROOT: Final = Path(__file__).parents[1]
# A first start makes a database cluster; a later one may have minutes of log to replay.
_READY_LIMIT_S: Final = 120.0
# How often the port is tried: a little of the time that is measured.
_LOOK_S: Final = 0.005


class Supervised:
    """One server, on the same port whenever it runs, and what a supervisor does for it."""

    def __init__(self, folder: Path, port: int, settings: Mapping[str, str]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.data_dir = folder / "data"
        self.environment = {
            **_SETTINGS,
            **settings,
            "PITBOSS_DATA_DIR": str(self.data_dir),
            "PITBOSS_PORT": str(port),
        }
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        """Start it, without waiting for anything."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *SERVE),
            cwd=_ROOT,
            env={**foreign_environment(), **self.environment},
            stdin=DEVNULL,
            stdout=DEVNULL,
        )

    def kill(self, *, postgres: bool) -> None:
        """End the server without warning, and every process of PostgreSQL with it if asked."""
        victims = [psutil.Process(self.process.pid)]
        if postgres:
            postmaster = psutil.Process(self.postmaster_pid())
            victims += [postmaster, *postmaster.children(recursive=True)]
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)

    def postmaster_pid(self) -> int:
        """The main process of its PostgreSQL."""
        postmaster = Postmaster.find(self.data_dir / "postgres")
        if postmaster is None:
            raise ServerError("its PostgreSQL does not run")
        return postmaster.pid

    async def stop(self) -> None:
        """Have it drain and end. Raises ServerError unless it does so in good order."""
        code = await ended(self.process)
        if code != 0:
            raise ServerError(f"the server ended with exit code {code}")

    async def clear_away(self) -> None:
        """End the server if it runs, and then its PostgreSQL, which a killed one leaves running."""
        if self._process is not None:
            await ended(self._process)
        await clear_away(self.data_dir)

    async def listening(self) -> float:
        """Wait until its port takes connections; the moment is of `time.perf_counter`."""
        while True:
            self._check()
            with contextlib.suppress(OSError):
                _reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                at_s = time.perf_counter()
                writer.close()
                return at_s
            await asyncio.sleep(_LOOK_S)

    async def ready(self) -> float:
        """Wait until it says that it takes bets; the moment is of `time.perf_counter`."""
        async with asyncio.timeout(_READY_LIMIT_S), aiohttp.ClientSession() as http:
            while True:
                await self.listening()
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return time.perf_counter()
                await asyncio.sleep(_LOOK_S)

    def _check(self) -> None:
        if self.process.returncode is not None:
            raise ServerError(f"the server ended at once, with {self.process.returncode}")


@asynccontextmanager
async def supervised(
    settings: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Supervised]:
    """A server on fresh data that is ready; all of it is stopped and removed afterwards.

    Raises:
        ServerError: It does not start, or ended with an exit code other than 0.
    """
    with own_folder() as folder:
        server = Supervised(folder, free_port(), settings)
        try:
            await server.start()
            await server.ready()
            yield server
        finally:
            await server.clear_away()
    code = server.process.returncode
    if code != 0:
        raise ServerError(f"the server ended with exit code {code}")
