"""A bad network: a TCP proxy whose connections are cut on command."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 4_096


class Cutter:
    """Passes bytes both ways until they are cut, in the middle of whatever is on its way."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def cut(self) -> None:
        """End every connection: for both sides, or at first for the client alone."""
        for client, server in tuple(self._links):
            client.transport.abort()
            if self._random.random() < 0.5:
                server.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError):
            from_server, server = await asyncio.open_connection("127.0.0.1", self._port)
            link = (client, server)
            self._links.add(link)
            try:
                await asyncio.gather(_pass_on(reader, server), _pass_on(from_server, client))
            finally:
                self._links.discard(link)
                client.close()
                server.close()

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    raise ConnectionError


@asynccontextmanager
async def cutting(port: int, seed: int) -> AsyncIterator[Cutter]:
    """A proxy in front of a port of this machine."""
    cutter = Cutter(port, seed)
    server = await asyncio.start_server(cutter.accept, "127.0.0.1", 0)
    cutter.port = server.sockets[0].getsockname()[1]
    try:
        yield cutter
    finally:
        server.close()
        await cutter.close()
        # The loop needs a turn to see off the connections that were just closed.
        await asyncio.sleep(0.01)
