"""A proxy that knows nothing of sessions: each HTTP request may go to another port."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 65_536
_SID = re.compile(rb"[?&]sid=([^& ]+)")
_CONNECTION = re.compile(rb"\r\nConnection:[^\r]*", re.IGNORECASE)

Choice = Callable[[int, str], int]
"""Where a request goes, as an index of ports: by its number, and the session it names, if any."""


def in_turns(number: int, _sid: str) -> int:
    """To the next port, whatever the request is."""
    return number


def astray(members: list[str]) -> Choice:
    """Never to the member that a session began at."""

    def choose(number: int, sid: str) -> int:
        homes = [index for index, member in enumerate(members) if sid.startswith(member)]
        return homes[0] + 1 if homes else number

    return choose


class Stray:
    """Passes each request on alone: only a WebSocket keeps its connection."""

    def __init__(self, ports: list[int], choose: Choice) -> None:
        self._ports = ports
        self._choose = choose
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Serve one connection of a client, and with it one request."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await self._serve(await reader.readuntil(b"\r\n\r\n"), reader, client)
            finally:
                client.close()

    async def _serve(
        self, head: bytes, reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        found = _SID.search(head.split(b"\r\n", 1)[0])
        sid = found[1].decode() if found else ""
        port = self._ports[self._choose(self.requests, sid) % len(self._ports)]
        self.requests += 1
        if b"upgrade: websocket" not in head.lower():
            head = _CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n"
        from_node, node = await asyncio.open_connection("127.0.0.1", port)
        node.write(head)
        ways = [
            asyncio.ensure_future(_pass_on(reader, node)),
            asyncio.ensure_future(_pass_on(from_node, client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            node.close()

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()


@asynccontextmanager
async def straying(ports: list[int], choose: Choice = in_turns) -> AsyncIterator[Stray]:
    """A proxy in front of some ports of this machine."""
    stray = Stray(ports, choose)
    server = await asyncio.start_server(stray.accept, "127.0.0.1", 0)
    stray.port = server.sockets[0].getsockname()[1]
    try:
        yield stray
    finally:
        server.close()
        await stray.close()
        # The loop needs a turn to see off the connections that were just closed.
        await asyncio.sleep(0.01)
