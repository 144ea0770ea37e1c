"""Mines: where they lie, what picks are worth, and what the house keeps, all exactly."""

from fractions import Fraction
from itertools import combinations, product
from math import comb

import pytest

from actors.mines import odds
from protocol.bounds import MAX_MINOR

ALL_GAMES = [(mines, picks) for mines in range(1, 25) for picks in range(1, 26 - mines)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([0, 0, 0], (0, 1, 2)),
        ([2**32 - 1] * 3, (24, 23, 22)),
        ([2**31] * 3, (12, 13, 11)),  # of 25 the 12th, of 24 the 12th, of 23 the 11th
        ([171_798_691, 178_956_971], (0, 2)),  # 2**32 / 25 is 171,798,691.8
        ([171_798_692, 178_956_970], (1, 0)),  # 2**32 / 24 is 178,956,970.7
        ([171_798_692, 178_956_971], (1, 2)),
    ],
)
def test_words_place_mines_in_their_order(words: list[int], expected: tuple[int, ...]) -> None:
    assert odds.positions(words, len(expected)) == expected


def test_only_as_many_words_are_taken_as_there_are_mines() -> None:
    words = iter(range(10))

    assert odds.positions(words, 3) == (0, 1, 2)
    assert next(words) == 3


@pytest.mark.parametrize("mines", range(1, 25))
def test_no_tile_is_mined_twice(mines: int) -> None:
    for word in (0, 1, 2**16, 2**31, 2**32 - 1):
        placed = odds.positions([word] * mines, mines)
        assert len(set(placed)) == mines
        assert set(placed) <= set(range(25))


def test_every_pair_of_tiles_is_as_likely_as_another() -> None:
    """One word out of the middle of each outcome: 25 for the first mine, 24 for the second."""
    first = [(2 * at + 1) * 2**31 // 25 for at in range(25)]
    second = [(2 * at + 1) * 2**31 // 24 for at in range(24)]
    drawn = [odds.positions(pair, 2) for pair in product(first, second)]

    assert len(drawn) == len(set(drawn)) == 25 * 24


@pytest.mark.parametrize(("mines", "picks"), ALL_GAMES)
def test_picks_pay_their_chance_turned_over_less_one_percent(mines: int, picks: int) -> None:
    chance = Fraction(1)
    for pick in range(picks):
        chance *= Fraction(25 - mines - pick, 25 - pick)
    exact = Fraction(99, 100) / chance

    for stake in (1, 100, 12_345, MAX_MINOR):
        assert odds.payout(stake, mines, picks) == int(stake * exact)
    assert odds.multiplier(mines, picks) == int(100 * exact)


@pytest.mark.parametrize(
    ("mines", "picks", "multiplier"),
    [
        (1, 1, 103),  # 0.99 * 25/24
        (1, 24, 2_475),  # one of 25 ways: 0.99 * 25
        (3, 1, 112),  # 0.99 * 25/22 is 1.125
        (24, 1, 2_475),
        (13, 12, 514_829_700),  # 0.99 * 5,200,300: the longest odds of all
    ],
)
def test_known_multipliers(mines: int, picks: int, multiplier: int) -> None:
    assert odds.multiplier(mines, picks) == multiplier
    assert max(odds.multiplier(*game) for game in ALL_GAMES) == 514_829_700


def test_the_payout_is_rounded_once() -> None:
    """1.125 is shown as 1.12, but 1,000 staked pay 1,125."""
    assert odds.multiplier(3, 1) == 112
    assert odds.payout(1_000, 3, 1) == 1_125
    assert odds.payout(1, 3, 1) == 1


@pytest.mark.parametrize("picks", [1, 2, 5, 22])
def test_the_house_keeps_one_percent_wherever_the_player_stops(picks: int) -> None:
    """By counting the 2,300 fields of three mines in which the first tiles are all safe."""
    fields = [set(mined) for mined in combinations(range(25), 3)]
    won = sum(mined.isdisjoint(range(picks)) for mined in fields)
    stake = 100 * comb(22, picks)  # divides out, so that nothing is rounded

    paid = odds.payout(stake, 3, picks)
    assert Fraction(won * paid, len(fields) * stake) == Fraction(99, 100)


@pytest.mark.parametrize("mines", [-1, 0, 25])
def test_a_field_has_mines_and_safe_tiles(mines: int) -> None:
    with pytest.raises(AssertionError):
        odds.positions([0] * 25, mines)
    with pytest.raises(AssertionError):
        odds.payout(100, mines, 0)


def test_every_mine_needs_a_word() -> None:
    with pytest.raises(AssertionError):
        odds.positions([1, 2], 3)


def test_no_more_can_be_picked_than_is_safe() -> None:
    with pytest.raises(AssertionError):
        odds.payout(100, 3, 23)
