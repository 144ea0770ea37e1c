"""A player whose node is killed comes back to another one, to all that the killed one told."""

from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from tests.sockets.raw import RawSocket, session
from tests.support.clusters import Cluster, ClusterNode

ROUND = ("round:opened", "round:started", "round:crashed")


async def account(node: ClusterNode) -> dict[str, Any]:
    """A new guest with some play money."""
    async with (
        aiohttp.ClientSession(f"{node.url}/") as http,
        http.post("api/v1/auth/guest") as answer,
    ):
        data: dict[str, Any] = (await answer.json())["data"]
        body = {"currency": "PLAY", "request_id": "5b7c6a0e-6e3a-4c53-9a55-0e4e3a0a7c11"}
        headers = {"Authorization": f"Bearer {data['access_token']}"}
        async with http.post("api/v1/wallet/faucet", json=body, headers=headers) as pulled:
            assert pulled.status == 200, await pulled.text()
        return data


def port_of(node: ClusterNode) -> int:
    port = urlsplit(node.url).port
    assert port is not None
    return port


async def join(socket: RawSocket, auth: dict[str, Any]) -> dict[str, Any]:
    """Join the main namespace. What the client is told of itself."""
    socket.text("40" + msgspec.json.encode(auth).decode())
    packet = await socket.packet()
    assert packet.startswith("40{"), packet
    told: dict[str, Any] = msgspec.json.decode(packet[2:])
    return told


async def hear(socket: RawSocket, events: list[list[Any]], name: str) -> str | None:
    """Take events in until one of this name, and the newest offset."""
    offset = None
    while True:
        packet = await socket.packet()
        if not packet.startswith("42"):
            continue
        event = msgspec.json.decode(packet[2:])
        if isinstance(event[-1], str) and len(event) > 2:
            offset = event.pop()
        events.append(event)
        if event[0] == name:
            return offset


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_a_killed_node_s_player_goes_on_at_another(nodes: Cluster) -> None:
    north, south, _ = nodes.nodes
    data = await account(north)
    auth: dict[str, Any] = {"token": data["access_token"], "recover": True}
    before: list[list[Any]] = []
    async with session(port_of(north)) as socket:
        known = await join(socket, auth)
        socket.text('421["crash:watch",{"table":1}]')
        offset = await hear(socket, before, "round:crashed")
        north.process.kill()
    after: list[list[Any]] = []
    async with session(port_of(south)) as socket:
        again = await join(socket, {**auth, "pid": known["pid"], "offset": offset})
        assert (again["pid"], again["sid"]) == (known["pid"], known["sid"])
        await hear(socket, after, "wallet:updated")
        await hear(socket, after, "round:crashed")
    interrupted = [data["room"] for name, data in after if name == "room:interrupted"]
    assert {"crash:1", f"user:{data['user']['id']}"} <= set(interrupted)
    told = [(name, data["round_id"]) for name, data in before + after if name in ROUND]
    assert len(told) == len(set(told)), "none twice"
    [balance] = [data for name, data in after if name == "wallet:updated"]
    assert balance["available"] > 0
