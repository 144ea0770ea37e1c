"""What mines return to players who stop after some picks, over more than a million games.

The exact return is counted out over all ways in which mines can lie. Words are drawn from a seeded
generator, so that a run that passes always passes; with others, 4.5 standard deviations are left
once in 150,000 times.
"""

from array import array
from fractions import Fraction
from itertools import combinations
from math import comb, sqrt
from random import Random
from typing import NamedTuple

import pytest

from actors.fairness import words
from actors.mines import odds

STAKE = 1_000_003
DEVIATIONS = 4.5


class Habit(NamedTuple):
    """Always so many mines, always these tiles, then a cash-out."""

    mines: int
    tiles: tuple[int, ...]
    games: int

    @property
    def chance(self) -> Fraction:
        """That all tiles are safe: of all ways in which the mines can lie, those beside them."""
        ways = comb(25, self.mines)
        if ways <= 60_000:
            beside = sum(not {*self.tiles} & {*lie} for lie in combinations(range(25), self.mines))
        else:
            beside = comb(25 - len(self.tiles), self.mines)
        return Fraction(beside, ways)

    @property
    def exact(self) -> tuple[float, float]:
        """What a stake of one returns on average, and the standard deviation of that."""
        worth = odds.payout(STAKE, self.mines, len(self.tiles)) / STAKE
        chance = float(self.chance)
        return chance * worth, worth * sqrt(chance * (1 - chance))

    def pays(self, mined: tuple[int, ...]) -> int:
        """What a game comes to whose mines lie there."""
        if {*self.tiles} & {*mined}:
            return 0
        return odds.payout(STAKE, self.mines, len(self.tiles))


HABITS = [
    Habit(1, (12,), 250_000),
    Habit(1, tuple(range(20)), 150_000),
    Habit(3, (0, 6, 12, 18, 24), 250_000),
    Habit(5, (24, 23, 22), 200_000),
    Habit(10, (3, 17), 120_000),
    Habit(24, (7,), 60_000),
]


def told(habit: Habit) -> str:
    return f"{habit.mines} mines, {len(habit.tiles)} picks"


def margin(habit: Habit, games: int) -> float:
    return DEVIATIONS * habit.exact[1] / sqrt(games)


def test_more_than_a_million_games_are_drawn() -> None:
    assert sum(habit.games for habit in HABITS) > 1_000_000


@pytest.mark.parametrize("habit", HABITS, ids=told)
def test_the_exact_return_is_that_of_an_edge_of_one_percent(habit: Habit) -> None:
    assert habit.exact[0] == pytest.approx(0.99, abs=2e-6)


@pytest.mark.parametrize("habit", HABITS, ids=told)
def test_what_comes_back_is_within_the_interval_of_the_exact_return(habit: Habit) -> None:
    drawn = array("I", Random(told(habit)).randbytes(habit.games * habit.mines * 4))
    stream = iter(drawn)
    paid = sum(habit.pays(odds.positions(stream, habit.mines)) for _ in range(habit.games))
    got, exact = paid / (habit.games * STAKE), habit.exact[0]

    assert abs(got - exact) < margin(habit, habit.games), f"{got} came back, not {exact}"


def test_seeds_return_as_much_as_any_words() -> None:
    """Through the real scheme, fewer games."""
    habit = Habit(3, (0, 6), 20_000)
    paid = sum(
        habit.pays(odds.positions(words("server", "client", nonce), 3))
        for nonce in range(habit.games)
    )

    assert abs(paid / (habit.games * STAKE) - habit.exact[0]) < margin(habit, habit.games)


def test_each_tile_is_mined_as_often_as_any_other() -> None:
    games = 100_000
    stream = iter(array("I", Random("tiles").randbytes(games * 3 * 4)))
    counts = [0] * 25
    for _ in range(games):
        for tile in odds.positions(stream, 3):
            counts[tile] += 1
    chance = 3 / 25

    for count in counts:
        assert abs(count / games - chance) < DEVIATIONS * sqrt(chance * (1 - chance) / games)


def test_the_intervals_would_show_a_game_without_an_edge() -> None:
    assert min(margin(habit, habit.games) for habit in HABITS) < 0.01
