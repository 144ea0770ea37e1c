"""Players whose requests come to any node, with bets in flight: nothing is lost, and none twice."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from storage.audit import audit
from tests.floor.house import House
from tests.floor.two_nodes import two_nodes
from tests.support.node import NodeClient
from tests.support.stray import Choice, astray, in_turns, straying

BETS = 100


@pytest_asyncio.fixture
async def nodes(
    database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Sequence[House]]:
    """Two nodes, each of which owns some shards, and no table."""
    async with two_nodes(database_url, redis_url, tmp_path, []) as two:
        yield two.houses


def port_of(house: House) -> int:
    port = urlsplit(house.url).port
    assert port is not None
    return port


@pytest.mark.javascript
@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("stray", [True, False], ids=["always astray", "in turns"])
@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]])
async def test_every_bet_is_acknowledged_once(
    nodes: Sequence[House],
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
