"""The official client while its nodes are killed, one after the other: it misses nothing."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from server.cluster.missed import Entry
from tests.support.cutter import cutting_to
from tests.support.node import NodeClient
from tests.support.telling_node import CLUSTER

NODES = 5
LIMIT_S = 30.0
ROOT = Path(__file__).parents[2]


class TellingNode:
    """A node in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, epoch: str) -> None:
        self.process = process
        self.port = port
        self.epoch = epoch

    def order(self, line: str) -> None:
        """Have it do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def telling(redis_url: str) -> AsyncIterator[TellingNode]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.telling_node",
        redis_url,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            said = json.loads(await process.stdout.readline())
        yield TellingNode(process, **said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def last_told(redis: Redis, node: TellingNode, alive: int) -> int:
    """The last number in the log of a node that was killed, once Redis knows that it is gone."""
    async with asyncio.timeout(LIMIT_S):
        while sum(one["name"] == "pitboss-recovery" for one in await redis.client_list()) > alive:
            await asyncio.sleep(0.005)
    decode = msgspec.msgpack.Decoder(Entry).decode
    found: Any = await redis.xrevrange(f"{CLUSTER}:log:{node.epoch}", count=50)
    for _, fields in found:
        for packet in decode(fields[b"e"]).packets:
            event, data, *_ = json.loads(packet[2:])
            if event == "said":
                number: int = data["n"]
                return number
    raise AssertionError("it has told nothing")


@pytest.mark.slow
@pytest.mark.javascript
@pytest.mark.parametrize(
    ("transports", "parser"),
    [(["websocket"], "json"), (["websocket"], "msgpack"), (["polling", "websocket"], "json")],
)
async def test_nothing_is_missed_over_many_kills(
    node_client: NodeClient, redis_url: str, transports: list[str], parser: str
) -> None:
    chance = random.Random(7)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        nodes = [await stack.enter_async_context(telling(redis_url)) for _ in range(NODES)]
        here = 0

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", nodes[here].port)

        cutter = await stack.enter_async_context(cutting_to(connect))
        url = f"http://127.0.0.1:{cutter.port}"
        client = asyncio.create_task(
            node_client.run("recovery.js", url, json.dumps(transports), parser)
        )
        nodes[0].order("tell 0")
        last = -1
        for alive in range(NODES - 1, 0, -1):
            while await told_by(redis, nodes[here]) < chance.randrange(5, 100):
                await asyncio.sleep(0.01)
                assert not client.done(), client.result()
            await nodes[here].kill()
            last = await last_told(redis, nodes[here], alive)
            here += 1
            nodes[here].order(f"tell {last + 1}")
        while await told_by(redis, nodes[here]) < 20:
            await asyncio.sleep(0.01)
        nodes[here].order("end")
        seen = json.loads(await client)
        last = await last_told(redis, nodes[here], 1)

    assert seen["heard"] == list(range(last + 1)), "nothing missing, nothing twice, in order"
    assert seen["connects"] == NODES
    assert seen["recovered"] == NODES - 1


async def told_by(redis: Redis, node: TellingNode) -> int:
    """How much a node has told so far."""
    count: int = await redis.xlen(f"{CLUSTER}:log:{node.epoch}")
    return count
