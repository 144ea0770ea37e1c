"""The chains of hashes that crash tables play: made, fixed, read and checked."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Collection
from itertools import pairwise
from typing import Final, NamedTuple

import asyncpg

from actors.crash.chain import (
    DEFAULT_LENGTH,
    MOST_LENGTH,
    TERMINAL,
    Chain,
    descend,
    is_public_seed,
    link_below,
)
from storage.vault import Vault

# Links in one transaction: some 20 ms of hashing, so that a kill loses little of it.
_STRETCH: Final = 20
# Links that are decrypted in one turn of the loop: a millisecond.
_OPENED_TOGETHER: Final = 200
_SEED_BYTES: Final = 32
# Where nobody publishes anything. The prefix says so to whoever verifies a round.
TRIAL_PREFIX: Final = "trial-"

_COLUMNS: Final = "id, table_id, length, terminal_hash, public_seed, created_at_ms, fixed_at_ms"
_BEGIN: Final = """
    insert into crash_chains (table_id, length, created_at_ms) values ($1, $2, $3)
    on conflict do nothing returning id
"""
_UNFINISHED: Final = "select id from crash_chains where table_id = $1 and terminal_hash is null"
# Another process may be making the same chain: both find the same links.
_ADD_LINKS: Final = """
    insert into crash_chain_links (chain_id, position, sealed_hash)
    select $1::bigint, * from unnest($2::integer[], $3::bytea[])
    on conflict do nothing
"""
# Later than the other chains of the table, also where the clock went back: a table plays its chains
# in this order, and none may come before those that it has begun.
_FIX: Final = """
    update crash_chains as c set public_seed = $2, fixed_at_ms = greatest($3, 1 + coalesce(
        (select max(fixed_at_ms) from crash_chains where table_id = c.table_id), 0))
    where id = $1 and terminal_hash is not null and public_seed is null
    returning id
"""
_IS_PLAYABLE: Final = """
    select exists (select from crash_chains where table_id = $1 and fixed_at_ms is not null)
"""
# Chains for trying out are played where that is allowed, and only until there is another.
_COUNTS: Final = f"""
    (c.fixed_at_ms is not null and (not starts_with(c.public_seed, '{TRIAL_PREFIX}') or $1 and not
        exists (select from crash_chains o where o.table_id = c.table_id
            and o.fixed_at_ms is not null and not starts_with(o.public_seed, '{TRIAL_PREFIX}'))))
"""
_PLAYED: Final = f"""
    select c.id, c.length, c.public_seed, {_COUNTS} as goes_on from crash_chains c
    where c.table_id = $2 and (c.id = $3 or {_COUNTS} and (c.fixed_at_ms, c.id) >
        (select coalesce(max(n.fixed_at_ms), 0), $3 from crash_chains n where n.id = $3))
    order by c.fixed_at_ms, c.id
"""  # noqa: S608 - the condition is ours
_WITH_NEW: Final = f"""
    select number from unnest($2::bigint[]) number
    left join lateral (
        select n.fixed_at_ms, n.id from crash_entries e join crash_chains n on n.id = e.chain_id
        where e.table_id = number and e.kind = 'opened' order by e.round desc limit 1
    ) newest on true
    where exists (select from crash_chains c where c.table_id = number and {_COUNTS}
        and (c.fixed_at_ms, c.id) > (coalesce(newest.fixed_at_ms, 0), coalesce(newest.id, 0)))
"""  # noqa: S608 - the condition is ours

_NOT_FINISHED: Final = "Chain {} is not finished: `pitboss crash chain new` goes on with it."


class ChainError(Exception):
    """What was asked for cannot be done with this chain; nothing was changed."""


class ChainRow(NamedTuple):
    """A chain as it is stored: nothing of it is secret. `terminal_hash` is None until made."""

    id: int
    table_id: int
    length: int
    terminal_hash: str | None
    public_seed: str | None
    created_at_ms: int
    fixed_at_ms: int | None


class Place(NamedTuple):
    """A round's place in a chain; that of a table without rounds is NOWHERE."""

    chain_id: int
    position: int


NOWHERE: Final = Place(0, 0)


class _Link(NamedTuple):
    position: int
    round_hash: str


async def list_chains(connection: asyncpg.Connection) -> list[ChainRow]:
    """All chains, by table and age. A table has one, and a new one every few months."""
    rows = await connection.fetch(f"select {_COLUMNS} from crash_chains order by table_id, id")  # noqa: S608 - the column names are ours
    return [ChainRow(*row) for row in rows]


