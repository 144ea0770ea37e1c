"""The embedded Redis: started, shared, killed, taken over, and private."""

import asyncio
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotConnected

from storage import redis_server
from storage.redis_server import EmbeddedRedis, EmbeddedRedisError, redis_program

pytestmark = pytest.mark.skipif(redis_program() is None, reason="there is no Redis here")

# Starts the server of a folder, prints its URL and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from storage.redis_server import EmbeddedRedis
sys.stdout.write(EmbeddedRedis(Path(sys.argv[1])).start_blocking() + "\\n")
sys.stdout.flush()
time.sleep(600)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder of which no server is left running, whatever the test did."""
    folder = tmp_path / "data"
    yield folder
    url = EmbeddedRedis(folder).running_url
    if url is not None:
        os.kill(pid_of(url), signal.SIGKILL)


def pid_of(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def kill(server: EmbeddedRedis) -> None:
    url = server.running_url
    assert url is not None
    os.kill(pid_of(url), signal.SIGKILL)
    while server.running:
        os.sched_yield()


async def test_it_serves_until_it_is_stopped(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    assert EmbeddedRedis(data_dir).running_url is None
    url = await server.start()
    with Redis.from_url(url) as client:
        assert client.set("key", "value")
    assert server.running_url == EmbeddedRedis(data_dir).running_url == url
    await server.stop()
    assert not server.running
    assert EmbeddedRedis(data_dir).running_url is None
    with pytest.raises(NotConnected), Redis.from_url(url) as client:
        client.ping()


async def test_starting_twice_and_stopping_unstarted_are_harmless(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    await server.stop()
    url = await server.start()
    pid = pid_of(url)
    assert await server.start() == url
    assert pid_of(url) == pid
    await server.stop()
    await server.stop()
    assert not server.running


async def test_it_keeps_nothing_on_disk_and_has_a_bound(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    url = await server.start()
    with Redis.from_url(url) as client:
        client.set("key", "value")
        settings = client.config_get("*")
    assert settings["save"] == ""
    assert settings["appendonly"] == "no"
    assert int(settings["maxmemory"]) == 256 * 1024 * 1024
    assert settings["maxmemory-policy"] == "volatile-lru"
    await server.stop()
    with Redis.from_url(await server.start()) as client:
        assert client.keys() == []
    await server.stop()
    left = {path.name for path in data_dir.iterdir()}
    assert left == {"redis.lock", "redis.users", "redis.log"}


async def test_only_a_private_socket_leads_to_it(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    url = await server.start()
    path = Path(url.removeprefix("unix://"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert psutil.Process(pid_of(url)).net_connections("inet") == []
    await server.stop()
    assert not path.parent.exists()


async def test_after_a_crash_it_comes_back_under_the_same_address(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    url = await server.start()
    kill(server)
    assert not server.running
    assert await server.start() == url
    with Redis.from_url(url) as client:
        assert client.ping()
    await server.stop()
    assert not server.running


async def test_a_socket_folder_that_was_swept_away_is_made_again(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    url = await server.start()
    kill(server)
    shutil.rmtree(Path(url.removeprefix("unix://")).parent)
    assert await server.start() == url
    await server.stop()


async def test_a_killed_process_leaves_a_server_to_take_over(data_dir: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    left = (await holder.stdout.readline()).decode().strip()
    holder.kill()
    await holder.communicate()
    server = EmbeddedRedis(data_dir)
    assert server.running_url == left
    pid = pid_of(left)
    assert await server.start() == left
    assert pid_of(left) == pid
    await server.stop()
    assert not server.running


async def test_the_last_user_turns_off_the_light(data_dir: Path) -> None:
    first, second = EmbeddedRedis(data_dir), EmbeddedRedis(data_dir)
    urls = await asyncio.gather(first.start(), second.start())
    assert urls[0] == urls[1]
    await first.stop()
    with Redis.from_url(urls[0]) as client:
        assert client.ping()
    await second.stop()
    assert not second.running


async def test_a_machine_without_redis_is_told_what_to_do(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "redis_program", lambda: None)
    server = EmbeddedRedis(data_dir)
    with pytest.raises(EmbeddedRedisError, match="set REDIS_URL"):
        await server.start()
    await server.stop()


async def test_a_redis_that_does_not_start_says_why(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "_SETTINGS", ("--port", "none"))
    with pytest.raises(EmbeddedRedisError, match="does not start"):
        await EmbeddedRedis(data_dir).start()


async def test_a_redis_that_hangs_is_ended_by_its_parent(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    os.kill(pid_of(await server.start()), signal.SIGSTOP)
    await server.stop()
    assert not server.running
