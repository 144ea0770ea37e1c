"""The key of seeds is changed while a node plays on."""

import asyncio
import base64
from typing import Any

import asyncpg
import pytest

from storage import reseal
from storage.audit import audit
from storage.vault import Vault
from tests.floor.house import House, Seat, bet, request_id

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
BOTH = Vault(NEW, OLD)
PLAYERS = 12


@pytest.fixture
def options() -> dict[str, Any]:
    """A node that has both keys."""
    return {
        "seed_encryption_key": base64.b64encode(NEW).decode(),
        "seed_encryption_key_previous": base64.b64encode(OLD).decode(),
        "commands_per_second": 10_000,
        "passivate_after_seconds": 0.1,
    }


async def seal_with_the_old_key(house: House) -> None:
    """As if all seeds had been issued before the key was changed."""
    for row in await house.pool.fetch("select * from wallet_seed_pairs"):
        place = f"wallet_seed_pairs/{row['wallet_id']}/{row['server_number']}"
        old = Vault(OLD).seal(BOTH.open(row["sealed_server_seed"], place), place)
        await house.pool.execute(
            "update wallet_seed_pairs set sealed_server_seed = $3"
            " where wallet_id = $1 and number = $2",
            row["wallet_id"],
            row["number"],
            old,
        )


async def play(seat: Seat, done: asyncio.Event) -> list[str]:
    """Bet and change seeds until everything is sealed anew, and once more after that."""
    bets = []
    while True:
        last = done.is_set()
        bets.append((await seat.ok("dice:roll", bet()))["bet_id"])
        if len(bets) % 3 == 0:
            await seat.ok("seed:rotate", {})
        # Long enough for the wallet to be put away, and read again with the seed as it is stored.
        await asyncio.sleep(0.3)
        if last:
            return bets


async def test_nobody_notices(
    house: House, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reseal, "BATCH", 1)
    people = [await house.guest() for _ in range(PLAYERS)]
    seats = [await person.connect() for person in people]
    for person, seat in zip(people, seats, strict=True):
        await person.pull()
        await seat.ok("dice:roll", bet(request_id=request_id()))
    await seal_with_the_old_key(house)

    done = asyncio.Event()
    playing = [asyncio.create_task(play(seat, done)) for seat in seats]
    await asyncio.sleep(0.5)
    connection = await asyncpg.connect(database_url)
    renewed = 0
    async for progress in reseal.reseal(connection, BOTH):
        renewed = progress.renewed
        await asyncio.sleep(0.05)
    await connection.close()
    # Seeds that were issued since are sealed with the new key already.
    assert renewed == PLAYERS
    done.set()
    played = await asyncio.gather(*playing)

    report = await audit(database_url, Vault(NEW))
    assert report.findings == []
    assert report.bets == PLAYERS + sum(map(len, played))
    for seat, bets in zip(seats, played, strict=True):
        await seat.ok("seed:rotate", {})
        records = [await seat.ok("bet:get", {"bet_id": one}) for one in bets]
        assert all(record["server_seed"] for record in records)
