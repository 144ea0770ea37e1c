"""How a figure varied over the repeats of a measurement.

A figure that is not known is not a number (NaN): null in JSON, and nothing in a table.
"""

import math
from collections.abc import Iterable
from statistics import median
from typing import NamedTuple


class Spread(NamedTuple):
    """The least, the middle and the greatest of the repeats."""

    least: float
    middle: float
    greatest: float

    @property
    def known(self) -> bool:
        """Whether there was a figure in any of the repeats."""
        return not math.isnan(self.middle)

    def text(self, digits: int) -> str:
        """The middle, and the extremes where there are any."""
        least, middle, greatest = (shown(value, digits) for value in self)
        return middle if least == greatest else f"{middle} ({least} to {greatest})"


def shown(value: float, digits: int) -> str:
    """A figure as people read it; nothing if it is not known."""
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


def spread(values: Iterable[float]) -> Spread:
    """The spread of at least one value; of those that are known, if any is."""
    every = list(values)
    known = [value for value in every if not math.isnan(value)] or every
    return Spread(min(known), median(known), max(known))