async def find_chain(connection: asyncpg.Connection, chain_id: int) -> ChainRow:
    """One chain. Raises ChainError if there is none."""
    row = await connection.fetchrow(f"select {_COLUMNS} from crash_chains where id = $1", chain_id)  # noqa: S608 - the column names are ours
    if row is None:
        raise ChainError(f"There is no chain {chain_id}.")
    return ChainRow(*row)


async def begin_chain(
    connection: asyncpg.Connection, vault: Vault, table_id: int, length: int | None, at_ms: int
) -> ChainRow:
    """The chain of a table that is not made to its end yet, or a new one with a random last hash.

    Without a length it is that of the chain which was begun, or DEFAULT_LENGTH.

    Raises:
        ChainError: The one that was begun has another length.
    """
    chain = await _unfinished(connection, vault, table_id, length or DEFAULT_LENGTH, at_ms)
    if length not in {None, chain.length}:
        raise ChainError(
            f"Chain {chain.id} of table {table_id} was begun with {chain.length} rounds and is not"
            f" finished: go on with --length {chain.length}."
        )
    return chain


async def _unfinished(
    connection: asyncpg.Connection, vault: Vault, table_id: int, length: int, at_ms: int
) -> ChainRow:
    """The chain of a table that is not made to its end yet, or a new one of this length."""
    chain_id = None
    # Between the two, another process may have begun one, or come to its end.
    while chain_id is None:
        chain_id = await connection.fetchval(_UNFINISHED, table_id)
        if chain_id is None:
            chain_id = await _insert_chain(connection, vault, table_id, length, at_ms)
    return await find_chain(connection, chain_id)


async def _insert_chain(
    connection: asyncpg.Connection, vault: Vault, table_id: int, length: int, at_ms: int
) -> int | None:
    """The id of a new chain; None if its table has one that is not finished."""
    assert 0 < length <= MOST_LENGTH, length
    async with connection.transaction():
        chain_id: int | None = await connection.fetchval(_BEGIN, table_id, length, at_ms)
        if chain_id is not None:
            last = _Link(length, secrets.token_hex(_SEED_BYTES))
            await _add_links(connection, vault, chain_id, [last])
    return chain_id


async def make_chain(
    connection: asyncpg.Connection, vault: Vault, chain: ChainRow
) -> AsyncGenerator[int, None]:
    """Make a chain to its end, from the lowest link there is; yields how many rounds are made.

    It may be stopped or killed at any point and begun again.
    """
    row = await connection.fetchrow(
        "select position, sealed_hash from crash_chain_links where chain_id = $1"
        " order by position limit 1",
        chain.id,
    )
    link = _open_link(vault, chain.id, row)
    while link.position != TERMINAL:
        yield chain.length - link.position
        links = await asyncio.to_thread(_links_below, link)
        link = links[-1]
        await _add_links(
            connection, vault, chain.id, [one for one in links if one.position != TERMINAL]
        )
    await connection.execute(
        "update crash_chains set terminal_hash = $2 where id = $1 and terminal_hash is null",
        chain.id,
        link.round_hash,
    )
    yield chain.length


def _links_below(link: _Link) -> list[_Link]:
    """The next links below this one, the terminal hash among them where it is so near."""
    links: list[_Link] = []
    while len(links) < _STRETCH and link.position != TERMINAL:
        below = link_below(link.position)
        link = _Link(below, descend(link.round_hash, link.position - below))
        links.append(link)
    return links


async def fix_chain(
    connection: asyncpg.Connection, chain_id: int, public_seed: str, at_ms: int
) -> ChainRow:
    """Set the public seed of a chain that is made: once, and never again.

    Raises:
        ChainError: The chain is not made to its end, or its seed is fixed, or this cannot be one.
    """
    if not is_public_seed(public_seed):
        raise ChainError("A public seed is 1 to 128 printable ASCII characters without spaces.")
    if public_seed.startswith(TRIAL_PREFIX):
        raise ChainError(f"{TRIAL_PREFIX} begins the public seeds of chains for trying out.")
    fixed = await _fix(connection, chain_id, public_seed, at_ms)
    chain = await find_chain(connection, chain_id)
    if not fixed and chain.terminal_hash is None:
        raise ChainError(_NOT_FINISHED.format(chain_id))
    if not fixed:
        raise ChainError(f"The public seed of chain {chain_id} is fixed: {chain.public_seed}")
    return chain


