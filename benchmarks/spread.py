"""How a figure varied over the repeats of a measurement."""

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple


class Spread(NamedTuple):
    """The least, the middle and the greatest of the repeats."""

    least: float
    middle: float
    greatest: float

    def text(self, digits: int) -> str:
        """The middle, and the extremes where there are any."""
        least, middle, greatest = (f"{value:,.{digits}f}" for value in self)
        return middle if least == greatest else f"{middle} ({least} to {greatest})"


def spread(values: Iterable[float]) -> Spread:
    """The spread of at least one value."""
    known = list(values)
    return Spread(min(known), median(known), max(known))
