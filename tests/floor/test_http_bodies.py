"""Bodies of a whole node over HTTP: compressed answers, refused requests, polls given up."""

import asyncio
import gzip
from typing import Any

import aiohttp
import pytest

from tests.floor.house import LIMIT_S, House, bet


async def fetch(
    house: House, path: str, accepted: str, **headers: str
) -> tuple[aiohttp.ClientResponse, bytes]:
    """A response and its bytes as they came."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.get(f"{house.url}{path}", headers={"Accept-Encoding": accepted, **headers}) as answer,
    ):
        return answer, await answer.read()


@pytest.mark.parametrize("path", ["/docs", "/verify", "/openapi.json", "/asyncapi.json"])
async def test_pages_are_compressed_and_still_revalidated(house: House, path: str) -> None:
    plain, whole = await fetch(house, path, "identity")
    answer, packed = await fetch(house, path, "gzip, deflate, br")

    assert "Content-Encoding" not in plain.headers
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == whole
    assert len(packed) < len(whole) / 2
    assert answer.headers["ETag"] == "W/" + plain.headers["ETag"]
    again, nothing = await fetch(house, path, "gzip", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, nothing) == (304, b"")


async def test_answers_of_commands_are_compressed_where_it_helps(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    for _ in range(10):
        status, _answer = await ann.http("POST", "/dice/roll", bet())
        assert status == 200
    token = {"Authorization": f"Bearer {ann.token}"}

    small, _ = await fetch(house, "/api/v1/wallet", "gzip", **token)
    large, packed = await fetch(house, "/api/v1/bets", "gzip", **token)

    assert (small.status, small.headers.get("Content-Encoding")) == (200, None)
    assert (large.status, large.headers.get("Content-Encoding")) == (200, "gzip")
    assert b'"success":true' in gzip.decompress(packed)


async def test_a_compressed_command_is_refused(house: House) -> None:
    async with aiohttp.ClientSession() as http:
        body: dict[str, Any] = {
            "data": gzip.compress(bytes(5_000_000)),
            "headers": {"Content-Encoding": "gzip", "Content-Type": "application/json"},
        }
        async with http.post(f"{house.url}/api/v1/auth/login", **body) as answer:
            assert answer.status == 415
            error = (await answer.json())["error"]
            assert (error["code"], error["number"]) == ("unsupported_encoding", 1007)


async def test_a_poll_that_its_client_gives_up_ends_the_session(house: House) -> None:
    url = f"{house.url}/socket.io/?EIO=4&transport=polling"
    engine = house.pitboss.sockets.engine
    async with aiohttp.ClientSession() as http:
        async with http.get(url):
            [connection] = engine.connections.values()
        poll = asyncio.create_task(http.get(f"{url}&sid={connection.sid}"))
        async with asyncio.timeout(LIMIT_S):
            while not connection.writable:
                await asyncio.sleep(0.005)
            poll.cancel()
            while engine.connections:
                await asyncio.sleep(0.005)
    assert engine.counters.disconnects["transport_closed"] == 1
