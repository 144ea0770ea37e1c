"""The bad network of the other tests is as bad as it says."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tests.support.cutter import Cutter, cutting_to


class Echo:
    """A server that says again what it is told, and remembers it."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(100):
            self.heard.put_nowait(said)
            writer.write(said)
        writer.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def cutter(echo: Echo) -> AsyncIterator[Cutter]:
    """A proxy in front of that server."""
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with cutting_to(partial(asyncio.open_connection, "127.0.0.1", port)) as running:
        yield running
    server.close()


async def test_what_hangs_arrives_late(cutter: Cutter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cutter.port)
    writer.write(b"before")
    assert await reader.readexactly(6) == b"before"
    cutter.hang()
    writer.write(b"during")
    answer = asyncio.create_task(reader.readexactly(6))
    done, _ = await asyncio.wait([answer], timeout=0.05)
    assert not done
    cutter.mend()
    assert await answer == b"during"
    writer.close()


async def test_what_a_client_said_that_has_gone_arrives_too(cutter: Cutter, echo: Echo) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", cutter.port)
    writer.write(b"before")
    assert await echo.heard.get() == b"before"
    cutter.hang()
    writer.write(b"late")
    writer.close()
    await writer.wait_closed()
    assert echo.heard.empty()
    cutter.mend()
    assert await echo.heard.get() == b"late"


async def test_what_is_refused_ends_at_once_until_it_is_mended(cutter: Cutter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cutter.port)
    writer.write(b"x")
    await reader.readexactly(1)
    cutter.refuse()
    assert await reader.read() == b""
    again, writer_again = await asyncio.open_connection("127.0.0.1", cutter.port)
    assert await again.read() == b""
    cutter.mend()
    last, writer_last = await asyncio.open_connection("127.0.0.1", cutter.port)
    writer_last.write(b"y")
    assert await last.readexactly(1) == b"y"
    for one in (writer, writer_again, writer_last):
        one.close()
