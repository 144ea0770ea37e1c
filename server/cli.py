"""The `pitboss` command line."""

import sys
from typing import Final

import click

from server.cli_audit import audit
from server.cli_bench import bench
from server.cli_cluster import cluster
from server.cli_crash import crash
from server.cli_run import run, settings_or_exit
from server.cli_seeds import seeds
from server.cli_user import token, user
from server.cli_wallet import wallet
from server.serve import database
from server.serve import serve as serve_node
from server.settings import Settings
from server.supervisor import MOST_WORKERS, serve_workers
from server.verify.group import verify
from storage.migrate import migrate as apply_migrations

# As in pyproject.toml, which is not at hand where the packages run without being installed.
VERSION: Final = "0.1.0"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION)
def main() -> None:
    """Pitboss, a real-time betting server.

    Settings come from the environment; docs/configuration.md lists them. Without DATABASE_URL,
    commands use the embedded PostgreSQL in the data folder, also while a server is running on it.
    """


@main.command()
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


@main.command()
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


for command in (token, user, wallet, verify, audit, crash, seeds, cluster, bench):
    main.add_command(command)
