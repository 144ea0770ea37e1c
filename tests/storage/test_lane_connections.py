"""Lanes' connections: PostgreSQL notices within seconds that their host has vanished."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from storage.embedded import EmbeddedPostgres
from storage.writer import Connector
from tests.support.databases import stopped_with_us

ASKED_FOR = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5000",
}


@pytest_asyncio.fixture
async def tcp_url(tmp_path: Path) -> AsyncIterator[str]:
    """A PostgreSQL of this test's own that listens on this machine's network too."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = EmbeddedPostgres(tmp_path, fsync=False)
    server._settings |= {"listen_addresses": "127.0.0.1", "port": str(port)}
    try:
        parts = urlsplit(await server.start())
        with stopped_with_us(server):
            with (server.cluster / "pg_hba.conf").open("a") as rules:
                rules.write("host all all 127.0.0.1/32 trust\n")
            folder = parts.query.split("&")[0]
            await _reload(f"postgresql://{parts.username}@/postgres?{folder}&port={port}")
            yield f"postgresql://{parts.username}@127.0.0.1:{port}/postgres"
    finally:
        await server.stop()


async def _reload(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("select pg_reload_conf()")
    await connection.close()


async def _settings(dsn: str) -> dict[str, str]:
    """What is in force on a lane's connection."""
    writer = await Connector(dsn, {}, "me")(0, ())
    found = {name: await writer._connection.fetchval(f"show {name}") for name in ASKED_FOR}
    await writer.close()
    return found


@pytest.mark.slow
async def test_the_server_asks_a_silent_host_whether_it_lives(tcp_url: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                assert await _settings(tcp_url) == ASKED_FOR
                break
            except asyncpg.InvalidAuthorizationSpecificationError:  # rules are read in a moment
                await asyncio.sleep(0.01)


async def test_a_unix_socket_needs_none_of_it(database_url: str) -> None:
    assert await _settings(database_url) == dict.fromkeys(ASKED_FOR, "0")
