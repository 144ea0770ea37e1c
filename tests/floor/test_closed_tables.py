"""A crash table that is taken out of the configuration while a round of it is open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actors.crash.rules import CRASH
from actors.crash.table import Table
from actors.runtime.membership import winner
from server import app
from server.settings import Settings
from storage.audit import audit
from tests.floor.house import LIMIT_S, House, Person, request_id, running

TABLE = Table(7, "Slow", "PLAY", 100, 100_000, 100_000_000, betting_ms=600_000)


@asynccontextmanager
async def opened(
    database_url: str, folder: Path, tables: list[Table], **options: Any
) -> AsyncIterator[House]:
    """A node with these tables."""
    settings = Settings(env="test", data_dir=folder, port=0, crash_tables=tables, **options)
    async with running(database_url, settings) as house:
        yield house


async def bet_at(house: House) -> Person:
    """Somebody who has a stake in the round of the table, which takes bets for long."""
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    async with asyncio.timeout(LIMIT_S):
        while (state := await seat.ok("crash:state", {"table": 7}))["phase"] != "betting":
            await asyncio.sleep(0.01)
    fields = {"stake": 100, "currency": "PLAY", "request_id": request_id()}
    await seat.ok("crash:bet", {"round_id": state["round_id"], **fields})
    assert await held_of(house, ann.user_id) == 100
    return ann


async def none_held(house: House, person: Person) -> None:
    """Wait until nothing of a wallet is set aside."""
    async with asyncio.timeout(LIMIT_S):
        while await held_of(house, person.user_id):
            await asyncio.sleep(0.01)


async def held_of(house: House, user_id: int) -> int:
    """What a wallet has set aside, by its newest row."""
    held: int = await house.pool.fetchval(
        "select held_after from wallet_entries where wallet_id = $1 order by seq desc limit 1",
        user_id,
    )
    return held


async def test_it_gives_back_what_it_holds_and_plays_no_further(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path, [TABLE]) as house:
        ann = await bet_at(house)

    async with opened(database_url, tmp_path, []) as house:
        await none_held(house, ann)
        seat = await Person(house, ann.user_id, ann.username, ann.token).connect()
        assert await seat.refused("crash:state", {"table": 7}) == "unknown_table"
        await asyncio.sleep(TABLE.pause_ms / 1_000)
        opened_rounds = "select count(*) from crash_entries where kind = 'opened'"
        assert await house.pool.fetchval(opened_rounds) == 1
        report = await audit(database_url, house.pitboss.storage.vault)
        assert report.clean, report.findings

    async with opened(database_url, tmp_path, []) as house:
        assert house.pitboss._all_tables == {}, "it has nothing open any more"


async def test_a_node_that_wins_its_shard_later_gives_back_what_it_holds(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a rolling restart: the table is left out where it has nothing open yet."""
    members = iter(["north", "south"])
    monkeypatch.setattr(app, "new_member_id", lambda: next(members))
    cluster = {
        "redis_url": redis_url,
        "cluster_name": f"test-{uuid4().hex[:12]}",
        # A round lingers for half of it.
        "drain_seconds": 0.5,
    }
    async with opened(database_url, tmp_path, [], **cluster) as stays:
        shard = stays.pitboss.storage.journal.shard_of(CRASH, TABLE.number)
        assert winner(shard, ["north", "south"]) == "south"
        async with opened(database_url, tmp_path, [TABLE], **cluster) as leaves:
            ann = await bet_at(leaves)
            assert not stays.pitboss.node.owns(CRASH, TABLE.number)
        await none_held(stays, ann)
        report = await audit(database_url, stays.pitboss.storage.vault)
        assert report.clean, report.findings
