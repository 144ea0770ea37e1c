"""`pitboss serve` and `pitboss migrate`: the server, and the tables it needs."""

import sys

import click

from server.cli_run import run, settings_or_exit
from server.database import database
from server.serve import serve as serve_node
from server.settings import Settings
from server.supervisor import MOST_WORKERS, serve_workers
from storage.migrate import migrate as apply_migrations


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    help="Processes that share the port, supervised. SIGHUP replaces them one after the other.",
)
@click.option("--worker", is_flag=True, hidden=True, help="One of them, as a supervisor starts it.")
def serve(workers: int, worker: bool) -> None:
    """Serve players until SIGTERM or SIGINT, then drain.

    The database is started and migrated first. The exit code is 0 after an orderly end.
    """
    settings = settings_or_exit()
    if workers == 1:
        sys.exit(run(serve_node(settings, worker=worker)))
    sys.exit(run(serve_workers(settings, workers)))


@click.command()
def migrate() -> None:
    """Bring the database's tables up to date.

    Each migration is applied once, in order, and named. Starting the server does the same.
    """
    applied = run(_migrate(settings_or_exit()))
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to apply: the database is up to date")


async def _migrate(settings: Settings) -> list[str]:
    async with database(settings) as postgres:
        return await apply_migrations(postgres.dsn)
