"""What a node of a cluster tells an operator's tools: metrics, and readiness without Redis."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.runtime.membership import Member
from server.app import Pitboss
from server.cluster import cluster
from server.cluster.topology import Clustered
from server.settings import Settings
from storage.pool import open_pools
from storage.redis_server import EmbeddedRedis
from storage.registry import RedisRegistry, WrongSecretError
from storage.writer import LOCK_CLASS
from tests.floor.house import LIMIT_S, House, bet
from tests.floor.test_operations import fetch
from tests.support.announcing import announced

GUIDE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest_asyncio.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A Redis of this test's own, which it may stop."""
    server = EmbeddedRedis(tmp_path / "redis")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def options(redis: EmbeddedRedis) -> dict[str, Any]:
    return {"redis_url": redis.running_url, "node_name": "north"}


async def kill(server: EmbeddedRedis) -> None:
    """End it as a crash would: whoever starts it again does so under the same address."""
    assert server.running_url is not None
    with suppress(RedisError):
        async with Redis.from_url(server.running_url) as client:
            await client.shutdown(nosave=True)


async def ready(house: House, expected: int) -> str:
    """Wait until readiness is so. What it says."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            status, text = await fetch(house, "/readyz")
            if status == expected:
                return text
            await asyncio.sleep(0.02)


async def test_metrics_tell_of_members_shards_and_the_bus(house: House) -> None:
    _, page = await fetch(house, "/metrics")
    for line in (
        "pitboss_cluster_sighted 1.0",
        "pitboss_cluster_members 1.0",
        "pitboss_shards_owned 64.0",
        "pitboss_shards_wanted 64.0",
        'pitboss_shards_moved_total{kind="claimed"} 64.0',
        'pitboss_shards_moved_total{kind="handed_over"} 0.0',
        "pitboss_silent_ended_total 0.0",
        "pitboss_bus_connected 1.0",
        "pitboss_bus_joined_total 1.0",
        "pitboss_bus_forged_total 0.0",
        'pitboss_bus_frames_total{kind="refused"} 0.0',
        'pitboss_remote_commands_total{kind="done"} 0.0',
        'pitboss_remote_commands_total{kind="timed_out"} 0.0',
        "pitboss_remote_commands_asked 0.0",
        "pitboss_parked 0.0",
    ):
        assert f"\n{line}\n" in page, line


async def test_the_metrics_that_operators_are_told_to_watch_are_there(house: House) -> None:
    _, page = await fetch(house, "/metrics")
    named = set(re.findall(r"`(pitboss_[^`]+)`", GUIDE.read_text()))
    assert len(named) > 20
    told = {line.partition(" ")[0] for line in page.splitlines()}
    told |= {name.partition("{")[0] for name in told}
    assert named <= told


async def test_without_redis_a_node_says_so_goes_on_serving_and_heals(
    house: House, redis: EmbeddedRedis
) -> None:
    assert '"redis": true' in await ready(house, 200)
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    await kill(redis)
    assert '"redis": false' in await ready(house, 503)
    _, page = await fetch(house, "/metrics")
    assert "\npitboss_bus_connected 0.0\n" in page
    assert "\npitboss_shards_owned 64.0\n" in page
    await seat.ok("dice:roll", bet())
    await redis.start()
    await ready(house, 200)
    await seat.ok("dice:roll", bet())


@pytest_asyncio.fixture
async def stranger(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncpg.Connection]:
    """The connection of a server without REDIS_URL that was there first: it has all locks.

    A node that starts beside it does not wait for them.
    """
    monkeypatch.setattr(cluster, "SETTLE_S", 0.0)
    server_settings = {"application_name": "pitboss-lane-0"}
    connection = await asyncpg.connect(database_url, server_settings=server_settings)
    await connection.execute(
        "select pg_advisory_lock($1, shard) from generate_series(0, 63) shard", LOCK_CLASS
    )
    yield connection
    await connection.close()


async def test_a_node_beside_a_server_without_redis_is_not_ready_until_that_has_ended(
    stranger: asyncpg.Connection, house: House
) -> None:
    assert '"shards": false' in await ready(house, 503)
    await stranger.execute("select pg_advisory_unlock_all()")
    assert '"shards": true' in await ready(house, 200)


async def test_a_node_with_another_secret_does_not_start(
    database_url: str, redis: EmbeddedRedis, tmp_path: Path
) -> None:
    url = redis.running_url
    assert url is not None
    pools = await open_pools(database_url)
    settings = Settings(env="test", data_dir=tmp_path, port=0, redis_url=url)
    pitboss = Pitboss(settings, database_url, pools)
    assert isinstance(pitboss.topology, Clustered)
    pitboss.topology._cluster.registry._expires_ms = 100  # which it waits for
    theirs = RedisRegistry(url, settings.cluster_name, b"of another secret", expires_ms=100)
    them = Member(id="them", name="them", started_at_ms=1)
    try:
        async with announced(theirs, them):
            with pytest.raises(WrongSecretError):
                await pitboss.start()
        assert pitboss._listener is None
        assert await theirs.announce(them) == [them]
        async with Redis.from_url(url) as client:
            assert await client.smembers(f"{settings.cluster_name}:members") == {b"them"}
    finally:
        await theirs.close()
        await pitboss.stop()
        pools.terminate()


async def test_a_node_that_starts_without_redis_says_what_it_waits_for_and_does_not_listen(
    database_url: str, redis: EmbeddedRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = redis.running_url
    await kill(redis)
    pools = await open_pools(database_url)
    settings = Settings(env="test", data_dir=tmp_path, port=0, redis_url=url)
    pitboss = Pitboss(settings, database_url, pools)
    starting = asyncio.create_task(pitboss.start())
    try:
        async with asyncio.timeout(LIMIT_S):
            while "does not listen yet: it waits for Redis at " not in caplog.text:
                await asyncio.sleep(0.02)
            samples = pitboss.pulse.traffic(60).seconds
            while pitboss.pulse.traffic(60).seconds == samples:
                await asyncio.sleep(0.02)
        assert not starting.done()
        assert pitboss._listener is None
        await redis.start()
        async with asyncio.timeout(LIMIT_S):
            assert await starting > 0
        assert caplog.text.count("it waits for Redis at ") == 1
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await pitboss.stop()
        pools.terminate()
