"""The live feed over real sockets: bets of every game, once they are committed."""

import asyncio
from typing import Any

import pytest

from actors.crash.table import Table
from server import feed
from tests.floor.house import LIMIT_S, Fields, House, Seat, bet, request_id


@pytest.fixture
def options() -> dict[str, Any]:
    """A quick table of crash beside the other games."""
    table = Table(1, "Quick", "PLAY", 100, 100_000, 10**8, betting_ms=300, most_multiplier=110)
    return {"crash_tables": [table]}


async def heard(seat: Seat, game: str) -> Fields:
    """The next bet of a game that the feed tells of."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            for event, data in seat.told:
                if event == "feed:joined":
                    for told in data["bets"]:
                        if told["game"] == game:
                            found: Fields = told
                            return found
            await asyncio.sleep(0.02)


async def test_a_bet_is_told_with_its_player(house: House) -> None:
    ann, bob = await house.register("ann"), await house.register("bob")
    await ann.pull()
    looks = await bob.connect()
    assert await looks.ok("feed:watch") == {"recent": [], "high": []}
    placed = await (await ann.connect()).ok("dice:roll", bet(target=1, direction="over"))

    told = await heard(looks, "dice")
    assert told == {
        "player": "ann",
        "game": "dice",
        "currency": "PLAY",
        "stake": 100,
        "payout": placed["payout"],
        "multiplier": placed["payout"],
        "at_ms": told["at_ms"],
    }


async def test_all_games_are_told_when_they_are_settled(house: House) -> None:
    ann = await house.register("ann")
    await ann.pull()
    seat, looks = await ann.connect(), await ann.connect()
    await looks.ok("feed:watch")
    stake = {"stake": 100, "currency": "PLAY"}

    await seat.ok("limbo:play", {**stake, "target": 101, "request_id": request_id()})
    await seat.ok("plinko:drop", {**stake, "rows": 8, "risk": "low", "request_id": request_id()})
    for game in ("limbo", "plinko"):
        await heard(looks, game)
    await seat.ok("mines:start", {**stake, "mines": 24, "request_id": request_id()})
    await seat.ok("wallet:get")
    assert all(
        told["game"] != "mines"
        for event, data in looks.told
        if event == "feed:joined"
        for told in data["bets"]
    )
    pick = {"currency": "PLAY", "tile": 7, "request_id": request_id()}
    played = await seat.ok("mines:reveal", pick)
    assert (await heard(looks, "mines"))["payout"] == played["payout"]
    async with asyncio.timeout(LIMIT_S):
        while True:
            state = await seat.ok("crash:state", {"table": 1})
            round_id = state["round_id"]
            asked = {**stake, "round_id": round_id, "auto_cashout": 101}
            if (await seat.call("crash:bet", {**asked, "request_id": request_id()}))["success"]:
                break
            await asyncio.sleep(0.02)
    assert (await heard(looks, "crash"))["payout"] in (0, 101)


async def test_who_leaves_hears_no_more_and_who_comes_sees_the_lists(house: House) -> None:
    ann, bob = await house.register("ann"), await house.register("bob")
    await ann.pull()
    seat, looks = await ann.connect(), await bob.connect()
    await looks.ok("feed:watch")
    placed = await seat.ok("dice:roll", bet(target=1, direction="over"))
    told = await heard(looks, "dice")
    assert await looks.ok("feed:unwatch") == {"watching": False}
    looks.told.clear()

    # Nobody watches: the lists are kept up all the same.
    again = await seat.ok("dice:roll", bet(target=10_000, direction="under", stake=500))
    async with asyncio.timeout(LIMIT_S):
        while len((shown := await looks.ok("feed:state"))["recent"]) < 2:
            await asyncio.sleep(0.05)
    assert [b["stake"] for b in shown["recent"]] == [500, 100]
    by_payout = sorted([placed["payout"], again["payout"]], reverse=True)
    assert [b["payout"] for b in shown["high"]] == [paid for paid in by_payout if paid]
    assert looks.told == []
    assert (await bob.http("GET", "/feed"))[1]["data"] == shown
    assert await looks.ok("feed:watch") == shown
    assert told in shown["recent"]


async def test_many_bets_are_sampled_and_the_rest_is_counted(house: House) -> None:
    ann = await house.register("ann")
    await ann.pull()
    seat, looks = await ann.connect(), await ann.connect()
    await looks.ok("feed:watch")
    for _batch in range(3):
        bets = [bet(stake=stake) for stake in range(1, 101)]
        await seat.ok("bets:place", {"bets": bets})

    async with asyncio.timeout(LIMIT_S):
        while True:
            joined = [data for event, data in looks.told if event == "feed:joined"]
            if sum(len(data["bets"]) + data["skipped"] for data in joined) == 300:
                break
            await asyncio.sleep(0.02)
    assert all(len(data["bets"]) <= feed.MOST_OF_MOMENT for data in joined)
    assert len((await looks.ok("feed:state"))["recent"]) <= feed.MAX_RECENT


async def test_only_a_socket_can_watch(house: House) -> None:
    ann = await house.guest()

    status, _answer = await ann.http("POST", "/feed/watch", {})
    assert status == 404
