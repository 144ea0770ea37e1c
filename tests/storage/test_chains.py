"""Chains of hashes: made in steps, sealed, fixed once, and checked to the last link."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing

import asyncpg
import pytest
import pytest_asyncio

from actors.crash import chain
from actors.crash.chain import TERMINAL
from storage import chains
from storage.chains import ChainError, ChainRow
from storage.vault import Vault, WrongKeyError

KEY = bytes(range(32))
VAULT = Vault(KEY)
TABLE = 7
LENGTH = 45_678
NOW = 1_000


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def made(
    connection: asyncpg.Connection, table_id: int = TABLE, length: int = LENGTH
) -> ChainRow:
    begun = await chains.begin_chain(connection, VAULT, table_id, length, NOW)
    steps = [rounds async for rounds in chains.make_chain(connection, VAULT, begun)]
    assert steps == sorted(steps)
    assert steps[-1] == length
    return await chains.find_chain(connection, begun.id)


async def links_of(connection: asyncpg.Connection, chain_id: int) -> dict[int, str]:
    rows = await connection.fetch(
        "select position, sealed_hash from crash_chain_links where chain_id = $1", chain_id
    )
    return {
        row["position"]: VAULT.open(
            row["sealed_hash"], f"crash_chain_links/{chain_id}/{row['position']}"
        )
        for row in rows
    }


def hashed(round_hash: str, times: int) -> str:
    for _ in range(times):
        round_hash = hashlib.sha256(round_hash.encode("ascii")).hexdigest()
    return round_hash


async def test_a_chain_leads_from_a_secret_to_its_terminal_hash(
    connection: asyncpg.Connection,
) -> None:
    chain = await made(connection)
    links = await links_of(connection, chain.id)

    assert sorted(links) == [*range(1_000, LENGTH, 1_000), LENGTH]
    assert chain.terminal_hash == hashed(links[LENGTH], LENGTH)
    assert links[1_000] == hashed(links[LENGTH], LENGTH - 1_000)
    assert (await chains.list_chains(connection)) == [chain]


@pytest.mark.parametrize("length", [1, 999, 1_000, 1_001, 20_000, 20_001])
async def test_chains_of_any_length(connection: asyncpg.Connection, length: int) -> None:
    chain = await made(connection, length=length)
    await chains.fix_chain(connection, chain.id, "public", NOW)
    (read,) = await chains.read_chains(connection, VAULT, TABLE)

    assert hashed(read.hash_of(length), length) == chain.terminal_hash
    assert hashed(read.hash_of(1), 1) == chain.terminal_hash
    assert [done async for done in chains.check_chain(connection, VAULT, chain)][-1] == length


async def test_nothing_at_rest_tells_a_hash(connection: asyncpg.Connection) -> None:
    chain = await made(connection)
    links = await links_of(connection, chain.id)
    everything = await connection.fetchval(
        "select string_agg(c::text || l::text, ';')"
        " from crash_chains c join crash_chain_links l on l.chain_id = c.id"
    )

    for link in links.values():
        assert link not in everything
        assert link.encode().hex() not in everything


async def test_what_was_begun_goes_on_where_it_stopped(connection: asyncpg.Connection) -> None:
    begun = await chains.begin_chain(connection, VAULT, TABLE, LENGTH, NOW)
    async with aclosing(chains.make_chain(connection, VAULT, begun)) as making:
        assert [await anext(making), await anext(making)][0] == 0
    before = await links_of(connection, begun.id)
    assert 1 < len(before) < 40

    again = await chains.begin_chain(connection, VAULT, TABLE, None, NOW + 1)
    assert again == begun
    steps = [done async for done in chains.make_chain(connection, VAULT, again)]
    assert steps[0] == LENGTH - min(before)
    after = await links_of(connection, begun.id)
    assert before.items() < after.items()
    found = await chains.find_chain(connection, begun.id)
    assert found.terminal_hash == hashed(before[LENGTH], LENGTH)


async def test_two_that_make_the_same_chain_do_no_harm(database_url: str) -> None:
    async with asyncpg.create_pool(database_url, min_size=2, max_size=2) as pool:

        async def make() -> ChainRow:
            async with pool.acquire() as connection:
                return await made(connection)

        one, two = await asyncio.gather(make(), make())
        assert one == two
        assert len(await pool.fetch("select from crash_chains")) == 1


async def test_another_length_is_not_what_was_begun(connection: asyncpg.Connection) -> None:
    await chains.begin_chain(connection, VAULT, TABLE, LENGTH, NOW)
    with pytest.raises(ChainError, match=f"--length {LENGTH}"):
        await chains.begin_chain(connection, VAULT, TABLE, 5, NOW)
    other = await chains.begin_chain(connection, VAULT, TABLE + 1, 5, NOW)
    assert other.length == 5


async def test_the_public_seed_is_fixed_once(connection: asyncpg.Connection) -> None:
    chain = await made(connection, length=10)
    fixed = await chains.fix_chain(connection, chain.id, "first", NOW)
    assert (fixed.public_seed, fixed.fixed_at_ms) == ("first", NOW)

    for again in ("second", "first"):
        with pytest.raises(ChainError, match="is fixed: first"):
            await chains.fix_chain(connection, chain.id, again, NOW + 1)
    assert await chains.find_chain(connection, chain.id) == fixed


async def test_what_cannot_be_fixed(connection: asyncpg.Connection) -> None:
    begun = await chains.begin_chain(connection, VAULT, TABLE, 10, NOW)
    for chain_id, seed, reason in (
        (begun.id, "seed", "not finished"),
        (begun.id + 1, "seed", "no chain"),
        (begun.id, "two words", "printable ASCII"),
        (begun.id, "", "printable ASCII"),
        (begun.id, "trial-seed", "trying out"),
    ):
        with pytest.raises(ChainError, match=reason):
            await chains.fix_chain(connection, chain_id, seed, NOW)
    assert await chains.find_chain(connection, begun.id) == begun


async def test_a_table_plays_its_fixed_chains_in_the_order_they_were_fixed(
    connection: asyncpg.Connection,
) -> None:
    early, late, unfixed, foreign = [
        (await made(connection, table_id, length=10)).id
        for table_id in (TABLE, TABLE, TABLE, TABLE + 1)
    ]
    # The clock goes back in between, and the order stays.
    for at, chain_id in enumerate((late, early, foreign)):
        await chains.fix_chain(connection, chain_id, f"seed-{chain_id}", NOW - 10 * at)

    read = await chains.read_chains(connection, VAULT, TABLE)
    assert [chain.chain_id for chain in read] == [late, early]
    assert [chain.public_seed for chain in read] == [f"seed-{late}", f"seed-{early}"]
    assert await chains.read_chains(connection, VAULT, TABLE + 2) == []
    assert unfixed not in {chain.chain_id for chain in read}


async def test_a_trial_chain_is_for_tables_that_have_none(connection: asyncpg.Connection) -> None:
    for _ in range(2):
        await chains.ensure_trial_chain(connection, VAULT, TABLE, NOW, LENGTH)
    await chains.ensure_trial_chain(connection, VAULT, TABLE + 1, NOW, LENGTH)

    (read,) = await chains.read_chains(connection, VAULT, TABLE)
    (other,) = await chains.read_chains(connection, VAULT, TABLE + 1)
    assert read.length == LENGTH
    assert read.public_seed.startswith("trial-")
    assert read.public_seed != other.public_seed
    assert read.hash_of(1) != other.hash_of(1)


async def test_a_trial_chain_goes_on_with_what_was_begun(connection: asyncpg.Connection) -> None:
    begun = await chains.begin_chain(connection, VAULT, TABLE, 2_500, NOW)
    await chains.ensure_trial_chain(connection, VAULT, TABLE, NOW, LENGTH)

    (read,) = await chains.read_chains(connection, VAULT, TABLE)
    assert (read.chain_id, read.length) == (begun.id, 2_500)


async def test_the_loop_goes_on_while_a_chain_is_made(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def descend(round_hash: str, steps: int) -> str:
        threads.add(threading.get_ident())
        return chain.descend(round_hash, steps)

    monkeypatch.setattr(chains, "descend", descend)
    begun = await chains.begin_chain(connection, VAULT, TABLE, 20_000, NOW)
    async with aclosing(chains.make_chain(connection, VAULT, begun)) as making:
        async for _ in making:
            pass
    assert threads
    assert threading.get_ident() not in threads, "what hashes for long is not the loop's own thread"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("delete from crash_chain_links where position = 2000", "2500 .* the one at 2000"),
        ("delete from crash_chain_links where position = 2500", "last hash .* missing"),
        ("delete from crash_chain_links where position = 1000", "2000 .* the one at 1000"),
        ("delete from crash_chain_links", "last hash .* missing"),
        ("update crash_chains set terminal_hash = repeat('0', 64)", "the terminal hash"),
        ("update crash_chains set terminal_hash = null", "not finished"),
    ],
)
async def test_damage_is_found(connection: asyncpg.Connection, damage: str, found: str) -> None:
    chain = await made(connection, length=2_500)
    await connection.execute(damage)
    with pytest.raises(ChainError, match=found):
        await checked(connection, chain.id)


async def test_a_link_of_another_chain_is_found(connection: asyncpg.Connection) -> None:
    chain = await made(connection, length=2_500)
    wrong = VAULT.seal("0" * 64, chains.link_place(chain.id, 2_000))
    await connection.execute(
        "update crash_chain_links set sealed_hash = $1 where position = 2000", wrong
    )
    with pytest.raises(ChainError, match=r"2500 .* the one at 2000"):
        await checked(connection, chain.id)


async def test_a_link_that_was_moved_or_has_another_key_does_not_open(
    connection: asyncpg.Connection,
) -> None:
    chain = await made(connection, length=2_500)
    with pytest.raises(WrongKeyError, match=f"crash_chain_links/{chain.id}/2500"):
        await checked(connection, chain.id, Vault(bytes(32)))
    await connection.execute(
        "update crash_chain_links set sealed_hash ="
        " (select sealed_hash from crash_chain_links where position = 2000) where position = 1000"
    )
    with pytest.raises(WrongKeyError, match=f"crash_chain_links/{chain.id}/1000"):
        await checked(connection, chain.id)


async def checked(connection: asyncpg.Connection, chain_id: int, vault: Vault = VAULT) -> list[int]:
    chain = await chains.find_chain(connection, chain_id)
    return [done async for done in chains.check_chain(connection, vault, chain)]


def test_the_terminal_hash_is_nobody_s_round() -> None:
    assert TERMINAL == 0
