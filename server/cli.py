"""The `pitboss` command line."""

import sys

import click
import uvloop

from server.serve import serve as serve_node
from server.settings import Settings, SettingsError, load_settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pitboss")
def main() -> None:
    """Pitboss, a real-time betting server."""


def settings_or_exit() -> Settings:
    """The settings of the environment; what is wrong with them ends the command."""
    try:
        return load_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@main.command()
def serve() -> None:
    """Serve players until SIGTERM or SIGINT, then drain.

    Everything is set by environment variables; docs/configuration.md lists them.
    """
    sys.exit(uvloop.run(serve_node(settings_or_exit())))
