"""Players whose requests come to any node, with bets in flight: nothing is lost, and none twice."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio

from server.settings import Settings
from storage.audit import audit
from tests.floor.house import House
from tests.floor.test_two_nodes_rooms import running, shared_out
from tests.support.node import NodeClient
from tests.support.stray import Choice, astray, in_turns, straying

BETS = 100


@pytest_asyncio.fixture
async def nodes(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[list[House]]:
    """Two nodes, each of which owns some shards, and no table."""
    settings = Settings(
        env="test",
        data_dir=tmp_path,
        port=0,
        redis_url=redis_url,
        cluster_name=f"test-{uuid4().hex[:12]}",
        sign_ins_per_minute=10_000,
        bets_per_second=10_000,
        crash_tables=[],
    )
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(running(database_url, settings)) for _ in range(2)]
        await shared_out(made)
        yield made


def port_of(house: House) -> int:
    port = urlsplit(house.url).port
    assert port is not None
    return port


@pytest.mark.javascript
@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("stray", [True, False], ids=["always astray", "in turns"])
@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]])
async def test_every_bet_is_acknowledged_once(
    nodes: list[House],
    node_client: NodeClient,
    transports: list[str],
    stray: bool,
    parser: str,
    database_url: str,
) -> None:
    ann = await nodes[0].guest()
    pulled = (await ann.pull())["data"]
    members = [house.pitboss.sockets.engine.member for house in nodes]
    choose: Choice = astray(members) if stray else in_turns
    async with straying([port_of(house) for house in nodes], choose) as proxy:
        seen = json.loads(
            await node_client.run(
                "wrong_node.js", proxy.url, ann.token, json.dumps(transports), str(BETS), parser
            )
        )

    assert seen["sent"] == seen["acked"] == seen["wagered"] >= BETS
    assert (seen["twice"], seen["disconnects"], seen["sameSocket"]) == (0, [], True)
    assert seen["interrupted"] == 0
    assert seen["transport"] == transports[-1]
    assert seen["available"] == pulled["balance"]["available"] - seen["wagered"] + seen["won"]
    counters = [house.pitboss.sockets.counters for house in nodes]
    assert sum(counter.forwarded for counter in counters) > 0
    taken_over = sum(counter.taken_over for counter in counters)
    if stray:
        assert taken_over == len(transports) - 1
    report = await audit(database_url, nodes[0].pitboss.storage.vault)
    assert report.clean, report.findings
