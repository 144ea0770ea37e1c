"""Over a million fields and a million rounds, what comes back is what the scheme says.

As in test_return_to_player: the exact return is computed here, seeds are fixed, and 4.5 standard
deviations are the interval.
"""

from array import array
from fractions import Fraction
from hashlib import sha256
from math import comb, sqrt
from random import Random
from typing import NamedTuple

import pytest

from actors.crash import odds as crash
from actors.fairness import Words
from actors.mines import odds as mines

STAKE = 1_000_000
DEVIATIONS = 4.5


class Stop(NamedTuple):
    """A player who picks the first tiles among so many mines, and then stops."""

    mines: int
    picks: int
    fields: int


STOPS = [
    Stop(1, 1, 300_000),
    Stop(1, 20, 100_000),
    Stop(3, 1, 300_000),
    Stop(3, 5, 200_000),
    Stop(8, 3, 100_000),
    Stop(24, 1, 20_000),
]
TARGETS = [101, 120, 150, 200, 500, 1_000]
ROUNDS = 1_000_000


def interval(chance: Fraction, win: Fraction, draws: int) -> float:
    """How far the mean of so many wins may be from the chance times the win."""
    return DEVIATIONS * float(win) * sqrt(float(chance * (1 - chance)) / draws)


def safe(stop: Stop) -> Fraction:
    """The chance that the first tiles are all safe."""
    return Fraction(comb(25 - stop.picks, stop.mines), comb(25, stop.mines))


def test_a_million_fields_are_drawn() -> None:
    assert sum(stop.fields for stop in STOPS) > 1_000_000


@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_mines_return_what_is_exact(stop: Stop) -> None:
    win = Fraction(mines.payout(STAKE, stop.mines, stop.picks), STAKE)
    assert 0 <= Fraction(99, 100) - safe(stop) * win < Fraction(1, STAKE)

    count = stop.fields * stop.mines
    words = iter(array("I", Random(str(stop)).randbytes(count * array("I").itemsize)))
    won = sum(
        min(mines.positions(words, stop.mines)) >= stop.picks for _field in range(stop.fields)
    )
    returned = won / stop.fields * win
    assert abs(returned - safe(stop) * win) < interval(safe(stop), win, stop.fields)


def test_every_tile_is_mined_as_often_as_another() -> None:
    """Through real seeds; by the chi-squared of 24 degrees of freedom, of which one run in 10**7
    passes 80. Mines of one field keep apart, which makes it smaller still.
    """  # noqa: D205 - one sentence
    words, fields = Words("a server seed", "mines"), 20_000
    counts = [0] * 25
    for nonce in range(fields):
        for tile in mines.positions(words.of(nonce), 5):
            counts[tile] += 1
    expected = fields * 5 / 25
    assert sum((count - expected) ** 2 / expected for count in counts) < 80


def test_crash_returns_what_is_exact_at_every_target() -> None:
    chance = Random("crash")
    busts = sorted(crash.reached(chance.getrandbits(52)) for _round in range(ROUNDS))
    for target in TARGETS:
        # Of the 2**52 numbers, so many reach the target.
        exact = Fraction(97 * 2**52 // target, 2**52)
        win = Fraction(target, 100)
        assert abs(exact * win - Fraction(97, 100)) < Fraction(1, 10**9)
        returned = sum(bust >= target for bust in busts) / ROUNDS * win
        assert abs(returned - exact * win) < interval(exact, win, ROUNDS)


def test_crash_returns_it_through_a_real_chain() -> None:
    rounds, round_hash = 50_000, "last"
    busts = []
    for _ in range(rounds):
        round_hash = sha256(round_hash.encode()).hexdigest()
        busts.append(crash.bust(round_hash, "a public seed"))
    for target in TARGETS:
        exact, win = Fraction(97 * 2**52 // target, 2**52), Fraction(target, 100)
        returned = sum(bust >= target for bust in busts) / rounds * win
        assert abs(returned - exact * win) < interval(exact, win, rounds)


def test_the_intervals_would_show_a_game_without_an_edge() -> None:
    margins = [
        interval(safe(stop), 1 / safe(stop), stop.fields) for stop in STOPS if stop.mines == 1
    ]
    assert min(margins) < 0.01
    assert interval(Fraction(97, 150), Fraction(3, 2), ROUNDS) < 0.03
