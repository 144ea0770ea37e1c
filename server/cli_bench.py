"""`pitboss bench`: load tests, by the generator of the benchmarks."""

import sys
from importlib import import_module
from typing import Final

import click

# By its name, and only when it is asked for: the benchmarks stand on the server, so that no module
# of it may import one of theirs.
MODULES: Final = {"bets": "benchmarks.live"}


class _Bench(click.Group):
    """Commands that are imported when they are asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Their names."""
        return list(MODULES)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, or None if there is no such; this ends where the generator cannot run."""
        module = MODULES.get(cmd_name)
        if module is None:
            return None
        if sys.platform != "linux":
            raise click.ClickException(
                "The load generator runs on Linux only, as its epoll and its timers are Linux's;"
                " the server may be elsewhere: see --url."
            )
        try:
            command: click.Command = import_module(module).command
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:
                raise
            raise click.ClickException(
                "The load generator is not installed here: it is the folder `benchmarks` of"
                " Pitboss's source."
            ) from error
        return command


@click.group(cls=_Bench)
def bench() -> None:
    """Load tests of a running server."""
