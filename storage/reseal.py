"""What is sealed at rest, sealed anew after the key was changed."""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final, NamedTuple

import asyncpg

from storage.chains import link_place
from storage.rows import seed_place
from storage.vault import Vault

# Rows in one transaction: some 10 ms of work, during which nobody else needs these rows.
BATCH: Final = 1_000


class Progress(NamedTuple):
    """How many rows were looked at, and how many of them needed the new key."""

    seen: int
    renewed: int


class _Sealed(NamedTuple):
    """A table with a sealed column: how to read on from a key, and how to write rows back.

    `ends` are its first row and its last one.
    """

    number: str
    ends: str
    read: str
    write: str
    place: Callable[[Mapping[str, Any]], str]


_SEALED: Final = (
    _Sealed(
        "select count(*) from wallet_seed_pairs",
        """
        (select wallet_id as one, number as two, server_number, sealed_server_seed as sealed
        from wallet_seed_pairs order by wallet_id, number limit 1)
        union all
        (select wallet_id, number, server_number, sealed_server_seed
        from wallet_seed_pairs order by wallet_id desc, number desc limit 1)
        """,
        """
        select wallet_id as one, number as two, server_number, sealed_server_seed as sealed
        from wallet_seed_pairs where (wallet_id, number) > ($1, $2)
        order by wallet_id, number limit $3
        """,
        """
        update wallet_seed_pairs p set sealed_server_seed = n.sealed
        from unnest($1::bigint[], $2::integer[], $3::bytea[], $4::bytea[]) n(one, two, was, sealed)
        where (p.wallet_id, p.number) = (n.one, n.two) and p.sealed_server_seed = n.was
        """,
        lambda row: seed_place(row["one"], row["server_number"]),
    ),
    _Sealed(
        "select count(*) from crash_chain_links",
        """
        (select chain_id as one, position as two, sealed_hash as sealed
        from crash_chain_links order by chain_id, position limit 1)
        union all
        (select chain_id, position, sealed_hash
        from crash_chain_links order by chain_id desc, position desc limit 1)
        """,
        """
        select chain_id as one, position as two, sealed_hash as sealed
        from crash_chain_links where (chain_id, position) > ($1, $2)
        order by chain_id, position limit $3
        """,
        """
        update crash_chain_links l set sealed_hash = n.sealed
        from unnest($1::bigint[], $2::integer[], $3::bytea[], $4::bytea[]) n(one, two, was, sealed)
        where (l.chain_id, l.position) = (n.one, n.two) and l.sealed_hash = n.was
        """,
        lambda row: link_place(row["one"], row["two"]),
    ),
)


async def sealed_rows(connection: asyncpg.Connection) -> int:
    """How many rows hold something sealed."""
    return sum([await connection.fetchval(table.number) for table in _SEALED])


async def check_key(pool: asyncpg.Pool, vault: Vault) -> None:
    """Open what is sealed at both ends of each table: what was resealed in part is found too.

    Raises:
        WrongKeyError: One of them opens with none of the vault's keys.
    """
    for table in _SEALED:
        for row in await pool.fetch(table.ends):
            vault.open(row["sealed"], table.place(row))


async def reseal(connection: asyncpg.Connection, vault: Vault) -> AsyncGenerator[Progress, None]:
    """Seal with the vault's key what is sealed with its previous one; yields after each batch.

    It may be stopped or killed at any point and begun again: what is done is passed over. Servers
    may go on meanwhile if they have both keys, as they seal with the new one only.

    Raises:
        WrongKeyError: Something opens with neither key. What was done until then stays.
    """
    progress = Progress(0, 0)
    for table in _SEALED:
        after = (0, 0)
        while rows := await connection.fetch(table.read, *after, BATCH):
            renewed = [
                (row["one"], row["two"], row["sealed"], sealed)
                for row in rows
                if (sealed := vault.renewed(row["sealed"], table.place(row))) is not None
            ]
            if renewed:
                await connection.execute(table.write, *zip(*renewed, strict=True))
            after = rows[-1]["one"], rows[-1]["two"]
            progress = Progress(progress.seen + len(rows), progress.renewed + len(renewed))
            yield progress
