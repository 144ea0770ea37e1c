"""`pitboss crash chain`: the hashes that crash rounds bust by."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import asyncpg
import click
import msgspec

from actors.crash.chain import DEFAULT_LENGTH, MOST_LENGTH
from server.cli_office import existing_database
from server.cli_run import run, settings_or_exit
from server.cli_table import table
from server.clock import now_ms
from storage.chains import (
    ChainRow,
    begin_chain,
    check_chain,
    find_chain,
    fix_chain,
    list_chains,
    make_chain,
)
from storage.vault import Vault

_Result = TypeVar("_Result")

_MOST_TABLE = 2**31 - 1
_HEADINGS = ("ID", "TABLE", "ROUNDS", "TERMINAL HASH", "PUBLIC SEED")


@click.group()
def crash() -> None:
    """Prepare what crash tables play."""


@crash.group()
def chain() -> None:
    """Make, fix and check chains of hashes.

    A chain is made first, then its terminal hash is published, and only then is a public seed fixed
    that nobody could know before, such as the hash of a future Bitcoin block. A table plays its
    fixed chains in the order they were fixed in, one after the other.
    """


@chain.command()
@click.option(
    "--table",
    "table_id",
    type=click.IntRange(1, _MOST_TABLE),
    default=1,
    show_default=True,
    help="The table that plays it.",
)
@click.option(
    "--length",
    type=click.IntRange(1, MOST_LENGTH),
    help=f"How many rounds it has; {DEFAULT_LENGTH} unless set.",
)
def new(table_id: int, length: int | None) -> None:
    """Make a chain, and print its terminal hash to publish.

    If it is interrupted, the same command goes on where it stopped.
    """

    async def make(connection: asyncpg.Connection, vault: Vault) -> ChainRow:
        begun = await begin_chain(connection, vault, table_id, length, now_ms())
        await _show(make_chain(connection, vault, begun), begun.length, f"Chain {begun.id}")
        return await find_chain(connection, begun.id)

    made = run(_with_chains(make))
    click.echo(f"chain           {made.id}")
    click.echo(f"table           {made.table_id}")
    click.echo(f"rounds          {made.length}")
    click.echo(f"terminal hash   {made.terminal_hash}")


@chain.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the chains there are, without their secrets."""

    async def find(connection: asyncpg.Connection, _vault: Vault) -> list[ChainRow]:
        return await list_chains(connection)

    chains = run(_with_chains(find))
    if as_json:
        rows = [row._asdict() for row in chains]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        return
    click.echo(
        table(
            _HEADINGS,
            [
                (
                    row.id,
                    row.table_id,
                    row.length,
                    row.terminal_hash or "not finished",
                    row.public_seed or "not fixed",
                )
                for row in chains
            ],
            right="ID TABLE ROUNDS",
        )
    )


@chain.command()
@click.argument("chain_id", metavar="CHAIN", type=click.IntRange(1))
@click.argument("public_seed")
def fix(chain_id: int, public_seed: str) -> None:
    """Set the public seed of CHAIN, once and for all.

    Publish the terminal hash before anybody can know the public seed.
    """

    async def set_seed(connection: asyncpg.Connection, _vault: Vault) -> ChainRow:
        return await fix_chain(connection, chain_id, public_seed, now_ms())

    fixed = run(_with_chains(set_seed))
    click.echo(
        f"chain {fixed.id} of table {fixed.table_id} has the public seed {fixed.public_seed}"
    )


@chain.command()
@click.argument("chain_id", metavar="CHAIN", type=click.IntRange(1))
def check(chain_id: int) -> None:
    """Compute CHAIN again, from its last hash to its terminal one.

    The exit code is 1 if a hash does not lead to the next.
    """

    async def compute(connection: asyncpg.Connection, vault: Vault) -> ChainRow:
        found = await find_chain(connection, chain_id)
        await _show(check_chain(connection, vault, found), found.length, f"Chain {chain_id}")
        return found

    checked = run(_with_chains(compute))
    click.echo(f"all {checked.length} rounds lead to {checked.terminal_hash}")


async def _with_chains(
    work: Callable[[asyncpg.Connection, Vault], Awaitable[_Result]],
) -> _Result:
    settings = settings_or_exit()
    async with existing_database(settings) as dsn:
        vault = Vault(settings.seed_key(), settings.previous_seed_key())
        connection = await asyncpg.connect(dsn)
        try:
            return await work(connection, vault)
        finally:
            await connection.close()


async def _show(rounds: AsyncIterator[int], length: int, label: str) -> None:
    """A bar of how many rounds are done, on the terminal of whoever waits."""
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        async for done in rounds:
            bar.update(done - bar.pos)
