"""What the commands that place bets let people choose."""

import math
from types import MappingProxyType
from typing import Any, Final, get_args

import click

from benchmarks.plan import Arrivals, Load
from benchmarks.schedule import BURST_S, ScheduleError, check_size

BETS_PER_MESSAGE: Final = MappingProxyType({"single": 1, "batch": 100})
# Messages in flight on a connection: players who do not wait for their answers; a batch is many
# bets already.
DEPTH: Final = MappingProxyType({"single": 8, "batch": 1})
# Crash rounds follow each other in some seconds; in a shorter window there is one burst.
BURST_EVERY_S: Final = 5.0


class Positive(click.FloatRange):
    """A finite number above zero, `most` at most: a rate or a duration."""

    def __init__(self, most: float | None = None) -> None:
        super().__init__(0, most, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it. Raises click.BadParameter for what is none, which "nan" and "inf" are not."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


COUNT: Final = click.IntRange(min=1)
POSITIVE: Final = Positive()
MODES: Final = click.Choice(list(BETS_PER_MESSAGE))
MODE_HELP: Final = "One bet a message, or 100."
LOADS: Final = click.Choice(get_args(Load))
LOAD_HELP: Final = "Wallets: all alike, a few favourites, or one that gets half of the bets."
ARRIVALS: Final = click.Choice(get_args(Arrivals))
ARRIVALS_HELP: Final = "The open loop: at random, or half of the bets in bursts, one every 5 s."


def check_open_loop(
    rate: float | None,
    bets_per_message: int,
    arrivals: Arrivals | None,
    warm_up_s: float,
    seconds: float,
) -> None:
    """Raise click.UsageError if there cannot be an open loop of these bets a second."""
    if arrivals == "burst" and seconds <= BURST_S:
        raise click.UsageError(f"--arrivals burst takes --seconds of more than {BURST_S}.")
    try:
        check_size((rate or 0.0) / bets_per_message, warm_up_s + seconds)
    except ScheduleError as error:
        raise click.UsageError(f"{error}; give a lower --rate or fewer --seconds.") from error
