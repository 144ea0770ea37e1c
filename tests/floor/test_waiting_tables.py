"""A crash table without a chain to play waits for one, is not read meanwhile, and goes on."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.crash.table import Table
from server.settings import Settings
from storage import chains
from storage.audit import audit
from tests.floor.house import LIMIT_S, House, Seat, running

TABLE = Table(
    4, "Short", "PLAY", 100, 5_000, 10**8, betting_ms=100, pause_ms=0, most_multiplier=101
)
SECRETS = {
    "jwt_secret": secrets.token_hex(32),
    "seed_encryption_key": base64.b64encode(secrets.token_bytes(32)).decode(),
}


@asynccontextmanager
async def opened(database_url: str, folder: Path, env: str) -> AsyncIterator[tuple[House, Seat]]:
    """A node with the table, and a guest there."""
    given: dict[str, Any] = {
        "env": env,
        "guest_accounts": True,
        "commands_per_second": 10_000,
        **SECRETS,
    }
    settings = Settings(data_dir=folder, port=0, crash_tables=[TABLE], **given)
    async with running(database_url, settings) as house:
        yield house, await (await house.guest()).connect()


async def fix(house: House, length: int) -> None:
    """Make and fix a chain for the table."""
    vault = house.pitboss.storage.vault
    async with house.pool.acquire() as connection:
        begun = await chains.begin_chain(connection, vault, TABLE.number, length, 0)
        async for _ in chains.make_chain(connection, vault, begun):
            pass
        await chains.fix_chain(connection, begun.id, f"seed-{begun.id}", 0)


async def waits(seat: Seat, past: int = 0) -> int:
    """Wait until the table waits for a chain after later rounds than `past`; the newest of them."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            state = await seat.ok("crash:state", {"table": TABLE.number})
            number = int((state["round_id"] or "4-0").split("-")[1])
            if state["phase"] == "waiting" and number > past:
                return number
            await asyncio.sleep(0.01)


async def test_it_is_read_again_once_there_is_a_chain(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(database_url, tmp_path, "production") as (house, seat):
        await fix(house, 1)
        assert await waits(seat) == 1
        tables, node = house.pitboss.tables, house.pitboss.node
        live = node._live["crash"][TABLE.number]
        said = []
        for _ in range(4):
            tables.wake()
            await tables.look_for_chains(house.pitboss.storage.crash)
            assert await waits(seat) == 1
            said.append(caplog.text.count("waits for a chain"))
        assert node._live["crash"][TABLE.number] is live
        assert said[0] == said[-1] > 0
        await fix(house, 2)
        assert await waits(seat, past=1) == 3
        report = await audit(database_url, house.pitboss.storage.vault)
        assert (report.findings, report.rounds) == ([], 3)


async def test_production_leaves_the_chain_of_a_trial(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, "test") as (_house, seat):
        async with asyncio.timeout(LIMIT_S):
            while not await played(seat):
                await asyncio.sleep(0.01)
    async with opened(database_url, tmp_path, "production") as (house, seat):
        left = await waits(seat)
        assert all(seed.startswith("trial-") for seed in await played(seat))
        await fix(house, 5)
        assert await waits(seat, left) == left + 5
        assert not any(seed.startswith("trial-") for seed in (await played(seat))[:5])
        report = await audit(database_url, house.pitboss.storage.vault)
        assert (report.findings, report.rounds) == ([], left + 5)


async def played(seat: Seat) -> list[str]:
    """The public seeds of the rounds that are over, newest first."""
    history = await seat.ok("crash:history", {"table": TABLE.number})
    return [one["public_seed"] for one in history["rounds"]]
