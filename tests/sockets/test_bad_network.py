"""The official client on a network that is cut again and again: it misses nothing."""

import asyncio
import itertools
import json
import random
from contextlib import suppress

import pytest
import uvloop

from server.sockets.options import SocketOptions
from tests.sockets.application import Served, serve
from tests.support.cutter import Cutter, cutting
from tests.support.node import NodeClient

# Transports, parser, and how often the client has to come back. Of a poll that is cut off Node
# often asks again by itself, so that most cuts cost a client that polls nothing.
NETWORKS = [
    (["websocket"], "json", 100),
    (["websocket"], "msgpack", 100),
    (["polling", "websocket"], "json", 100),
    (["polling"], "json", 10),
]


async def talk(served: Served, sent: list[int]) -> None:
    """Say one thing after the other, mostly to the room and now and then to the client alone."""
    for number in itertools.count():
        if number % 5:
            served.server.hub.emit("/", "table", "said", {"n": number})
        else:
            # While the client is let in again, there is its former socket and the new one.
            former, *_ = served.server.hub.sockets_of("/", "table")
            former.emit("said", {"n": number})
        sent.append(number)
        await asyncio.sleep(0.002)


async def cut_often(served: Served, cutter: Cutter, wanted: int) -> int:
    """Cut at any moment of the client's life until it has had to come back so often."""
    chance = random.Random(7)
    comebacks = 0
    while comebacks < wanted:
        asked = served.application.asked
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        cutter.cut()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await served.until(lambda: served.application.asked > asked)  # noqa: B023 - called now
        comebacks += served.application.asked - asked
    return comebacks


@pytest.mark.javascript
@pytest.mark.parametrize(("transports", "parser", "wanted"), NETWORKS)
async def test_nothing_is_missed_over_many_cuts(
    node_client: NodeClient, transports: list[str], parser: str, wanted: int
) -> None:
    if not isinstance(asyncio.get_running_loop(), uvloop.Loop):
        wanted //= 10
    options = SocketOptions(ping_interval_ms=500, ping_timeout_ms=500)
    sent: list[int] = []
    async with serve(options) as served, cutting(served.port, seed=7) as cutter:
        url = f"http://127.0.0.1:{cutter.port}"
        client = asyncio.create_task(
            node_client.run("recovery.js", url, json.dumps(transports), parser)
        )
        # A client whose first answer to CONNECT is cut off is not let in again, but in.
        await served.until(lambda: served.application.events or client.done())
        talking = asyncio.create_task(talk(served, sent))
        comebacks = await cut_often(served, cutter, wanted)
        talking.cancel()
        served.server.hub.emit("/", "table", "ended", {})
        seen = json.loads(await client)

    assert seen["heard"] == sent, "nothing missing, nothing twice, in order"
    assert seen["recovered"] == seen["connects"] - 1
    # Some answers to CONNECT are cut off too, and after the last cut it may come back once more.
    let_in_again = served.server.recovery.outcomes["recovered"]
    assert wanted <= comebacks <= let_in_again + 1
    assert wanted / 2 < seen["recovered"] <= let_in_again
