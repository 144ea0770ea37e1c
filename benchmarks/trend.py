"""Whether a figure stays as it is: its last quarter beside its first, and its slope."""

from collections.abc import Sequence
from statistics import linear_regression, median
from typing import NamedTuple


class Trend(NamedTuple):
    """Medians of the first and the last quarter, and the straight line through all: per hour."""

    first: float
    last: float
    per_hour: float

    @property
    def ratio(self) -> float:
        """The last quarter's part of the first."""
        return self.last / self.first if self.first else 1.0


def trend(at_s: Sequence[float], values: Sequence[float]) -> Trend:
    """The trend of at least two values at ascending moments."""
    quarter = max(1, len(values) // 4)
    slope = linear_regression(at_s, values).slope
    return Trend(median(values[:quarter]), median(values[-quarter:]), slope * 3_600)
