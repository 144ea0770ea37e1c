"""What operators see of a node: its numbers, who is connected, and its rooms."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
import pytest
import socketio

from protocol.bounds import MAX_ROOMS_SHOWN
from server.sockets.engine import Engine
from tests.floor.house import LIMIT_S, Fields, House, Person, Seat, bet
from tests.sockets.raw import session

COMMANDS = ["node:stats", "node:connections", "node:rooms"]


async def page(operator: Person, what: str, **query: Any) -> Fields:
    """A page over the HTTP door."""
    path = f"/node/{what}" + (f"?{urlencode(query)}" if query else "")
    status, answer = await operator.http("GET", path)
    assert status == 200, answer
    data: Fields = answer["data"]
    return data


async def stats(operator: Person) -> Fields:
    return await page(operator, "stats")


async def connections(operator: Person, **query: Any) -> list[Fields]:
    found: list[Fields] = (await page(operator, "connections", **query))["connections"]
    return found


def users(entries: Iterable[Fields]) -> list[int]:
    return [socket["user_id"] for entry in entries for socket in entry["sockets"]]


async def until(condition: Any) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def asking(house: House, **auth: Any) -> AsyncIterator[str]:
    """A client that has asked to join, and what it was told."""
    async with session(port_of(house)) as socket:
        socket.text("40" + msgspec.json.encode(auth).decode())
        yield await socket.packet()


@asynccontextmanager
async def recovering(house: House, person: Person, **auth: Any) -> AsyncIterator[Fields]:
    """A client that may come back, and what it was told when it joined."""
    async with asking(house, token=person.token, recover=True, **auth) as packet:
        assert packet.startswith("40{"), packet
        yield msgspec.json.decode(packet[2:])


async def refused(house: House, token: str) -> str:
    """The error that refuses a client with this token."""
    async with asking(house, token=token) as packet:
        assert packet.startswith("44{"), packet
        code: str = msgspec.json.decode(packet[2:])["data"]["code"]
        return code


def port_of(house: House) -> int:
    port = urlsplit(house.url).port
    assert port is not None
    return port


class Polling:
    """A long-polling client that reads when a test says so."""

    def __init__(self, house: House, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._url = f"{house.url}/socket.io/?EIO=4&transport=polling"
        self.sid = ""

    async def open(self, person: Person) -> None:
        handshake = await self.read()
        self.sid = msgspec.json.decode(handshake[1:])["sid"]
        self._url += f"&sid={self.sid}"
        body = "40" + msgspec.json.encode({"token": person.token}).decode()
        async with self._http.post(self._url, data=body) as answer:
            assert await answer.text() == "ok"
        assert (await self.read()).startswith("40{")

    async def read(self) -> str:
        async with self._http.get(self._url) as answer:
            return await answer.text()


@asynccontextmanager
async def polling(house: House, person: Person) -> AsyncIterator[Polling]:
    async with aiohttp.ClientSession() as http:
        client = Polling(house, http)
        await client.open(person)
        yield client


@pytest.mark.parametrize("command", COMMANDS)
async def test_only_those_who_run_the_node_look(house: House, command: str) -> None:
    player, operator = await house.guest(), await house.operator()
    path = "/" + command.replace(":", "/")
    assert await (await player.connect()).refused(command, {}) == "forbidden"
    status, answer = await player.http("GET", path)
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    status, answer = await house.http("GET", path)
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")
    over_http = await operator.http("GET", path)
    assert over_http[0] == 200
    over_socket = await (await operator.connect()).ok(command)
    assert over_socket.keys() == over_http[1]["data"].keys()


async def test_the_node_says_what_is_open_and_what_has_ended(house: House) -> None:
    began_ms = time.time_ns() // 1_000_000
    operator, ann, bob = await house.operator(), await house.guest(), await house.guest()
    before = await stats(operator)
    assert began_ms - LIMIT_S * 1_000 < before["started_at_ms"] <= began_ms
    assert before["connections"] == before["sockets"] == before["disconnects"] == {}
    await ann.connect(transports=["polling"])
    seat = await ann.connect()
    async with recovering(house, bob):
        open_now = await stats(operator)
    await seat.client.disconnect()
    assert await refused(house, "x.y.z") == "token_invalid"
    counters = house.pitboss.sockets.counters
    await until(lambda: counters.disconnects.total() == 3)
    after = await stats(operator)

    assert open_now["connections"] == {"polling": 1, "websocket": 2}
    assert (open_now["sockets"], open_now["rooms"]) == ({"/": 3}, 2)
    assert (open_now["sockets_awaited"], open_now["handshakes_waiting"]) == (0, 0)
    assert after["connections"] == {"polling": 1, "websocket": 0}
    assert after["sockets"] == {"/": 1}
    # Bob's room is kept for him.
    assert (after["sockets_awaited"], after["rooms"]) == (1, 2)
    assert after["disconnects"] == dict(counters.disconnects)
    assert after["connects_refused"] == {"token_invalid": 1}
    assert after["handshakes_refused"] == {}


@pytest.mark.parametrize("options", [{"max_connections": 1}])
async def test_refused_handshakes_are_told_by_error(house: House) -> None:
    operator = await house.operator()
    await operator.connect()
    async with aiohttp.ClientSession() as http:
        url = f"{house.url}/socket.io/?EIO=4&transport=polling"
        async with http.get(url) as answer:
            assert answer.status == 503
    assert (await stats(operator))["handshakes_refused"] == {"overloaded": 1}


async def test_recoveries_are_told_and_on_the_metrics_page(house: House) -> None:
    operator, ann = await house.operator(), await house.guest()
    async with recovering(house, ann) as told:
        pass
    recovery = house.pitboss.sockets.recovery
    await until(lambda: recovery.absent == 1)
    assert "\npitboss_sockets_awaited 1.0\n" in await metrics(house)
    for pid in (told["pid"], "nobody's"):
        async with recovering(house, ann, pid=pid):
            pass
    assert (await stats(operator))["recoveries"] == {"recovered": 1, "unknown": 1}
    text = await metrics(house)
    for kind, count in (("recovered", 1), ("unknown", 1), ("forgotten", 0)):
        assert f'\npitboss_recoveries_total{{kind="{kind}"}} {count}.0\n' in text


async def metrics(house: House) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{house.url}/metrics") as answer:
        return await answer.text()


class TestRates:
    """The job that samples is away; the test takes the samples, by its own clock."""

    @pytest.fixture
    def options(self, monkeypatch: pytest.MonkeyPatch) -> Fields:
        monkeypatch.setattr("server.app.SAMPLE_S", 1_000_000)
        return {}

    async def test_what_goes_on_is_told_by_the_second(self, house: House) -> None:
        operator, ann = await house.operator(), await house.guest()
        await ann.pull()
        seat, leaver = await ann.connect(), await ann.connect()
        pulse = house.pitboss.pulse
        start_s = pulse._samples[0].at_s
        pulse._clock_s = lambda: start_s + 10
        pulse.sample()
        for _ in range(3):
            await seat.ok("dice:roll", bet())
        await seat.ok("bets:place", {"bets": [bet(), bet(), bet()]})
        await seat.refused("dice:roll", bet(stake=0))
        await seat.ok("wallet:get")
        await leaver.client.disconnect()
        counters = house.pitboss.sockets.counters
        await until(lambda: counters.disconnects.total() == 1)
        pulse._clock_s = lambda: start_s + 12
        pulse.sample()

        told = await stats(operator)
        second, minute = told["last_second"], told["last_minute"]
        assert (second["seconds"], minute["seconds"]) == (2, 12)
        assert second["bets_per_second"] == (3 + 3) / 2
        assert minute["bets_per_second"] == (3 + 3) / 12
        assert second["commands_per_second"] == (3 + 1 + 1 + 1) / 2
        # The leaver's own packets are its DISCONNECT and its CLOSE, of which one may be lost.
        assert 6 / 2 <= second["packets_in_per_second"] <= (6 + 2) / 2
        assert second["packets_out_per_second"] >= 6 / 2
        assert minute["packets_in_per_second"] == counters.packets_in / 12
        assert minute["bytes_in_per_second"] == counters.bytes_in / 12
        assert 0 < second["bytes_in_per_second"] < 6 * minute["bytes_in_per_second"]
        assert 0 < second["bytes_out_per_second"] < 6 * minute["bytes_out_per_second"]
        assert (second["opened_per_second"], minute["opened_per_second"]) == (0, 2 / 12)
        assert (second["ended_per_second"], minute["ended_per_second"]) == (1 / 2, 1 / 12)


async def test_samples_are_taken_by_themselves(house: House) -> None:
    pulse = house.pitboss.pulse
    await until(lambda: len(pulse._samples) > 2)
    # The loop's lateness is among them: only on a perfect machine it would always be none.
    await until(lambda: any(sample.lag_s for sample in pulse._samples))


async def test_a_connection_is_told_with_who_joined_it(house: House) -> None:
    operator, ann = await house.operator(), await house.register("ann")
    began_ms = time.time_ns() // 1_000_000
    seat = await ann.connect()
    [entry] = await connections(operator)
    now_ms = time.time_ns() // 1_000_000
    assert began_ms - 1 <= entry.pop("connected_at_ms") <= now_ms + 1
    assert entry == {
        "number": 1,
        "address": "127.0.0.1",
        "transport": "websocket",
        "parser": "json",
        "packets_counted": 0,
        "waiting_bytes": 0,
        "sockets": [
            {
                "id": seat.client.get_sid(),
                "namespace": "/",
                "user_id": ann.user_id,
                "username": "ann",
                "role": "player",
                "room_count": 1,
                "rooms": [f"user:{ann.user_id}"],
            }
        ],
    }
    await seat.client.disconnect()
    await until(lambda: not house.pitboss.sockets.engine.connections)
    assert await connections(operator) == []


async def test_each_transport_and_parser_is_told(house: House) -> None:
    operator, ann = await house.operator(), await house.guest()
    await ann.connect(transports=["polling"])
    upgraded = await ann.connect(transports=["polling", "websocket"])
    await until(lambda: upgraded.client.transport() == "websocket")
    seat = Seat()
    seat.client = socketio.AsyncClient(serializer="msgpack", reconnection=False)
    house.seats.append(seat)
    await seat.client.connect(house.url, auth={"token": ann.token}, transports=["websocket"])
    found = await connections(operator)
    assert [(entry["transport"], entry["parser"]) for entry in found] == [
        ("websocket", "msgpack"),
        ("websocket", "json"),
        ("polling", "json"),
    ]
    assert users(found) == [ann.user_id] * 3


async def test_who_has_joined_nothing_yet_is_told_as_well(house: House) -> None:
    operator = await house.operator()
    async with session(port_of(house)):
        [entry] = await connections(operator)
        assert entry["sockets"] == []
        assert await connections(operator, user_id=1) == []


async def test_nothing_that_gives_access_is_told(house: House) -> None:
    operator, ann = await house.operator(), await house.guest()
    await ann.connect()
    async with polling(house, ann) as client, recovering(house, ann) as told:
        secrets = [*house.pitboss.sockets.engine.connections, client.sid, told["pid"], ann.token]
        assert len(secrets) == 3 + len(("sid", "pid", "token"))
        for what in ("stats", "connections", "rooms"):
            text = msgspec.json.encode(await page(operator, what)).decode()
            assert not [secret for secret in secrets if secret in text], what
        assert told["sid"] in msgspec.json.encode(await connections(operator)).decode()


async def test_what_a_client_has_not_fetched_waits(house: House) -> None:
    operator, ann = await house.operator(), await house.guest()
    async with polling(house, ann) as client:
        assert [entry["waiting_bytes"] for entry in await connections(operator)] == [0]
        await ann.pull()
        [entry] = await connections(operator)
        # What is read has a separator between packets, and this is one packet.
        assert entry["waiting_bytes"] == len(await client.read()) > 0
        assert [entry["waiting_bytes"] for entry in await connections(operator)] == [0]


async def test_packets_are_told_as_they_are_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, ann = await house.operator(), await house.guest()
    seat = await ann.connect()
    counted = house.pitboss.sockets.engine.packets_per_look
    now_s = house.pitboss.sockets.engine.now()
    monkeypatch.setattr(Engine, "now", lambda _engine: now_s)
    for expected in (counted + 1, 2 * (counted + 1)):
        await asyncio.gather(*(seat.call("no:command") for _ in range(counted + 1)))
        [entry] = await connections(operator)
        assert entry["packets_counted"] == expected
    now_s += 1
    [entry] = await connections(operator)
    assert entry["packets_counted"] == 0


async def test_pages_go_from_the_newest_to_the_oldest_whoever_comes_and_goes(house: House) -> None:
    operator = await house.operator()
    people = [await house.guest() for _ in range(7)]
    seats = [await person.connect() for person in people]
    first = await page(operator, "connections", limit=3)
    assert users(first["connections"]) == [person.user_id for person in people[:3:-1]]
    # The one where the next page begins goes, one that is still to come goes, and one comes.
    for index in (4, 2):
        await seats[index].client.disconnect()
        await until(lambda: len(house.pitboss.sockets.engine.connections) < len(seats))
    await until(lambda: len(house.pitboss.sockets.engine.connections) == 5)
    await (await house.guest()).connect()
    second = await page(operator, "connections", limit=2, before=first["next_before"])
    assert users(second["connections"]) == [people[3].user_id, people[1].user_id]
    third = await page(operator, "connections", limit=2, before=second["next_before"])
    assert (users(third["connections"]), third["next_before"]) == ([people[0].user_id], None)


@pytest.mark.parametrize("options", [{"trusted_proxies": ["127.0.0.0/8"]}])
async def test_connections_are_found_by_user_address_room_and_transport(house: House) -> None:
    operator, ann, bob = await house.operator(), await house.guest(), await house.guest()
    ann_here = await connect_from(ann, "203.0.113.7", "websocket")
    ann_there = await connect_from(ann, "2001:db8:0:1::5", "polling")
    bob_there = await connect_from(bob, "2001:db8:0:1::9", "websocket")
    everybody = {entry["number"]: entry for entry in await connections(operator)}
    ids = {entry["sockets"][0]["id"]: number for number, entry in everybody.items()}
    ah, at, bt = (ids[seat.client.get_sid()] for seat in (ann_here, ann_there, bob_there))
    for query, numbers in (
        ({"user_id": ann.user_id}, [at, ah]),
        ({"user_id": 2**53 - 1}, []),
        ({"address": "203.0.113.7"}, [ah]),
        ({"address": "203.0.113.8"}, []),
        ({"address": "2001:db8:0:1::77"}, [bt, at]),
        ({"address": "2001:db8:0:1::/64"}, [bt, at]),
        ({"room": f"user:{bob.user_id}"}, [bt]),
        ({"room": "user:"}, []),
        ({"transport": "polling"}, [at]),
        ({"transport": "websocket", "user_id": ann.user_id}, [ah]),
        ({"room": f"user:{bob.user_id}", "user_id": ann.user_id}, []),
        ({"address": "2001:db8:0:1::1", "room": f"user:{ann.user_id}"}, [at]),
    ):
        assert [one["number"] for one in await connections(operator, **query)] == numbers, query


async def connect_from(person: Person, address: str, transport: str) -> Seat:
    headers = {"X-Forwarded-For": address}
    return await person.connect(headers=headers, transports=[transport])


@pytest.mark.parametrize(
    ("what", "query"),
    [
        ("connections", {"limit": 101}),
        ("connections", {"limit": 0}),
        ("connections", {"before": 0}),
        ("connections", {"transport": "pigeon"}),
        ("connections", {"room": ""}),
        ("connections", {"room": "x" * 129}),
        ("connections", {"address": "\0"}),
        ("connections", {"sid": "x"}),
        ("rooms", {"prefix": "x" * 129}),
        ("rooms", {"namespace": "chat"}),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    house: House, what: str, query: Fields
) -> None:
    operator = await house.operator()
    status, answer = await operator.http("GET", f"/node/{what}?{urlencode(query)}")
    assert (status, answer["error"]["code"]) == (400, "malformed")


async def test_one_call_looks_at_so_many_and_says_where_to_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.newest.MAX_LOOKS_PER_PAGE", 2)
    operator, ann = await house.operator(), await house.guest()
    await ann.connect()
    for _ in range(4):
        await (await house.guest()).connect()
    for what, query, key in (
        ("connections", {"user_id": ann.user_id}, "connections"),
        ("rooms", {"prefix": f"user:{ann.user_id}"}, "rooms"),
    ):
        found: list[int] = []
        before: Fields = {}
        while True:
            told = await page(operator, what, **query, **before)
            found.append(len(told[key]))
            if told["next_before"] is None:
                break
            before = {"before": told["next_before"]}
        assert found == [0, 0, 1]


async def test_rooms_are_told_with_how_many_are_inside_and_awaited(house: House) -> None:
    operator, ann, bob = await house.operator(), await house.guest(), await house.guest()
    await ann.connect()
    await ann.connect()
    async with recovering(house, ann), recovering(house, bob):
        pass
    recovery = house.pitboss.sockets.recovery
    await until(lambda: recovery.absent == 2)
    told = await page(operator, "rooms")
    assert told == {
        "rooms": [
            {
                "number": 2,
                "namespace": "/",
                "room": f"user:{bob.user_id}",
                "members": 1,
                "members_awaited": 1,
            },
            {
                "number": 1,
                "namespace": "/",
                "room": f"user:{ann.user_id}",
                "members": 3,
                "members_awaited": 1,
            },
        ],
        "next_before": None,
    }
    for socket in recovery._absent.running():
        recovery.forget(socket)
    [room] = (await page(operator, "rooms"))["rooms"]
    assert (room["members"], room["members_awaited"]) == (2, 0)


async def test_rooms_are_found_by_the_beginning_of_their_names(house: House) -> None:
    operator, ann = await house.operator(), await house.guest()
    await ann.connect()
    [socket] = house.pitboss.sockets.hub.sockets_of("/", f"user:{ann.user_id}")
    for name in ("crash:1", "crash:2", "chat:1", "crash:3"):
        socket.join(name)
    first = await page(operator, "rooms", prefix="crash:", limit=2)
    assert [room["room"] for room in first["rooms"]] == ["crash:3", "crash:2"]
    second = await page(operator, "rooms", prefix="crash:", before=first["next_before"])
    assert [room["room"] for room in second["rooms"]] == ["crash:1"]
    assert second["next_before"] is None
    status, answer = await operator.http("GET", "/node/rooms?namespace=/nowhere")
    assert (status, answer["error"]["code"]) == (404, "invalid_namespace")


async def test_of_many_rooms_of_a_socket_some_are_named(house: House) -> None:
    operator, ann = await house.operator(), await house.guest()
    await ann.connect()
    [socket] = house.pitboss.sockets.hub.sockets_of("/", f"user:{ann.user_id}")
    names = [f"chat:{number:03}" for number in range(3 * MAX_ROOMS_SHOWN)]
    for name in reversed(names):
        socket.join(name)
    [entry] = await connections(operator)
    [shown] = entry["sockets"]
    assert (shown["room_count"], shown["rooms"]) == (len(names) + 1, names[:MAX_ROOMS_SHOWN])
