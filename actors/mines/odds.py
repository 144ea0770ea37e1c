"""The arithmetic of mines: where they lie and what safe picks are worth, all in integers."""

from collections.abc import Iterable
from itertools import islice
from math import comb
from typing import Final

# Five by five; a tile is its index, 0 to 24, row by row.
TILES: Final = 25
# At least one tile is safe, or there would be nothing to pick.
MOST_MINES: Final = TILES - 1
# Out of 100: the house keeps one percent of every stake on average, whenever the player stops.
RETURN_PERCENT: Final = 99


def positions(words: Iterable[int], mines: int) -> tuple[int, ...]:
    """The mined tiles in the order they are drawn, without replacement, one word for each.

    With `left` tiles remaining, the word's mine is the one at index word * left / 2**32, rounded
    down, of those that remain in ascending order.
    """
    assert 1 <= mines <= MOST_MINES, mines
    remaining = list(range(TILES))
    drawn = (remaining.pop(word * len(remaining) >> 32) for word in islice(words, mines))
    placed = tuple(drawn)
    assert len(placed) == mines, "every mine needs a word"
    return placed


def payout(stake_minor: int, mines: int, picks: int) -> int:
    """What cashing out after `picks` safe picks pays, stake included, rounded down once.

    That is stake * 0.99 * C(25, picks) / C(25 - mines, picks): the picks' chance turned over.
    """
    return stake_minor * RETURN_PERCENT * comb(TILES, picks) // (100 * _ways(mines, picks))


def multiplier(mines: int, picks: int) -> int:
    """The multiplier after `picks` safe picks, in hundredths rounded down: to show, not to pay."""
    return RETURN_PERCENT * comb(TILES, picks) // _ways(mines, picks)


def _ways(mines: int, picks: int) -> int:
    """In how many ways `picks` tiles can all be safe."""
    assert 1 <= mines <= MOST_MINES, mines
    assert 0 <= picks <= TILES - mines, picks
    return comb(TILES - mines, picks)
