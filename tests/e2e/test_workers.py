"""`pitboss serve --workers 2`: one port, one floor, and workers that are replaced when they die."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
import pytest
from redis import Redis

from actors.runtime.membership import Member, shards_of_bits
from server.cluster.credential import bus_key
from storage.embedded import EmbeddedPostgres
from storage.redis_server import EmbeddedRedis
from storage.registry import RedisRegistry
from tests.e2e.player import Fields, bet, playing
from tests.support.pitboss_process import PitbossProcess

pytestmark = pytest.mark.slow

# Far more than anything takes; only a hang reaches it.
LIMIT_S: Final = 60
SHARDS: Final = 64
ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def workers(stocked_path: Path) -> Iterator[PitbossProcess]:
    """Two workers with a PostgreSQL and a Redis of their own."""
    process = PitbossProcess(
        stocked_path, workers=2, PITBOSS_BETS_PER_SECOND="100000", PITBOSS_DRAIN_SECONDS="5"
    )
    process.start()
    try:
        yield process
    finally:
        process.stop()


def data(server: PitbossProcess) -> Path:
    return server.folder / "data"


def processes(server: PitbossProcess) -> list[psutil.Process]:
    """The workers that run, in the order of their start."""
    found = psutil.Process(server.pid).children()
    return [one for one in found if "--worker" in one.cmdline()]


def lives(process: psutil.Process) -> bool:
    """Whether a process goes on; one whose end nobody has collected yet does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def whole(server: PitbossProcess) -> dict[str, Member]:
    """Wait until two members own everything between them. Both, by their numbers."""
    async with asyncio.timeout(LIMIT_S):
        while (url := EmbeddedRedis(data(server)).running_url) is None:
            await asyncio.sleep(0.01)
    secret = (data(server) / "jwt_secret").read_text()
    registry = RedisRegistry(url, "pitboss", bus_key(secret, "pitboss"))
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                members = {one.name[-1]: one for one in await registry.look()}
                owned = sum(len(shards_of_bits(one.shards)) for one in members.values())
                if members.keys() == {"1", "2"} and owned == SHARDS:
                    return members
                await asyncio.sleep(0.05)
    finally:
        await registry.close()


async def status(server: PitbossProcess) -> Fields:
    """What `pitboss cluster status` shows, which finds the embedded engines by the data folder."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "cluster", "status", "--json"),
        cwd=ROOT,
        env={**os.environ, "PITBOSS_DATA_DIR": str(data(server))},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    seen: Fields = json.loads(output)
    assert process.returncode == (0 if seen["healthy"] else 1)
    return seen


async def guest(http: aiohttp.ClientSession, server: PitbossProcess) -> str:
    """A player's token, with money in their wallet."""
    async with http.post(f"{server.url}/api/v1/auth/guest") as answer:
        token: str = (await answer.json())["data"]["access_token"]
    pull = {"currency": "PLAY", "request_id": bet()["request_id"]}
    await final(http, server, token, "wallet/faucet", pull)
    return token


async def final(
    http: aiohttp.ClientSession, server: PitbossProcess, token: str, path: str, fields: Fields
) -> Fields:
    """Ask until there is a final answer, which is a success."""
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(LIMIT_S):
        while True:
            with suppress(aiohttp.ClientError):
                async with http.post(
                    f"{server.url}/api/v1/{path}", json=fields, headers=headers
                ) as answer:
                    body: Fields = await answer.json()
                if body["success"]:
                    return body
                assert body["error"]["temporary"], body
            await asyncio.sleep(0.02)


async def history(http: aiohttp.ClientSession, server: PitbossProcess, token: str) -> set[str]:
    headers = {"Authorization": f"Bearer {token}"}
    found: set[str] = set()
    before = ""
    while True:
        url = f"{server.url}/api/v1/bets?limit=100{before}"
        async with http.get(url, headers=headers) as answer:
            page: Any = (await answer.json())["data"]
        found.update(one["bet_id"] for one in page["bets"])
        if page["next_before"] is None:
            return found
        before = f"&before={page['next_before']}"


