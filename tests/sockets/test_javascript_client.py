"""The official JavaScript client, on every transport it has."""

import asyncio
import json
from typing import Any

import pytest

from server.sockets.options import SocketOptions
from tests.sockets.application import Served, serve
from tests.sockets.two_nodes import ONE, TWO, two_nodes
from tests.support.node import NodeClient
from tests.support.stray import astray, straying

TRANSPORTS = [["polling", "websocket"], ["polling"], ["websocket"]]


def all_is_well(transports: list[str]) -> dict[str, Any]:
    """What a client sees on a server that does everything right."""
    return {
        "greeting": {"namespace": "/", "auth": {"token": "t", "rooms": ["table"]}},
        "early": "while the upgrade is under way",
        "transport": transports[-1],
        "ack": {"stake": 125, "text": "né€😀"},
        "binary": [0, 255],
        "ordered": True,
        "said": ["hello"],
        "chat": "in the chat",
        "dismissed": "io server disconnect",
        "stillThere": "in the main namespace",
        "refused": {
            "message": "The token is not valid. Log in again.",
            "data": {
                "code": "token_invalid",
                "number": 2002,
                "message": "The token is not valid. Log in again.",
                "temporary": False,
                "details": {"hint": "try another"},
            },
        },
        "nowhere": "Invalid namespace",
        "kicked": "transport close",
        "cameBack": True,
        "afterwards": "again",
    }


async def left_clean(served: Served) -> None:
    """Wait until everybody has gone, and look whether anything is left of them."""
    await served.until(lambda: served.connections == 0)
    assert served.server.sockets == 0
    assert served.server.hub.rooms == 0
    assert not +served.server.counters.open_by_transport


@pytest.mark.javascript
@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_the_official_client(
    served: Served, node_client: NodeClient, transports: list[str], parser: str
) -> None:
    seen = json.loads(
        await node_client.run("sockets.js", served.url, json.dumps(transports), parser)
    )

    assert seen == all_is_well(transports)
    await left_clean(served)


@pytest.mark.javascript
@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_the_official_client_whose_requests_come_to_the_wrong_node(
    node_client: NodeClient, transports: list[str], parser: str
) -> None:
    async with two_nodes() as nodes, straying([n.port for n in nodes], astray([ONE, TWO])) as proxy:
        seen = json.loads(
            await node_client.run("sockets.js", proxy.url, json.dumps(transports), parser)
        )

        assert seen == all_is_well(transports)
        for node in nodes:
            await left_clean(node)
        counters = [node.server.counters for node in nodes]
        assert any(counter.forwarded for counter in counters) is ("polling" in transports)
        assert any(counter.taken_over for counter in counters) is (len(transports) == 2)


@pytest.mark.javascript
async def test_a_drained_client_comes_back(node_client: NodeClient) -> None:
    async with serve(SocketOptions(ping_interval_ms=200, ping_timeout_ms=5_000)) as served:
        client = asyncio.create_task(node_client.run("drained.js", served.url))
        await served.until(lambda: served.server.sockets == 2 or client.done())
        # Heartbeats go to and fro meanwhile.
        await served.until(lambda: served.server.counters.packets_in > 10 or client.done())
        await served.server.drain(timeout_s=5, retry_after_ms=50)
        served.server.engine.admission.draining = False

        seen = json.loads(await client)
        assert seen == {
            "polling": {"told": {"retry_after_ms": 50}, "cameBack": True},
            "websocket": {"told": {"retry_after_ms": 50}, "cameBack": True},
        }
