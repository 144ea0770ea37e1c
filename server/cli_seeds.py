"""`pitboss seeds`: what is sealed at rest, after its key was changed."""

import sys

import asyncpg
import click

from server.cli_office import existing_database
from server.cli_run import run, settings_or_exit
from storage.reseal import Progress, sealed_rows
from storage.reseal import reseal as seal_anew
from storage.vault import Vault


@click.group()
def seeds() -> None:
    """Change the key that server seeds and hashes are sealed with."""


@seeds.command()
def reseal() -> None:
    """Seal with the new key what the previous one sealed.

    First start the server with the new PITBOSS_SEED_ENCRYPTION_KEY and the one before as
    PITBOSS_SEED_ENCRYPTION_KEY_PREVIOUS: it opens with both and seals with the new one. Then run
    this with the same two, while the server goes on. Afterwards the previous key is not needed. If
    it is interrupted, run it again.
    """
    progress = run(_reseal())
    click.echo(f"{progress.seen} rows opened, {progress.renewed} of them sealed anew")


async def _reseal() -> Progress:
    settings = settings_or_exit()
    progress = Progress(0, 0)
    async with existing_database(settings) as dsn:
        vault = Vault(settings.seed_key(), settings.previous_seed_key())
        connection = await asyncpg.connect(dsn)
        try:
            rows = await sealed_rows(connection)
            with click.progressbar(length=rows, label="Sealing anew", file=sys.stderr) as bar:
                async for progress in seal_anew(connection, vault):
                    bar.update(progress.seen - bar.pos)
        finally:
            await connection.close()
    return progress
