"""Crash over real sockets and real PostgreSQL: a bet's way into a round and out of it."""

import asyncio
from typing import Any

import pytest

from actors.crash import odds
from actors.crash.table import Table
from tests.floor.house import LIMIT_S, Fields, House, Seat, request_id

TABLE = Table(
    1,
    "Quick",
    "PLAY",
    100,
    100_000,
    100_000_000,
    betting_ms=400,
    pause_ms=100,
    tick_ms=100,
    most_multiplier=120,
)


@pytest.fixture
def options() -> dict[str, Any]:
    """One quick table."""
    return {"crash_tables": [TABLE]}


async def state_in(seat: Seat, *phases: str) -> Fields:
    """The table's state once it is in one of these phases."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            state = await seat.ok("crash:state", {"table": 1})
            if state["phase"] in phases:
                return state
            await asyncio.sleep(0.01)


def bet(round_id: str, **changes: Any) -> Fields:
    """A bet of one credit."""
    fields = {
        "round_id": round_id,
        "stake": 100,
        "currency": "PLAY",
        "request_id": request_id(),
    }
    return {**fields, **changes}


async def test_a_bet_joins_and_ends_with_its_round(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    await seat.ok("crash:watch", {"table": 1})
    state = await state_in(seat, "betting")
    placed = await seat.ok("crash:bet", bet(state["round_id"], auto_cashout=101))
    assert placed["round_id"] == state["round_id"]
    held = await seat.ok("wallet:get")
    assert (held["balances"][0]["available"], held["balances"][0]["held"]) == (99_900, 100)
    crashed = await seat.hear("round:crashed", round_id=state["round_id"])
    assert crashed["round_id"] == state["round_id"]
    async with asyncio.timeout(LIMIT_S):
        while (wallet := await seat.ok("wallet:get"))["balances"][0]["held"]:
            await asyncio.sleep(0.01)
    won = 101 if crashed["bust"] >= 101 else 0
    assert wallet["balances"][0]["available"] == 99_900 + won
    history = await seat.ok("crash:history", {"table": 1})
    record = next(r for r in history["rounds"] if r["round_id"] == state["round_id"])
    rules = record["edge_percent"], record["most_multiplier"]
    drawn = odds.bust(record["hash"], record["public_seed"], *rules)
    assert drawn == record["bust"] == crashed["bust"]
