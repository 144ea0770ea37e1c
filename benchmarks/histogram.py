"""A histogram of durations whose relative error is bounded, whatever their size."""

import math
from collections.abc import Mapping
from typing import Final, Self

# A bucket's width is at most a 128th of its values, so that percentiles are right to 0.8 %.
_PRECISION_BITS: Final = 7
_EXACT: Final = 1 << (_PRECISION_BITS + 1)
# 2**40 ns are 18 minutes, longer than any run. Longer durations count as this in the buckets; `max`
# still tells their size.
_MAX_BITS: Final = 40
_LARGEST: Final = (1 << _MAX_BITS) - 1


def _bucket(value: int) -> int:
    """The number of the bucket that holds `value`: its leading 8 bits, and how many follow."""
    if value < _EXACT:
        return value
    shift = value.bit_length() - _PRECISION_BITS - 1
    return (shift << _PRECISION_BITS) + (value >> shift)


_BUCKETS: Final = _bucket(_LARGEST) + 1


def _upper_edge(bucket: int) -> int:
    """The largest value that falls into `bucket`."""
    if bucket < _EXACT:
        return bucket
    shift = (bucket >> _PRECISION_BITS) - 1
    return (((bucket - (shift << _PRECISION_BITS)) + 1) << shift) - 1


class Histogram:
    """Counts of durations, in nanoseconds, in log-linear buckets as HdrHistogram has them."""

    __slots__ = ("_counts", "count", "max")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.max = 0

    def record(self, value: int, count: int = 1) -> None:
        """Count a duration, which `count` events took; a negative one raises ValueError."""
        if value < 0:
            raise ValueError(f"a duration cannot be negative: {value}")
        self._counts[_bucket(min(value, _LARGEST))] += count
        self.count += count
        self.max = max(self.max, value)

    def percentile(self, percent: float) -> int:
        """A value that `percent` of the durations do not exceed, at most 0.8 % too large.

        0 where nothing was recorded.
        """
        rank = max(1, math.ceil(percent / 100 * self.count))
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return min(_upper_edge(bucket), self.max)
        return 0

    def add(self, other: Self) -> None:
        """Count all of another histogram's durations as well."""
        for bucket, count in enumerate(other._counts):
            self._counts[bucket] += count
        self.count += other.count
        self.max = max(self.max, other.max)

    def since(self, before: Mapping[int, int]) -> Self:
        """What was recorded after the `sparse` buckets were `before`.

        Its `max` is that of all.
        """
        later = {
            bucket: count - before.get(bucket, 0)
            for bucket, count in enumerate(self._counts)
            if count != before.get(bucket, 0)
        }
        return self.from_sparse(later, self.max)

    def sparse(self) -> dict[int, int]:
        """The buckets that are not empty, by number; `from_sparse` reads them."""
        return {bucket: count for bucket, count in enumerate(self._counts) if count}

    @classmethod
    def from_sparse(cls, buckets: Mapping[int, int], largest: int) -> Self:
        """A histogram from its `sparse` buckets and its `max`."""
        made = cls()
        for bucket, count in buckets.items():
            made._counts[bucket] = count
            made.count += count
        made.max = largest
        return made
