"""The fixtures themselves: what they promise to every other test."""

import asyncpg
import pytest
from redis import Redis

from tests.support.node import NodeClient


async def test_databases_start_empty_each_time(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM users") == 0
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_redis_is_emptied_for_each_test(redis_url: str, turn: int) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0, f"turn {turn} found keys"
        client.set("left behind", "by this turn")


@pytest.mark.javascript
async def test_node_imports_the_official_client(node_client: NodeClient) -> None:
    assert await node_client.run("version.js") == "protocol 5\n"
