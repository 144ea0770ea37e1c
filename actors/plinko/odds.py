"""The arithmetic of plinko: buckets, multipliers in hundredths and payouts, all in integers."""

from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

# The multipliers of each board, in hundredths, from the middle bucket outward. A board of an odd
# number of rows has two middle buckets, which pay the same.
_OUTWARD: Final = {
    (8, "low"): (50, 100, 110, 210, 560),
    (8, "medium"): (40, 70, 130, 300, 1300),
    (8, "high"): (20, 30, 150, 400, 2900),
    (9, "low"): (70, 100, 160, 200, 560),
    (9, "medium"): (50, 90, 170, 400, 1800),
    (9, "high"): (20, 60, 200, 700, 4300),
    (10, "low"): (50, 100, 110, 140, 300, 890),
    (10, "medium"): (40, 60, 140, 200, 500, 2200),
    (10, "high"): (20, 30, 90, 300, 1000, 7600),
    (11, "low"): (70, 100, 130, 190, 300, 840),
    (11, "medium"): (50, 70, 180, 300, 600, 2400),
    (11, "high"): (20, 40, 140, 520, 1400, 12000),
    (12, "low"): (50, 100, 110, 140, 160, 300, 1000),
    (12, "medium"): (30, 60, 110, 200, 400, 1100, 3300),
    (12, "high"): (20, 20, 70, 200, 810, 2400, 17000),
    (13, "low"): (70, 90, 120, 190, 300, 400, 810),
    (13, "medium"): (40, 70, 130, 300, 600, 1300, 4300),
    (13, "high"): (20, 20, 100, 400, 1100, 3700, 26000),
    (14, "low"): (50, 100, 110, 130, 140, 190, 400, 710),
    (14, "medium"): (20, 50, 100, 190, 400, 700, 1500, 5800),
    (14, "high"): (20, 20, 30, 190, 500, 1800, 5600, 42000),
    (15, "low"): (70, 100, 110, 150, 200, 300, 800, 1500),
    (15, "medium"): (30, 50, 130, 300, 500, 1100, 1800, 8800),
    (15, "high"): (20, 20, 50, 300, 800, 2700, 8300, 62000),
    (16, "low"): (50, 100, 110, 120, 140, 140, 200, 900, 1600),
    (16, "medium"): (30, 50, 100, 150, 300, 500, 1000, 4100, 11000),
    (16, "high"): (20, 20, 20, 200, 400, 900, 2700, 13000, 100000),
}


def _by_bucket(rows: int, outward: tuple[int, ...]) -> tuple[int, ...]:
    """The multipliers from the leftmost bucket to the rightmost."""
    return tuple(outward[abs(2 * bucket - rows) // 2] for bucket in range(rows + 1))


BOARDS: Final[Mapping[tuple[int, str], tuple[int, ...]]] = MappingProxyType(
    {board: _by_bucket(board[0], outward) for board, outward in _OUTWARD.items()}
)
"""The multipliers in hundredths by bucket, of every board: its rows and its risk."""


def bucket(words: Iterable[int], rows: int) -> int:
    """The bucket a ball reaches: one 32-bit word a row, whose top bit turns it to the right."""
    return sum(word >> 31 for word in islice(words, rows))


def multiplier(rows: int, risk: str, bucket: int) -> int:
    """What a bucket pays, in hundredths. Raises KeyError where there is no such board."""
    return BOARDS[rows, risk][bucket]


def payout(stake_minor: int, multiplier: int) -> int:
    """What a bucket pays, stake included: the stake times its multiplier, rounded down once."""
    return stake_minor * multiplier // 100
