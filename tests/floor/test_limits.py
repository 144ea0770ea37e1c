"""Limits of the whole node: a player's connections, an address's requests, pages of other sites."""

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from protocol.disconnects import REASONS
from server.documents.refusals import CONNECTING
from tests.floor.house import LIMIT_S, House, Person
from tests.floor.test_sessions import refused_handshake
from tests.sockets.raw import raw, session

FLOOR = "https://floor.example"
EVIL = "https://evil.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def count(house: House, name: str, kind: str | None = None) -> float:
    """A counter, as `/metrics` has it."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{house.url}/metrics") as answer,
    ):
        text = await answer.text()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels.get("kind") == kind:
                return sample.value
    raise AssertionError(f"{name} has no {kind}")


async def ask(
    house: House, method: str, path: str, headers: dict[str, str], body: Any = None
) -> tuple[int, Any, Any]:
    """Status, headers, and the body if there is one."""
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, house.url + path, headers=headers, json=body) as answer,
    ):
        return answer.status, answer.headers, await answer.json() if answer.content_length else None


async def too_many(house: House, person: Person) -> dict[str, Any]:
    told = await refused_handshake(house, {"token": person.token})
    data = told["data"]
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("options", [{"max_connections_per_user": 3}])
async def test_a_player_has_so_many_connections_and_others_their_own(house: House) -> None:
    ann, bob = await house.register("ann"), await house.guest()
    seats = [await ann.connect() for _ in range(2)]
    # Another session of the same player counts with the first one's.
    login = {"login": "ann", "password": "correct horse"}
    _, elsewhere = await house.http("POST", "/auth/login", login)
    again = Person(house, ann.user_id, "ann", elsewhere["data"]["access_token"])
    seats.append(await again.connect())
    for person in (ann, again):
        error = await too_many(house, person)
        assert (error["code"], error["number"]) == ("too_many_user_connections", 5005)
        assert error["details"] == {"limit": 3}
    assert await count(house, "pitboss_connects_refused_total", "too_many_user_connections") == 2
    await (await bob.connect()).ok("wallet:get")

    await seats[0].client.disconnect()
    async with asyncio.timeout(LIMIT_S):
        while len(house.pitboss.floor._by_user[ann.user_id]) == 3:
            await asyncio.sleep(0.005)
    await (await again.connect()).ok("wallet:get")
    for seat in house.seats:
        await seat.client.disconnect()
    async with asyncio.timeout(LIMIT_S):
        while house.pitboss.floor._by_user:
            await asyncio.sleep(0.005)


async def test_every_limit_is_on_the_metrics_page_before_it_is_met(house: House) -> None:
    for reason in REASONS:
        assert await count(house, "pitboss_disconnects_total", reason) == 0
    for kind in CONNECTING:
        for name in ("pitboss_handshakes_refused_total", "pitboss_connects_refused_total"):
            assert await count(house, name, kind.code) == 0
    assert await count(house, "pitboss_answers_unread_total") == 0
    named = {"slow_consumer", "flooding", "address_flooding", "too_large", "connect_timeout"}
    assert named <= REASONS.keys()
    named = {
        *("rate_limited", "too_many_connections", "too_many_user_connections", "too_many_rooms"),
        *("overloaded", "request_timeout", "too_large", "forbidden"),
    }
    assert named <= {kind.code for kind in CONNECTING}


@pytest.mark.parametrize("options", [{"max_packets_per_second_per_ip": 60}])
async def test_an_address_that_floods_over_http_is_slowed_down(house: House) -> None:
    outcomes: list[int] = []
    async with aiohttp.ClientSession() as flood:
        with suppress(aiohttp.ClientError):
            for _ in range(200):
                async with flood.get(f"{house.url}/healthz", headers={"Origin": FLOOR}) as answer:
                    outcomes.append(answer.status)
                    if answer.status == 429:
                        assert answer.headers["Retry-After"] == "1"
                        assert answer.headers["Connection"] == "close"
                        assert answer.headers["Access-Control-Allow-Origin"] == FLOOR
                        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
                        error = (await answer.json())["error"]
                        assert (error["code"], error["number"]) == ("rate_limited", 5001)
    assert outcomes[:20] == [200] * 20
    assert 429 in outcomes
    counters = house.pitboss.sockets.counters
    assert counters.refused["rate_limited"] == outcomes.count(429)
    # No session ended.
    assert not counters.disconnects


@pytest.mark.parametrize("options", [{"allowed_origins": [FLOOR]}])
async def test_pages_of_allowed_origins_log_in_from_elsewhere(house: House) -> None:
    for path in ("/api/v1/auth/login", "/api/v1/wallet", "/socket.io/?EIO=4&transport=polling"):
        status, headers, _ = await ask(house, "OPTIONS", path, {"Origin": FLOOR, **PREFLIGHT})
        assert status == 204
        assert headers["Access-Control-Allow-Origin"] == FLOOR
        assert {"GET", "POST"} <= set(headers["Access-Control-Allow-Methods"].split(", "))
        assert headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        status, headers, _ = await ask(house, "OPTIONS", path, {"Origin": EVIL, **PREFLIGHT})
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Vary"] == "Origin"

    path = "/api/v1/auth/guest"
    status, headers, answer = await ask(house, "POST", path, {"Origin": FLOOR})
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, FLOOR)
    assert "Origin" in headers["Vary"]
    bearer = {"Authorization": f"Bearer {answer['data']['access_token']}"}
    status, headers, _ = await ask(house, "GET", "/api/v1/wallet", {"Origin": FLOOR, **bearer})
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, FLOOR)
    # A refusal can be read as well.
    status, headers, _ = await ask(house, "GET", "/api/v1/wallet", {"Origin": FLOOR})
    assert (status, headers["Access-Control-Allow-Origin"]) == (401, FLOOR)


@pytest.mark.parametrize("options", [{"allowed_origins": [FLOOR]}])
async def test_pages_of_other_origins_change_nothing(house: House) -> None:
    before = await house.pool.fetchval("select count(*) from users")
    status, headers, answer = await ask(house, "POST", "/api/v1/auth/guest", {"Origin": EVIL})
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert "Access-Control-Allow-Origin" not in headers
    assert await house.pool.fetchval("select count(*) from users") == before
    assert await count(house, "pitboss_handshakes_refused_total", "forbidden") == 1
    # A name that an attacker gave the node is an origin like any other; programs have none.
    assert (await ask(house, "POST", "/api/v1/auth/guest", {"Origin": house.url}))[0] == 403
    assert (await ask(house, "POST", "/api/v1/auth/guest", {}))[0] == 200


async def test_any_page_may_unless_origins_are_set(house: House) -> None:
    status, headers, _ = await ask(house, "POST", "/api/v1/auth/guest", {"Origin": EVIL})
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, EVIL)


@pytest.mark.parametrize("options", [{"unread_timeout_milliseconds": 100}])
async def test_the_time_to_read_an_answer_is_as_set(house: House) -> None:
    async with raw(int(house.url.rsplit(":", 1)[1])) as slow:
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined] # of a StreamReader
        # More answers than all buffers on the way to a client hold.
        slow.send(b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n" * 500)
        async with asyncio.timeout(LIMIT_S):
            while not await count(house, "pitboss_answers_unread_total"):
                await asyncio.sleep(0.02)
        assert await count(house, "pitboss_answers_unread_total") == 1
        assert await count(house, "pitboss_disconnects_total", "slow_consumer") == 0


@pytest.mark.parametrize("options", [{"connect_timeout_milliseconds": 100}])
async def test_the_time_to_show_a_token_is_as_set(house: House) -> None:
    async with session(int(house.url.rsplit(":", 1)[1])) as socket:
        assert await socket.close_code() == 4003
    assert await count(house, "pitboss_disconnects_total", "connect_timeout") == 1
