"""Two nodes of one cluster, on one PostgreSQL and one Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

from actors.crash.table import Table
from actors.wallet.rules import WALLET
from server.settings import Settings
from tests.floor.house import LIMIT_S, House, Person, running

NAMES = ("north", "south")


class TwoNodes:
    """Both of them, the first of which may leave."""

    def __init__(self, first: AsyncExitStack, houses: Sequence[House]) -> None:
        self._first = first
        self.houses = houses

    async def first_leaves(self) -> None:
        """The first node hands everything over, and ends."""
        await self._first.aclose()


@asynccontextmanager
async def two_nodes(
    database_url: str, redis_url: str, folder: Path, tables: list[Table]
) -> AsyncIterator[TwoNodes]:
    """Two nodes with these tables, each of which owns some shards."""
    cluster_name = f"test-{uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        houses = []
        for name, ending in zip(NAMES, (first, stack), strict=True):
            settings = Settings(
                env="test",
                data_dir=folder,
                port=0,
                redis_url=redis_url,
                cluster_name=cluster_name,
                node_name=name,
                sign_ins_per_minute=10_000,
                bets_per_second=10_000,
                crash_tables=tables,
            )
            houses.append(await ending.enter_async_context(running(database_url, settings)))
        await _shared_out(houses)
        yield TwoNodes(first, houses)


async def _shared_out(houses: Sequence[House]) -> None:
    """Wait until each shard has its owner, and every node some shards."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            owned = [set(house.pitboss.storage.journal.owned) for house in houses]
            if all(owned) and sum(map(len, owned)) == houses[0].pitboss.settings.shards:
                return
            await asyncio.sleep(0.02)


async def player_of(owner: House, username: str) -> Person:
    """A player whose wallet a node owns."""
    for number in range(1_000):
        person = await owner.register(f"{username}{number}")
        if owner.pitboss.node.owns(WALLET, person.user_id):
            return person
    raise AssertionError("no wallet belongs to this node")


def at(house: House, person: Person) -> Person:
    """The same player, on another node."""
    return Person(house, person.user_id, person.username, person.token)
