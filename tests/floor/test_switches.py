"""Operators pause games and tables: no new bets, on every node; what is open is played on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from actors.crash.table import Table
from protocol.socketio import MAIN_NAMESPACE
from server.hub import Hub
from server.switches import Switches
from storage.pool import open_pools
from storage.switches import SwitchStore
from tests.floor.house import LIMIT_S, Fields, House, Person, Seat, bet, request_id


@pytest.fixture
def options() -> dict[str, Any]:
    """Two quick tables."""
    table = Table(1, "One", "PLAY", 100, 100_000, 10**8, betting_ms=200, most_multiplier=110)
    other = Table(2, "Two", "PLAY", 100, 100_000, 10**8, betting_ms=200, most_multiplier=110)
    return {"crash_tables": [table, other]}


STAKE = {"stake": 100, "currency": "PLAY"}
WAGERS: dict[str, tuple[str, Callable[[], Fields]]] = {
    "dice": ("dice:roll", lambda: {**STAKE, "target": 5050, "direction": "over"}),
    "limbo": ("limbo:play", lambda: {**STAKE, "target": 200}),
    "plinko": ("plinko:drop", lambda: {**STAKE, "rows": 8, "risk": "low"}),
    "mines": ("mines:start", lambda: {**STAKE, "mines": 3}),
}


async def wager(seat: Seat, game: str) -> Fields:
    """Place a bet of a game."""
    name, body = WAGERS[game]
    return await seat.call(name, {**body(), "request_id": request_id()})


async def switch(teller: Person, verb: str, game: str, table: int | None = None) -> Fields:
    """Pause or resume over HTTP."""
    status, answer = await teller.http("POST", f"/games/{verb}", {"game": game, "table": table})
    assert status == 200, answer
    data: Fields = answer["data"]
    return data


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(LIMIT_S):
        while not await holds():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("game", WAGERS)
async def test_a_paused_game_takes_no_bets_and_the_others_do(house: House, game: str) -> None:
    ann, teller = await house.guest(), await house.operator()
    await ann.pull()
    seat = await ann.connect()
    paused = await switch(teller, "pause", game)
    assert (paused["game"], paused["table"], paused["paused"]) == (game, None, True)
    assert paused["by"] == teller.user_id

    for other in WAGERS:
        answer = await wager(seat, other)
        assert answer["success"] is (other != game)
        if other == game:
            assert answer["error"]["code"] == "game_paused"
            assert answer["error"]["number"] == 4007
    if game != "mines":
        refused = await seat.ok("bets:place", {"bets": [{**bet(), "game": "dice"}]})
        assert refused["results"][0]["success"] is (game != "dice")
    await switch(teller, "resume", game)
    assert (await wager(seat, game))["success"]


async def test_an_open_game_of_mines_finishes_while_it_is_paused(house: House) -> None:
    ann, teller = await house.guest(), await house.operator()
    await ann.pull()
    seat = await ann.connect()
    body = {**STAKE, "mines": 1, "request_id": request_id()}
    started = await seat.ok("mines:start", body)
    await switch(teller, "pause", "mines")

    # A request that was made before is answered as it was.
    assert await seat.ok("mines:start", body) == started
    pick = {"currency": "PLAY", "tile": 12, "request_id": request_id()}
    played = await seat.ok("mines:reveal", pick)
    if played["ended"] is None:
        await seat.ok("mines:cashout", {"currency": "PLAY", "request_id": request_id()})
    assert (await seat.ok("mines:state"))["games"] == []
    assert (await wager(seat, "mines"))["error"]["code"] == "game_paused"


async def test_a_paused_table_finishes_its_round_and_opens_none(house: House) -> None:
    ann, teller = await house.guest(), await house.operator()
    seat = await ann.connect()
    await seat.ok("crash:watch", {"table": 1})
    await switch(teller, "pause", "crash", 1)
    assert (await seat.hear("table:paused"))["table"] == 1

    async def paused() -> bool:
        return bool((await seat.ok("crash:state", {"table": 1}))["phase"] == "paused")

    await until(paused)
    other = await seat.ok("crash:state", {"table": 2})
    assert other["phase"] != "paused"
    state = await seat.ok("crash:state", {"table": 1})
    number = int(state["round_id"].partition("-")[2])
    asked = {**STAKE, "round_id": f"1-{number + 1}", "request_id": request_id()}
    assert await seat.refused("crash:bet", asked) == "game_paused"
    await switch(teller, "resume", "crash", 1)
    assert (await seat.hear("table:resumed"))["table"] == 1
    await seat.hear("round:opened", round_id=f"1-{number + 1}")


async def test_all_of_crash_pauses_every_table(house: House) -> None:
    ann, teller = await house.guest(), await house.operator()
    seat = await ann.connect()
    for table in (1, 2):
        await seat.ok("crash:watch", {"table": table})
    await switch(teller, "pause", "crash", 1)
    await switch(teller, "pause", "crash")
    await seat.hear("table:paused", table=2)
    await switch(teller, "resume", "crash")
    await seat.hear("table:resumed", table=2)

    # The first was paused by itself as well, so it rests, and was told so once.
    told = [name for name, data in seat.told if name.startswith("table:") and data["table"] == 1]
    assert told == ["table:paused"]


async def test_who_switched_what_is_kept(house: House) -> None:
    teller = await house.operator()
    first = await switch(teller, "pause", "dice")
    again = await switch(teller, "pause", "dice")
    crash = await switch(teller, "pause", "crash", 2)
    resumed = await switch(teller, "resume", "dice")

    # What stood already is no change.
    assert again == first
    status, answer = await teller.http("GET", "/games/switches")
    assert status == 200
    assert answer["data"] == {"paused": [crash], "changes": [resumed, crash, first]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"game": "roulette"}, "malformed"),
        ({"game": "dice", "table": 1}, "malformed"),
        ({"game": "crash", "table": 9}, "unknown_table"),
        ({"game": "crash", "table": 0}, "malformed"),
        ({}, "malformed"),
    ],
)
async def test_what_cannot_be_switched(house: House, body: Fields, code: str) -> None:
    teller = await house.operator()
    for verb in ("pause", "resume"):
        _status, answer = await teller.http("POST", f"/games/{verb}", body)
        assert answer["error"]["code"] == code
    assert await house.pool.fetchval("select count(*) from game_switches") == 0


async def test_players_switch_nothing(house: House) -> None:
    seat = await (await house.guest()).connect()

    for verb in ("pause", "resume"):
        assert await seat.refused(f"game:{verb}", {"game": "dice"}) == "forbidden"
    assert await seat.refused("game:switches") == "forbidden"


async def test_it_is_in_force_on_other_nodes_and_after_a_restart(
    house: House, database_url: str
) -> None:
    teller = await house.operator()
    await switch(teller, "pause", "limbo")
    await switch(teller, "pause", "crash", 2)
    pools = await open_pools(database_url)
    try:
        there: set[str] = {"dice"}
        hub = Hub()
        other = Switches(SwitchStore(pools.people), there, hub, (1, 2), lambda: 1)
        await other.refresh()
        assert there == {"limbo", "crash:2"}
        await other.switch("limbo", None, teller.user_id, paused=False)
    finally:
        pools.terminate()

    async def here() -> bool:
        return house.pitboss.paused == {"crash:2"}

    await until(here)
    assert not house.pitboss.sockets.hub.occupied(MAIN_NAMESPACE, "crash:2")


async def test_a_read_that_began_before_a_switch_does_not_undo_it(house: House) -> None:
    teller = await house.operator()
    await asyncio.gather(
        *(house.pitboss.switches.refresh() for _ in range(5)),
        switch(teller, "pause", "dice"),
        *(house.pitboss.switches.refresh() for _ in range(5)),
    )

    assert house.pitboss.paused == {"dice"}


async def test_storage_knows_who_it_was(house: House) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await house.pool.execute(
            "insert into game_switches (game, table_id, paused, user_id, at_ms)"
            " values ('dice', 0, true, 77, 0)"
        )
