"""A bad network: a proxy whose connections are cut, refused or made to hang on command."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

_CHUNK_BYTES = 4_096

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to what the proxy stands in front of."""


class Cutter:
    """Passes bytes both ways until they are cut, in the middle of whatever is on its way."""

    def __init__(self, connect: Connect, seed: int = 0) -> None:
        self._connect = connect
        self._random = random.Random(seed)
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._passing = asyncio.Event()
        self._passing.set()
        self.port = 0

    def cut(self) -> None:
        """End every connection: for both sides, or at first for the client alone."""
        for client, server in tuple(self._links):
            client.transport.abort()
            if self._random.random() < 0.5:
                server.transport.abort()

    def refuse(self) -> None:
        """End every connection for both sides, and new ones at once, until `mend`."""
        self._refusing = True
        for writers in tuple(self._links):
            for writer in writers:
                writer.transport.abort()

    def hang(self) -> None:
        """Take connections and bytes and pass nothing on, ends neither, until `mend`.

        Then everything arrives late, as it does when a broken network comes back.
        """
        self._passing.clear()

    def mend(self) -> None:
        """Pass everything on again."""
        self._refusing = False
        self._passing.set()

    async def accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._passing.wait()
            with suppress(OSError):
                await self._serve(reader, client)
        finally:
            client.close()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        from_server, server = await self._connect()
        if self._refusing:
            server.close()
            return
        link = (client, server)
        self._links.add(link)
        ways = [
            asyncio.create_task(self._pass_on(reader, server)),
            asyncio.create_task(self._pass_on(from_server, client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for way in ways:
                way.cancel()
            server.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await self._passing.wait()
                writer.write(chunk)
                await writer.drain()
        # An end is news like any other.
        await self._passing.wait()

    async def close(self) -> None:
        """End everything."""
        self.refuse()
        self._passing.set()
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def cutting(port: int, seed: int) -> AsyncIterator[Cutter]:
    """A proxy in front of a port of this machine."""
    async with cutting_to(partial(asyncio.open_connection, "127.0.0.1", port), seed) as cutter:
        yield cutter


@asynccontextmanager
async def cutting_to(connect: Connect, seed: int = 0) -> AsyncIterator[Cutter]:
    """A proxy on a free port, in front of whatever `connect` leads to at the time."""
    cutter = Cutter(connect, seed)
    server = await asyncio.start_server(cutter.accept, "127.0.0.1", 0)
    cutter.port = server.sockets[0].getsockname()[1]
    async with _closing(server, cutter):
        yield cutter


@asynccontextmanager
async def cutting_socket(path: Path, folder: Path) -> AsyncIterator[Cutter]:
    """A proxy in front of a Unix socket, under the same name in another folder."""
    cutter = Cutter(partial(asyncio.open_unix_connection, path))
    server = await asyncio.start_unix_server(cutter.accept, folder / path.name)
    async with _closing(server, cutter):
        yield cutter


@asynccontextmanager
async def _closing(server: asyncio.Server, cutter: Cutter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        server.close()
        await cutter.close()
        # The loop needs a turn to see off the connections that were just closed.
        await asyncio.sleep(0.01)
