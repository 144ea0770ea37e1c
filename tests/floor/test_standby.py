"""Two nodes on one database: one serves, the other stands by, and never do both wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from server.app import Pitboss
from server.settings import Settings
from storage import journal
from storage import lane as lanes
from storage.lane import Writer
from storage.pool import open_pools
from tests.floor.house import LIMIT_S, House, bet


@asynccontextmanager
async def rival(
    database_url: str, folder: Path
) -> AsyncIterator[tuple[Pitboss, asyncio.Task[int]]]:
    """A second node, and its start, which ends when it serves."""
    pools = await open_pools(database_url)
    settings = Settings(env="test", data_dir=folder, port=0, crash_tables=[])
    pitboss = Pitboss(settings, database_url, pools)
    starting = asyncio.create_task(pitboss.start())
    try:
        yield pitboss, starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await pitboss.stop()
        pools.terminate()


async def end_backends(pool: asyncpg.Pool, name: str) -> None:
    await pool.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like $1 and datname = current_database()",
        name,
    )


def behind(
    starting: asyncio.Task[int], connect: Callable[[], Awaitable[Writer]]
) -> Callable[[], Awaitable[Writer]]:
    """Connecting, but not before the other node has started."""

    async def late() -> Writer:
        await asyncio.wait({starting})
        return await connect()

    return late


async def until_open(node: Pitboss) -> None:
    async with asyncio.timeout(LIMIT_S):
        for lane in node.storage.journal.lanes:
            await lane.wait_open()


async def test_an_owner_that_loses_one_lane_wins_it_back_beside_a_standby(
    house: House, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "STANDBY_PAUSE_S", 0.01)
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    async with rival(database_url, tmp_path) as (other, starting):
        for _ in range(5):
            await end_backends(house.pool, "pitboss-lane-0")
            await asyncio.sleep(0.05)
            await until_open(house.pitboss)
        assert not starting.done()
        assert not other.storage.journal.open
        await seat.ok("dice:roll", bet())


async def test_a_standby_takes_over_and_the_ousted_node_knows(
    house: House, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "OUSTED_AFTER_S", 0.0)
    monkeypatch.setattr(journal, "STANDBY_PAUSE_S", 0.01)
    async with rival(database_url, tmp_path) as (other, starting):
        for lane in house.pitboss.storage.journal.lanes:
            monkeypatch.setattr(lane, "connect", behind(starting, lane.connect))
        await end_backends(house.pool, "pitboss-lane-%")
        async with asyncio.timeout(LIMIT_S):
            await starting
        await until_open(other)
        async with asyncio.timeout(LIMIT_S):
            while not house.pitboss.storage.journal.ousted:
                await asyncio.sleep(0.01)
