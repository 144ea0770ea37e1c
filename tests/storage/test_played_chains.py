"""Which chains a table is read with: from its newest round on, and published ones if it can be."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from actors.crash.chain import STEP
from actors.crash.rules import crash_kind
from actors.crash.state import TableState
from storage import chains
from storage.crash_tables import CrashStore
from storage.vault import Vault
from tests.support.rounds import TABLE

VAULT = Vault(bytes(range(32)))
# Of some links each, so that one may end between them.
LENGTH = 2 * STEP + 5
NOW = 1_000


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as opened:
        yield opened


async def fixed(pool: asyncpg.Pool, length: int = LENGTH, table_id: int = TABLE.number) -> int:
    """The number of a new chain with a public seed."""
    async with pool.acquire() as connection:
        begun = await chains.begin_chain(connection, VAULT, table_id, length, NOW)
        async for _ in chains.make_chain(connection, VAULT, begun):
            pass
        return (await chains.fix_chain(connection, begun.id, f"seed-{begun.id}", NOW)).id


async def trial(pool: asyncpg.Pool, table_id: int = TABLE.number) -> int:
    """The number of a new chain for trying out."""
    async with pool.acquire() as connection:
        await chains.ensure_trial_chain(connection, VAULT, table_id, NOW, LENGTH)
        newest: int = await connection.fetchval("select max(id) from crash_chains")
        return newest


async def play(
    pool: asyncpg.Pool, number: int, chain_id: int, position: int, table_id: int = TABLE.number
) -> None:
    """Open a round of a table."""
    await pool.execute(
        "insert into crash_entries (table_id, seq, round, kind, at_ms, multiplier, edge_percent,"
        " chain_id, position) values ($1, $2, $2, 'opened', 5, 10000, 3, $3, $4)",
        *(table_id, number, chain_id, position),
    )


async def read(pool: asyncpg.Pool, *, trials: bool = True) -> TableState:
    """The table as the runtime reads it."""
    kind = crash_kind({TABLE.number: TABLE}, ())
    stores = CrashStore(pool, VAULT, trials=trials)
    stored = (await stores.hydrate(kind, [TABLE.number]))[TABLE.number]
    state: TableState = kind.restore(TABLE.number, stored.snapshot)
    for fact in stored.facts:
        kind.apply(state, fact)
    return state


def places(state: TableState) -> list[tuple[int, int]]:
    """The chains a table has, and where they end."""
    return [(chain.chain_id, chain.length) for chain in state.chains]


def next_place(state: TableState) -> tuple[int, int] | None:
    """Where the table's next round comes from."""
    found = state.next_position()
    return (found[0].chain_id, found[1]) if found else None


async def waits(pool: asyncpg.Pool, *numbers: int, trials: bool = True) -> set[int]:
    """The tables of these that need not wait any more."""
    return await CrashStore(pool, VAULT, trials=trials).with_new_chains(numbers or {TABLE.number})


async def test_chains_that_were_played_to_their_end_are_not_read(pool: asyncpg.Pool) -> None:
    one, two, three = [await fixed(pool, 10 + n) for n in range(3)]
    assert places(await read(pool)) == [(one, 10), (two, 11), (three, 12)]
    await play(pool, 1, one, 10)
    assert places(await read(pool)) == [(one, 10), (two, 11), (three, 12)]
    assert next_place(await read(pool)) == (two, 1)
    await play(pool, 2, two, 1)
    assert places(await read(pool)) == [(two, 11), (three, 12)]
    assert next_place(await read(pool)) == (two, 2)


async def test_a_table_is_read_again_only_when_it_has_a_new_chain(pool: asyncpg.Pool) -> None:
    assert await waits(pool) == set()
    one = await fixed(pool, 10)
    assert await waits(pool) == {TABLE.number}
    await play(pool, 1, one, 10)
    assert await waits(pool) == set()
    await fixed(pool, 10, TABLE.number + 1)
    assert await waits(pool) == set()
    assert await waits(pool, TABLE.number, TABLE.number + 1) == {TABLE.number + 1}
    two = await fixed(pool, 10)
    assert await waits(pool) == {TABLE.number}
    assert next_place(await read(pool)) == (two, 1)


async def test_a_trial_chain_is_left_for_a_published_one(pool: asyncpg.Pool) -> None:
    tried = await trial(pool)
    assert next_place(await read(pool)) == (tried, 1)
    await play(pool, 1, tried, 1)
    assert next_place(await read(pool)) == (tried, 2)
    published = await fixed(pool)
    state = await read(pool)
    assert places(state) == [(tried, 1), (published, LENGTH)]
    assert next_place(state) == (published, 1)
    await play(pool, 2, published, 1)
    assert places(await read(pool)) == [(published, LENGTH)]


async def test_a_trial_chain_is_not_played_where_it_is_not_wanted(pool: asyncpg.Pool) -> None:
    tried = await trial(pool)
    assert places(await read(pool, trials=False)) == []
    assert await waits(pool, trials=False) == set()
    published = await fixed(pool)
    assert places(await read(pool, trials=False)) == [(published, LENGTH)]
    assert await waits(pool, trials=False) == {TABLE.number}
    assert tried != published


async def test_a_round_of_a_trial_chain_that_is_not_wanted_comes_to_its_end(
    pool: asyncpg.Pool,
) -> None:
    tried = await trial(pool)
    # Before a link, at it, after it, in the stretch to the last hash, and at that.
    for number, position in enumerate((STEP - 1, STEP, STEP + 1, LENGTH - 1, LENGTH), 1):
        await play(pool, number, tried, position)
        wanted, unwanted = await read(pool), await read(pool, trials=False)
        assert wanted.round is not None
        assert unwanted.round is not None
        assert unwanted.round.hash == wanted.round.hash
        assert unwanted.round.bust == wanted.round.bust
        assert next_place(unwanted) is None
        assert await waits(pool, trials=False) == set()


class Watched(Vault):
    """Opens links, and notes in which turns of the loop."""

    turn = 0

    def __init__(self) -> None:
        super().__init__(bytes(range(32)))
        self.turns: set[int] = set()

    def open(self, sealed: bytes, place: str) -> str:
        self.turns.add(self.turn)
        return super().open(sealed, place)

    async def count(self) -> None:
        """Count turns, for ever."""
        while True:
            self.turn += 1
            await asyncio.sleep(0)


async def test_the_loop_goes_on_while_links_are_opened(pool: asyncpg.Pool) -> None:
    chain_id = await fixed(pool, 600 * STEP)
    vault = Watched()
    counting = asyncio.create_task(vault.count())
    async with pool.acquire() as connection:
        (chain,) = await chains.read_chains(connection, vault, TABLE.number)
    counting.cancel()
    assert (chain.chain_id, len(chain.links)) == (chain_id, 600)
    assert len(vault.turns) >= 3
