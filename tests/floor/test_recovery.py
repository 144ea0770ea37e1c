"""Coming back to the floor: as the same player, to the newest balance, with either parser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import socketio

from tests.floor.house import LIMIT_S, House, Person, bet, request_id
from tests.floor.test_sessions import refused_handshake
from tests.sockets.raw import RawSocket, session


class Seated:
    """A player on a raw socket who may come back."""

    def __init__(self, socket: RawSocket, answer: dict[str, Any]) -> None:
        self.socket = socket
        self.sid: str = answer["sid"]
        self.pid: str = answer["pid"]
        self.offset: str | None = None

    async def event(self) -> list[Any]:
        """The next event as it came."""
        packet = await self.socket.packet()
        assert packet.startswith("42"), packet
        event: list[Any] = msgspec.json.decode(packet[2:])
        return event


@asynccontextmanager
async def seated(house: House, person: Person, **more: Any) -> AsyncIterator[Seated]:
    auth = {"token": person.token, "recover": True, **more}
    port = urlsplit(house.url).port
    assert port is not None
    async with session(port) as socket:
        socket.text("40" + msgspec.json.encode(auth).decode())
        packet = await socket.packet()
        assert packet.startswith("40{"), packet
        yield Seated(socket, msgspec.json.decode(packet[2:]))


async def noticed(house: House) -> None:
    """Wait until the server knows that somebody has gone."""
    async with asyncio.timeout(LIMIT_S):
        while not house.pitboss.sockets.recovery.absent:
            await asyncio.sleep(0.005)


async def balance(person: Person) -> dict[str, Any]:
    _status, answer = await person.http("GET", "/wallet")
    balances: dict[str, dict[str, Any]] = {
        one["currency"]: one for one in answer["data"]["balances"]
    }
    return balances.get("PLAY", {"available": 0})


async def test_who_was_tipped_while_away_comes_back_to_the_newest_balance(house: House) -> None:
    ann, bob = await house.register("ann"), await house.register("bob")
    await ann.pull()
    teller = await ann.connect()
    async with seated(house, bob) as first:
        pass
    await noticed(house)
    for amount in (100, 200, 300):
        tip = {"to": "bob", "currency": "PLAY", "amount": amount, "request_id": request_id()}
        await teller.ok("wallet:tip", tip)
    while (await balance(bob))["available"] < 600:
        await asyncio.sleep(0.01)

    async with seated(house, bob, pid=first.pid) as second:
        assert (second.sid, second.pid) == (first.sid, first.pid)
        name, data = await second.event()
        assert name == "wallet:updated"
        assert data["available"] == 600


async def test_nobody_comes_back_as_somebody_else(house: House) -> None:
    ann, bob = await house.guest(), await house.guest()
    async with seated(house, ann) as hers, seated(house, bob, pid=hers.pid) as his:
        assert his.pid != hers.pid
        assert his.sid != hers.sid


async def test_logging_out_is_final_also_for_who_is_away(house: House) -> None:
    ann = await house.register("ann")
    async with seated(house, ann) as first:
        pass
    await noticed(house)
    await ann.http("POST", "/auth/logout")
    login = {"login": "ann", "password": "correct horse"}
    _status, answer = await house.http("POST", "/auth/login", login)
    ann.token = answer["data"]["access_token"]
    async with seated(house, ann, pid=first.pid) as second:
        assert second.pid != first.pid


@pytest.mark.parametrize("options", [{"max_connections_per_user": 1}])
async def test_who_comes_back_is_not_counted_twice(house: House) -> None:
    ann = await house.guest()
    async with seated(house, ann) as first, seated(house, ann, pid=first.pid) as second:
        assert second.pid == first.pid


@pytest.mark.parametrize("options", [{"max_connections_per_user": 1}])
async def test_a_limit_is_not_evaded_with_one_s_own_private_id(house: House) -> None:
    ann = await house.guest()
    async with seated(house, ann) as first:
        auth = {"token": ann.token, "pid": first.pid}
        told = await refused_handshake(house, auth)
        assert isinstance(told["data"], dict)
        assert told["data"]["code"] == "too_many_user_connections"


async def test_bets_in_msgpack(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    client = socketio.AsyncClient(reconnection=False, serializer="msgpack")
    await client.connect(house.url, auth={"token": ann.token}, transports=["websocket"])
    try:
        await client.call("seed:get")
        placed = await client.call("dice:roll", bet())
        assert placed["success"], placed
        again = await client.call("bet:get", {"bet_id": placed["data"]["bet_id"]})
        assert again["data"]["stake"] == 100
        refused = await client.call("dice:roll", bet(stake=1.5))
        assert refused["error"]["code"] == "malformed"
        with_nul = await client.call("seed:set_client", {"client_seed": "a\0b"})
        assert with_nul["error"]["code"] == "malformed"
    finally:
        await client.disconnect()
