"""The `pitboss` command line."""

from typing import Final

import click

from server.cli_lazy import LazyGroup

# As in pyproject.toml, which is not at hand where the packages run without being installed.
VERSION: Final = "0.1.0"

# Where each command is: `pitboss token` need not wait until a whole web server is imported.
_MODULES: Final = {
    "audit": "server.cli_audit",
    "bench": "server.cli_bench",
    "cluster": "server.cli_cluster",
    "crash": "server.cli_crash",
    "migrate": "server.cli_serve",
    "seeds": "server.cli_seeds",
    "serve": "server.cli_serve",
    "token": "server.cli_user",
    "user": "server.cli_user",
    "verify": "server.verify.group",
    "wallet": "server.cli_wallet",
}


@click.group(
    cls=LazyGroup, modules=_MODULES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(VERSION)
def main() -> None:
    """Pitboss, a real-time betting server.

    Settings come from the environment; docs/configuration.md lists them. Without DATABASE_URL,
    commands use the embedded PostgreSQL in the data folder, also while a server is running on it.
    """
