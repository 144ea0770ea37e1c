"""Who a node listens to, and for how long: stalled bodies, idle connections, proxies, origins."""

import asyncio
import json
from typing import Any

import pytest

from server import app
from server.http import door
from tests.floor.house import LIMIT_S, House
from tests.sockets.raw import RawSocket, raw, upgrade_request

STALLED = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n{"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(app, "KEEPALIVE_S", 0.05)
    return {}


def port(house: House) -> int:
    return int(house.url.rsplit(":", 1)[1])


async def stall(house: House, socket: RawSocket) -> None:
    """Send half a body, and return when the node waits for the other half."""
    socket.send(STALLED)
    runner = house.pitboss._runner
    assert runner is not None
    assert runner.server is not None
    async with asyncio.timeout(LIMIT_S):
        while not any(handler._request_in_progress for handler in runner.server.connections):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("options", [{"drain_seconds": 0.1}, {"drain_seconds": 0}])
async def test_a_stalled_body_does_not_hold_up_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BODY_LIMIT_S", 3_600.0)
    async with raw(port(house)) as socket:
        await stall(house, socket)
        async with asyncio.timeout(LIMIT_S):
            await house.pitboss.stop()


async def test_a_stalled_body_is_refused_after_its_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BODY_LIMIT_S", 0.05)
    async with raw(port(house)) as socket:
        socket.send(STALLED)
        head = await socket.head()
        assert head.startswith(b"HTTP/1.1 400 ")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        error = json.loads(await socket.reader.readexactly(length))["error"]
        assert error["code"] == "malformed"
        assert error["details"] == {"reason": "the body did not arrive within 0.05 s"}


async def test_an_idle_connection_is_closed(house: House) -> None:
    async with raw(port(house)) as socket:
        socket.send(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await socket.head()).startswith(b"HTTP/1.1 200 ")
        await socket.rest()


@pytest.mark.parametrize(
    "options",
    [
        {
            "trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"],
            "allowed_origins": ["https://floor.example"],
            "max_connections_per_ip": 1,
        }
    ],
)
async def test_proxies_and_origins_are_as_set(house: House) -> None:
    async def status(client: str, origin: str, socket: RawSocket) -> int:
        forwarded = f"X-Forwarded-For: 6.6.6.6, {client}, 10.1.2.3\r\n"
        socket.send(upgrade_request(extra=f"{forwarded}Origin: {origin}\r\n"))
        return int((await socket.head()).split(b" ", 2)[1])

    async with raw(port(house)) as ann, raw(port(house)) as bob, raw(port(house)) as again:
        assert await status("198.51.100.1", "https://floor.example", ann) == 101
        assert await status("198.51.100.2", "https://floor.example", bob) == 101
        assert await status("198.51.100.2", "https://floor.example", again) == 429
    async with raw(port(house)) as stranger:
        assert await status("198.51.100.3", "https://evil.example", stranger) == 403
