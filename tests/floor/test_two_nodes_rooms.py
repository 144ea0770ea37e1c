"""Two nodes on one PostgreSQL and one Redis: whoever sits where, all are told the same."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from actors.crash.rules import CRASH
from actors.crash.table import Table
from server import metrics
from server.app import Pitboss
from storage.audit import audit
from tests.floor.house import LIMIT_S, Fields, House, Person, Seat, bet, request_id
from tests.floor.two_nodes import at, player_of, two_nodes

TABLE = Table(
    1, "Quick", "PLAY", 100, 100_000, 10**8, betting_ms=400, pause_ms=100, most_multiplier=120
)
# Events of a table that everybody who watches is told alike, one by one.
ROUND = ("round:opened", "round:started", "round:crashed")


@pytest_asyncio.fixture
async def houses(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sequence[House]]:
    """Two nodes, each of which owns some shards."""
    monkeypatch.setattr(metrics, "KEPT_S", 0.0)
    async with two_nodes(database_url, redis_url, tmp_path, [TABLE]) as two:
        yield two.houses


def told(seat: Seat, *events: str) -> list[Any]:
    return [data for event, data in seat.told if event in events]


async def both_at(houses: Sequence[House]) -> tuple[Person, Seat, Seat]:
    """A player with a socket at the node that owns the wallet, and one at the other."""
    one, two = houses
    ann = await player_of(one, "ann")
    await ann.pull()
    return ann, await ann.connect(), await at(two, ann).connect()


async def test_a_player_s_other_sockets_are_told_wherever_they_are(houses: Sequence[House]) -> None:
    _ann, here, there = await both_at(houses)

    placed = await there.ok("dice:roll", bet())
    assert (await here.hear("wallet:updated"))["seq"] == placed["balance"]["seq"]
    placed = await here.ok("dice:roll", bet())
    assert (await there.hear("wallet:updated"))["seq"] == placed["balance"]["seq"]

    # Each was told the other's bet alone: its own it knew from the answer.
    assert len(told(here, "wallet:updated")) == len(told(there, "wallet:updated")) == 1


async def test_the_socket_that_asked_from_afar_is_not_told_what_its_answer_said(
    houses: Sequence[House],
) -> None:
    ann, here, there = await both_at(houses)
    await here.client.disconnect()
    first = await there.ok("dice:roll", bet())
    for _ in range(30):
        await there.ok("dice:roll", bet())
    await asyncio.gather(*(there.ok("dice:roll", bet()) for _ in range(30)))
    seat = await at(houses[1], ann).connect()
    last = await seat.ok("dice:roll", bet())
    await there.hear("wallet:updated", seq=last["balance"]["seq"])

    assert last["balance"]["seq"] == first["balance"]["seq"] + 61
    assert [state["seq"] for state in told(there, "wallet:updated")] == [last["balance"]["seq"]]


async def test_a_table_plays_for_all_nodes_alike(houses: Sequence[House]) -> None:
    ann, bob = await player_of(houses[0], "ann"), await player_of(houses[1], "bob")
    seats = [await ann.connect(), await bob.connect()]
    for person, seat in zip((ann, bob), seats, strict=True):
        await person.pull()
        await seat.ok("crash:watch", {"table": 1})
    for seat in seats:
        seat.told.clear()
    opened = await seats[0].hear("round:opened")
    placed = []
    for seat in seats:
        fields = {"round_id": opened["round_id"], "stake": 100, "currency": "PLAY"}
        placed.append(await seat.call("crash:bet", {**fields, "request_id": request_id()}))
    for seat in seats:
        await seat.hear("round:crashed", round_id=opened["round_id"])

    assert any(answer["success"] for answer in placed), placed
    rounds = [
        [
            data
            for event, data in seat.told
            if event in ROUND and data["round_id"] == opened["round_id"]
        ]
        for seat in seats
    ]
    assert rounds[0] == rounds[1]
    assert len(rounds[0]) == len(ROUND)
    joined = [
        [item["player"] for listed in told(seat, "bet:joined") for item in listed["items"]]
        for seat in seats
    ]
    assert sorted(joined[0]) == sorted(joined[1]) != []
    assert [house.pitboss.node.owns(CRASH, 1) for house in houses].count(True) == 1


async def test_the_feed_is_of_all_nodes(houses: Sequence[House]) -> None:
    one, two = houses
    ann, bob = await player_of(one, "ann"), await player_of(two, "bob")
    await ann.pull()
    looks = await bob.connect()
    await looks.ok("feed:watch")
    seat = await ann.connect()
    stakes = range(101, 106)
    for stake in stakes:
        await seat.ok("dice:roll", bet(stake=stake, target=1))

    async with asyncio.timeout(LIMIT_S):
        while True:
            seen = [shown["stake"] for one in told(looks, "feed:joined") for shown in one["bets"]]
            if set(seen) == set(stakes):
                break
            await asyncio.sleep(0.02)
    assert sorted(seen) == list(stakes), "each is told once"
    here = (await ann.http("GET", "/feed"))[1]["data"]
    assert (await bob.http("GET", "/feed"))[1]["data"] == here
    assert {shown["player"] for shown in here["recent"]} == {ann.username}


async def test_it_rains_on_those_who_are_active_on_any_node(
    houses: Sequence[House], database_url: str
) -> None:
    one, two = houses
    ann, bob, cat = [await player_of(one, name) for name in ("ann", "bob", "cat")]
    await ann.pull("USD")
    # Bob has come to both nodes, and counts once.
    seats = [await ann.connect(), await at(two, bob).connect(), await bob.connect()]
    seats.append(await at(two, cat).connect())
    for seat in seats:
        await seat.ok("feed:watch")
    rain = {"room": "feed", "currency": "USD", "amount": 101, "request_id": request_id()}

    fell = await seats[0].ok("rain:start", rain)
    assert (fell["receivers"], fell["share"]) == (2, 50)
    for seat in seats:
        assert (await seat.hear("rain:fell"))["from"] == ann.username
    assert (await seats[3].hear("wallet:updated", currency="USD"))["available"] == 50
    assert await seats[0].ok("rain:start", rain) == fell
    async with asyncio.timeout(LIMIT_S):
        while await one.pool.fetchval("select count(*) from outbox"):
            await asyncio.sleep(0.02)
    report = await audit(database_url, one.pitboss.storage.vault)
    assert report.findings == []


async def test_what_follows_a_rain_waits_behind_it(houses: Sequence[House]) -> None:
    ann, bob = await player_of(houses[0], "ann"), await player_of(houses[1], "bob")
    await ann.pull("USD")
    seat, other = await ann.connect(), await bob.connect()
    await other.ok("feed:watch")
    rain = {"room": "feed", "currency": "USD", "amount": 100_000, "request_id": request_id()}
    fell, refused = await asyncio.gather(
        seat.call("rain:start", rain),
        seat.call("dice:roll", bet(currency="USD", stake=100)),
    )

    assert fell["success"]
    assert refused["error"]["code"] == "insufficient_balance"


async def test_a_session_that_ends_on_one_node_ends_on_the_other(houses: Sequence[House]) -> None:
    one, two = houses
    ann = await player_of(one, "ann")
    elsewhere = at(two, ann)
    seat = await elsewhere.connect()
    assert (await elsewhere.http("GET", "/wallet"))[0] == 200
    assert (await ann.http("POST", "/auth/logout", {}))[0] == 200

    async with asyncio.timeout(LIMIT_S):
        await seat.gone.wait()
    status, answer = await elsewhere.http("GET", "/wallet")
    assert (status, answer["error"]["code"]) == (401, "session_revoked")


async def test_rooms_hear_that_they_may_have_missed_something(
    houses: Sequence[House], redis_url: str
) -> None:
    ann, here, there = await both_at(houses)
    room = f"user:{ann.user_id}"
    async with Redis.from_url(redis_url) as redis:
        [south] = [
            client
            for client in await redis.client_list()
            if client["name"] == bus_name(houses[1].pitboss)
        ]
        await redis.client_kill_filter(_id=south["id"])
    assert await there.hear("room:interrupted") == {"room": room}
    balance = (await there.ok("wallet:get"))["balances"][0]["available"]
    assert balance == (await here.ok("wallet:get"))["balances"][0]["available"]

    # And everything is told as before.
    placed = await here.ok("dice:roll", bet())
    await there.hear("wallet:updated", seq=placed["balance"]["seq"])
    assert told(here, "room:interrupted") == []
    page = await metrics_of(houses[1])
    assert page["pitboss_far_rooms_interrupted_total"] >= 1
    assert page["pitboss_far_rooms_heard_total"] >= 1
    assert (await metrics_of(houses[0]))["pitboss_far_rooms_published_total"] >= 1


def bus_name(pitboss: Pitboss) -> str:
    """What a node's connection to Redis is called."""
    return f"{pitboss.settings.cluster_name}-bus-{pitboss.sockets.engine.member}"


async def metrics_of(house: House) -> Fields:
    """What a node tells Prometheus, but for what has labels."""
    async with house._session.get(f"{house.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line[0] != "#" and "{" not in line)
    return {name: float(value) for name, value in pairs}