async def test_workers_share_a_port_and_one_floor(workers: PitbossProcess) -> None:
    members = await whole(workers)
    assert len(processes(workers)) == 2
    # Members own shards a moment before they listen.
    async with asyncio.timeout(LIMIT_S):
        while not all(f"worker {number} is ready" in workers.log() for number in (1, 2)):
            await asyncio.sleep(0.01)
    async with playing(workers.url, workers.token) as client:
        assert (await client.call("dice:roll", bet(), timeout=LIMIT_S))["success"]
    # Each connection goes to either, so that both get some of many.
    async with aiohttp.ClientSession() as http:
        tokens = [await guest(http, workers) for _ in range(4)]
    async with AsyncExitStack() as stack:
        for token in tokens * 4:
            seat = await stack.enter_async_context(playing(workers.url, token))
            assert (await seat.call("dice:roll", bet(), timeout=LIMIT_S))["success"]
        async with asyncio.timeout(LIMIT_S):
            while sum(one.connections for one in members.values()) < 16:
                members = await whole(workers)
        assert all(one.connections for one in members.values())
    seen = await status(workers)
    assert seen["problems"] == []
    assert {node["id"] for node in seen["nodes"]} == {one.id for one in members.values()}


async def test_redis_that_dies_is_revived_and_the_end_leaves_nothing_behind(
    workers: PitbossProcess,
) -> None:
    before = {name: one.id for name, one in (await whole(workers)).items()}
    path = EmbeddedRedis(data(workers)).running_url
    assert path is not None
    with closing(Redis.from_url(path)) as client:
        client.shutdown(nosave=True)
    async with aiohttp.ClientSession() as http:
        await final(http, workers, workers.token, "dice/roll", bet())
    assert {name: one.id for name, one in (await whole(workers)).items()} == before
    assert await asyncio.to_thread(workers.stop) == 0
    assert not EmbeddedRedis(data(workers)).running
    assert not EmbeddedPostgres(data(workers)).running
    assert "Traceback" not in workers.log()


async def test_a_worker_that_dies_is_replaced_and_no_bet_is_lost(workers: PitbossProcess) -> None:
    before = await whole(workers)
    async with aiohttp.ClientSession() as http:
        token = await guest(http, workers)
        acknowledged = []
        for number in range(60):
            if number == 20:
                processes(workers)[0].kill()
            answer = await final(http, workers, token, "dice/roll", bet())
            acknowledged.append(answer["data"]["bet_id"])
        async with asyncio.timeout(LIMIT_S):
            while {one.id for one in (await whole(workers)).values()} == {
                one.id for one in before.values()
            }:
                await asyncio.sleep(0.05)
        assert len(set(acknowledged)) == 60
        assert await history(http, workers, token) == set(acknowledged)
    assert "was ended by SIGKILL" in workers.log()


async def test_a_rolling_restart_fails_no_bet_and_a_killed_supervisor_leaves_nobody(
    workers: PitbossProcess,
) -> None:
    before = {name: one.id for name, one in (await whole(workers)).items()}
    old = processes(workers)
    acknowledged = []
    async with aiohttp.ClientSession() as http:
        token = await guest(http, workers)
        os.kill(workers.pid, signal.SIGHUP)
        while any(lives(one) for one in old):
            answer = await final(http, workers, token, "dice/roll", bet())
            acknowledged.append(answer["data"]["bet_id"])
        after = {name: one.id for name, one in (await whole(workers)).items()}
        assert not set(before.values()) & set(after.values())
        assert await history(http, workers, token) == set(acknowledged)

    survivors = processes(workers)
    assert len(survivors) == 2
    workers.kill()
    async with asyncio.timeout(LIMIT_S):
        while any(lives(one) for one in survivors):
            await asyncio.sleep(0.05)
    await asyncio.to_thread(workers.start)
    await whole(workers)
