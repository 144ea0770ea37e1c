"""Sessions and sockets: who gets in, how long they stay, and what ends them."""

import asyncio

import pytest
import socketio

from tests.floor.house import LIMIT_S, House, bet


async def refused_handshake(house: House, auth: object) -> dict[str, object]:
    client = socketio.AsyncClient(reconnection=False)
    told: list[dict[str, object]] = []
    client.on("connect_error", told.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(house.url, auth=auth, transports=["websocket"])
    await client.shutdown()
    assert told
    return told[0]


async def test_without_a_good_token_nobody_gets_in(house: House) -> None:
    for auth, code in (
        (None, "unauthenticated"),
        ({}, "unauthenticated"),
        ({"token": ""}, "unauthenticated"),
        ({"token": "x.y.z"}, "token_invalid"),
        ({"token": 7}, "malformed"),
    ):
        told = await refused_handshake(house, auth)
        assert isinstance(told["data"], dict)
        assert told["data"]["code"] == code


async def test_log_out_ends_the_sessions_sockets_and_its_tokens(house: House) -> None:
    ann = await house.register("ann")
    seat, other = await ann.connect(), await ann.connect()
    login = {"login": "ann", "password": "correct horse"}
    _status, elsewhere = await house.http("POST", "/auth/login", login)
    assert await seat.ok("auth:logout") == {}
    async with asyncio.timeout(LIMIT_S):
        await seat.gone.wait()
        await other.gone.wait()
    status, answer = await ann.http("GET", "/wallet")
    assert (status, answer["error"]["code"]) == (401, "session_revoked")
    told = await refused_handshake(house, {"token": ann.token})
    assert isinstance(told["data"], dict)
    assert told["data"]["code"] == "session_revoked"
    status, _ = await house.http("POST", "/auth/refresh", {"refresh_token": ann.refresh_token})
    assert status == 401
    ann.token = elsewhere["data"]["access_token"]
    assert (await ann.http("GET", "/wallet"))[0] == 200


async def test_a_session_revoked_elsewhere_ends_its_sockets_here(house: House) -> None:
    ann, bob = await house.register("ann"), await house.register("bob")
    seat, other = await ann.connect(), await bob.connect()
    await house.pool.execute(
        "update users set disabled_at_ms = 1 where username = $1", ann.username
    )
    await house.pitboss._check_sessions()
    async with asyncio.timeout(LIMIT_S):
        await seat.gone.wait()
    await other.ok("wallet:get")


async def test_a_reused_refresh_token_ends_the_session(house: House) -> None:
    ann = await house.register("ann")
    seat = await ann.connect()
    body = {"refresh_token": ann.refresh_token}
    status, renewed = await house.http("POST", "/auth/refresh", body)
    assert status == 200
    status, answer = await house.http("POST", "/auth/refresh", body)
    assert (status, answer["error"]["code"]) == (401, "token_reused")
    async with asyncio.timeout(LIMIT_S):
        await seat.gone.wait()
    body = {"refresh_token": renewed["data"]["refresh_token"]}
    status, answer = await house.http("POST", "/auth/refresh", body)
    assert (status, answer["error"]["code"]) == (401, "session_revoked")


async def test_an_open_socket_is_renewed_in_band(house: House) -> None:
    ann = await house.register("ann")
    seat = await ann.connect()
    _status, renewed = await house.http(
        "POST", "/auth/refresh", {"refresh_token": ann.refresh_token}
    )
    token = renewed["data"]["access_token"]
    assert 890 <= (await seat.ok("auth:refresh", {"token": token}))["expires_in"] <= 900
    stranger = await house.register("bob")
    assert await seat.refused("auth:refresh", {"token": stranger.token}) == "token_invalid"
    assert await seat.refused("auth:refresh", {"token": "x"}) == "token_invalid"
    await seat.ok("wallet:get")


async def test_a_token_that_ends_is_announced_and_then_ends_the_socket(house: House) -> None:
    accounts, floor = house.pitboss.accounts, house.pitboss.floor
    ann = await house.register("ann")
    user = await accounts.user_of("ann")
    assert user is not None
    ann.token = await accounts.issue_token(user, 30)
    seat = await ann.connect()
    floor.check_tokens()
    floor.check_tokens()
    news = await seat.hear("token:expiring")
    assert 0 < news["expires_in"] <= 30
    assert [event for event, _ in seat.told] == ["token:expiring"]
    floor._now_ms = lambda: 2**50
    floor.check_tokens()
    async with asyncio.timeout(LIMIT_S):
        await seat.gone.wait()


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_every_transport_carries_a_bet(house: House, transports: list[str]) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect(transports=transports)
    placed = await seat.ok("dice:roll", bet())
    assert placed["balance"]["seq"] == 2


async def test_unknown_and_odd_commands_are_refused_and_the_socket_lives(house: House) -> None:
    ann = await house.guest()
    seat = await ann.connect()
    assert await seat.refused("dice:cheat", {}) == "unknown_command"
    login = {"login": "a", "password": "b"}
    assert await seat.refused("auth:login", login) == "unknown_command"
    assert await seat.refused("wallet:get", [1, 2]) == "malformed"
    assert await seat.refused("wallet:get", b"bytes") == "malformed"
    assert await seat.refused("wallet:get", ("two", "arguments")) == "malformed"
    await seat.ok("wallet:get", {})


@pytest.mark.parametrize("username", ["console", "Demo", "GUEST_1"])
async def test_names_of_the_house_cannot_be_registered(house: House, username: str) -> None:
    body = {"email": "a@example.com", "username": username, "password": "correct horse"}
    status, answer = await house.http("POST", "/auth/register", body)
    assert (status, answer["error"]["code"]) == (409, "name_taken")


async def test_two_refreshes_at_once_leave_nothing_behind(house: House) -> None:
    ann = await house.register("ann")
    seat = await ann.connect()
    login = {"login": "ann", "password": "correct horse"}
    tokens = []
    for _ in range(2):
        _status, session = await house.http("POST", "/auth/login", login)
        tokens.append(session["data"]["access_token"])
    await asyncio.gather(*(seat.ok("auth:refresh", {"token": token}) for token in tokens))
    assert len(house.pitboss.floor.sessions) == 1
    await seat.client.disconnect()
    async with asyncio.timeout(LIMIT_S):
        await seat.gone.wait()
    await house.guest()
    assert house.pitboss.floor.sessions == []