async def _fix(connection: asyncpg.Connection, chain_id: int, public_seed: str, at_ms: int) -> bool:
    return await connection.fetchval(_FIX, chain_id, public_seed, at_ms) is not None


async def read_chains(
    connection: asyncpg.Connection,
    vault: Vault,
    table_id: int,
    newest: Place = NOWHERE,
    *,
    trials: bool = True,
) -> list[Chain]:
    """The chains that a table plays from its newest round on, in their order.

    Those for trying out are left out if they are not wanted, or if there is another one. Where the
    newest round is of such a chain, the chain ends with it.

    Raises:
        WrongKeyError: A link does not open.
    """
    rows = await connection.fetch(_PLAYED, trials, table_id, newest.chain_id)
    chains = []
    for row in rows:
        links = dict(await _links(connection, vault, row["id"]))
        chain = Chain(row["id"], row["length"], row["public_seed"], links)
        chains.append(chain if row["goes_on"] else _ended(chain, newest.position))
    return chains


def _ended(chain: Chain, position: int) -> Chain:
    """The same chain as if a round were its last."""
    last = {position: chain.hash_of(position)}
    return Chain(chain.chain_id, position, chain.public_seed, last)


async def with_new_chains(
    connection: asyncpg.Connection, tables: Collection[int], *, trials: bool
) -> set[int]:
    """Those of `tables` that have a chain to play after that of their newest round."""
    rows = await connection.fetch(_WITH_NEW, trials, list(tables))
    return {row["number"] for row in rows}


async def ensure_trial_chain(
    connection: asyncpg.Connection,
    vault: Vault,
    table_id: int,
    at_ms: int,
    length: int = DEFAULT_LENGTH,
) -> None:
    """Give a table that has nothing to play a chain whose public seed is random, for trying out.

    One that was begun is finished, whatever its length; otherwise it has this one.
    Nobody has published its terminal hash before there was a public seed, so its rounds prove less.
    """
    if await connection.fetchval(_IS_PLAYABLE, table_id):
        return
    chain = await _unfinished(connection, vault, table_id, length, at_ms)
    async for _ in make_chain(connection, vault, chain):
        pass
    # Another node may have been faster, and its public seed is as good.
    await _fix(connection, chain.id, TRIAL_PREFIX + secrets.token_hex(_SEED_BYTES), at_ms)


async def check_chain(
    connection: asyncpg.Connection, vault: Vault, chain: ChainRow
) -> AsyncGenerator[int, None]:
    """Compute a chain again from its last hash; yields how many rounds are found right so far.

    Raises:
        ChainError: It is not finished, a link of it is missing, or one does not lead to the next.
        WrongKeyError: A link does not open.
    """
    if chain.terminal_hash is None:
        raise ChainError(_NOT_FINISHED.format(chain.id))
    links = [*await _links(connection, vault, chain.id), _Link(TERMINAL, chain.terminal_hash)]
    if links[0].position != chain.length:
        raise ChainError(f"The last hash of chain {chain.id} is missing.")
    for link, below in pairwise(links):
        position = link_below(link.position)
        found = await asyncio.to_thread(descend, link.round_hash, link.position - position)
        if (position, found) != below:
            said = f"the one at {position}" if position else "the terminal hash"
            raise ChainError(
                f"The hash at {link.position} of chain {chain.id} does not lead to {said}."
            )
        yield chain.length - position


async def _links(connection: asyncpg.Connection, vault: Vault, chain_id: int) -> list[_Link]:
    """The links of a chain, from its last round down."""
    rows = await connection.fetch(
        "select position, sealed_hash from crash_chain_links where chain_id = $1"
        " order by position desc",
        chain_id,
    )
    links = []
    for count, row in enumerate(rows, 1):
        links.append(_open_link(vault, chain_id, row))
        if count % _OPENED_TOGETHER == 0:
            await asyncio.sleep(0)
    return links


async def _add_links(
    connection: asyncpg.Connection, vault: Vault, chain_id: int, links: list[_Link]
) -> None:
    sealed = [vault.seal(link.round_hash, link_place(chain_id, link.position)) for link in links]
    await connection.execute(_ADD_LINKS, chain_id, [link.position for link in links], sealed)


def _open_link(vault: Vault, chain_id: int, row: asyncpg.Record) -> _Link:
    position = row["position"]
    return _Link(position, vault.open(row["sealed_hash"], link_place(chain_id, position)))


def link_place(chain_id: int, position: int) -> str:
    """What a sealed link is bound to."""
    return f"crash_chain_links/{chain_id}/{position}"
