"""`pitboss bench`: load tests, by the generator of the benchmarks."""

import sys
from typing import Final

import click

from server.cli_lazy import LazyGroup

# By its name, and only when it is asked for: the benchmarks stand on the server, so that no module
# of it may import one of theirs.
MODULES: Final = {"bets": "benchmarks.live"}


class _Bench(LazyGroup):
    """Load tests, where the generator can run."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, or None if there is no such; this ends where the generator cannot run."""
        if sys.platform != "linux":
            raise click.ClickException(
                "The load generator runs on Linux only, as its epoll and its timers are Linux's;"
                " the server may be elsewhere: see --url."
            )
        try:
            return super().get_command(ctx, cmd_name)
        except ModuleNotFoundError as error:
            if error.name != MODULES[cmd_name].partition(".")[0]:
                raise
            raise click.ClickException(
                "The load generator is not installed here: it is the folder `benchmarks` of"
                " Pitboss's source."
            ) from error


@click.group(cls=_Bench, modules=MODULES)
def bench() -> None:
    """Load tests of a running server."""
