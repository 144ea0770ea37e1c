"""Coming back to the floor at another node: to what was missed, and to the newest balance."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from actors.crash.table import Table
from tests.floor.house import LIMIT_S, Person, request_id
from tests.floor.test_recovery import Seated, noticed, seated
from tests.floor.two_nodes import TwoNodes, at, two_nodes

TABLE = Table(
    1, "Quick", "PLAY", 100, 100_000, 10**8, betting_ms=150, pause_ms=50, most_multiplier=105
)
ROUND = ("round:opened", "round:started", "round:crashed")


@pytest_asyncio.fixture
async def two(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[TwoNodes]:
    """Two nodes, whose table plays fast."""
    async with two_nodes(database_url, redis_url, tmp_path, [TABLE]) as pair:
        yield pair


async def watch(seat: Seated) -> None:
    seat.socket.text('421["crash:watch",{"table":1}]')
    while not (await seat.socket.packet()).startswith("431["):
        pass


async def hear(seat: Seated, events: list[list[Any]], name: str, count: int = 1) -> None:
    """Take events in until `count` of a name have come."""
    while count:
        event = msgspec.json.decode((await seat.socket.packet())[2:])
        if event[0] != "round:ticked":
            assert isinstance(event, list)
            if isinstance(event[-1], str):
                seat.offset = event.pop()
            events.append(event)
            count -= event[0] == name


def rounds(events: list[list[Any]]) -> list[tuple[str, str]]:
    """What was told of rounds, each once, in order."""
    return [(name, data["round_id"]) for name, data in events if name in ROUND]


async def tipped(bob: Person, ann: Person, amount: int) -> None:
    tip = {"to": ann.username, "currency": "PLAY", "amount": amount, "request_id": request_id()}
    async with asyncio.timeout(LIMIT_S):
        while (await bob.http("POST", "/wallet/tip", tip))[0] != 200:
            await asyncio.sleep(0.05)


async def balance(person: Person, available: int) -> None:
    """Wait until a player has this."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            _status, answer = await person.http("GET", "/wallet")
            found = answer.get("data", {}).get("balances", [])
            if any(one["available"] == available for one in found):
                return
            await asyncio.sleep(0.02)


async def test_a_watcher_goes_from_node_to_node_and_misses_no_round(two: TwoNodes) -> None:
    here, there = two.houses
    ann, bob = await here.register("ann"), await there.register("bob")
    watcher = await bob.connect()
    await watcher.ok("crash:watch", {"table": 1})
    await watcher.hear("round:crashed")
    events: list[list[Any]] = []
    async with seated(here, ann) as seat:
        await watch(seat)
        await hear(seat, events, "round:crashed")
    last = seat
    for house in (there, here, there):
        await asyncio.sleep(0.1)
        again = {"pid": last.pid, "offset": last.offset}
        async with seated(house, at(house, ann), **again) as seat:
            assert (seat.sid, seat.pid) == (last.sid, last.pid)
            seat.offset = last.offset
            await hear(seat, events, "round:crashed", 2)
        last = seat
    assert not [event for event in events if event[0] == "room:interrupted"]
    of_ann = rounds(events)
    await watcher.hear("round:crashed", round_id=of_ann[-1][1])
    of_bob = rounds([[name, data] for name, data in watcher.told])
    first = of_bob.index(of_ann[0])
    assert of_ann == of_bob[first : first + len(of_ann)]
    outcomes = [house.pitboss.sockets.recovery.outcomes for house in two.houses]
    assert [one["recovered_elsewhere"] for one in outcomes] == [1, 2]


@pytest.mark.parametrize("has_left", [False, True])
async def test_who_comes_to_another_node_is_told_the_newest_balance(
    two: TwoNodes, has_left: bool
) -> None:
    here, there = two.houses
    ann, bob = await here.register("ann"), await there.register("bob")
    await bob.pull()
    async with seated(here, ann) as first:
        pass
    await noticed(here)
    if has_left:
        await two.first_leaves()
    await tipped(bob, ann, 100)
    await tipped(bob, ann, 200)
    ann = at(there, ann)
    await balance(ann, 300)

    async with seated(there, ann, pid=first.pid) as second:
        assert (second.sid, second.pid) == (first.sid, first.pid)
        events: list[list[Any]] = []
        await hear(second, events, "wallet:updated")
        interrupted = [["room:interrupted", {"room": f"user:{ann.user_id}"}]]
        assert events[:-1] == (interrupted if has_left else [])
        assert events[-1][1]["available"] == 300


async def test_a_node_that_leaves_asks_its_clients_to_come_back_elsewhere(two: TwoNodes) -> None:
    here, there = two.houses
    ann = await here.register("ann")
    async with seated(here, ann) as first:
        await watch(first)
        leaving = asyncio.create_task(two.first_leaves())
        events: list[list[Any]] = []
        await hear(first, events, "server:draining")
        again = {"pid": first.pid}
        if first.offset is not None:
            again["offset"] = first.offset
        async with seated(there, at(there, ann), **again) as second:
            assert second.pid == first.pid
            await hear(second, events, "room:interrupted", 2)
            await hear(second, events, "round:crashed")
    await leaving
    told = rounds(events)
    assert len(told) == len(set(told)), "none twice"


async def test_nobody_comes_back_as_somebody_else_from_elsewhere(two: TwoNodes) -> None:
    here, there = two.houses
    ann, bob = await here.guest(), await there.guest()
    async with seated(here, ann) as hers, seated(there, bob, pid=hers.pid) as his:
        assert his.pid != hers.pid
        assert his.sid != hers.sid
    async with seated(there, at(there, ann), pid=hers.pid) as back:
        assert back.sid == hers.sid


async def test_logging_out_is_final_everywhere(two: TwoNodes) -> None:
    here, there = two.houses
    ann = await here.register("ann")
    async with seated(here, ann) as first:
        pass
    await noticed(here)
    await ann.http("POST", "/auth/logout")
    login = {"login": "ann", "password": "correct horse"}
    _status, answer = await there.http("POST", "/auth/login", login)
    ann = at(there, ann)
    ann.token = answer["data"]["access_token"]
    async with seated(there, ann, pid=first.pid) as second:
        assert second.pid != first.pid
