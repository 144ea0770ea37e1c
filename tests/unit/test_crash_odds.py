"""Crash: where rounds bust, how the multiplier rises, and that the two clocks agree exactly."""

import hashlib
import hmac
from fractions import Fraction
from itertools import pairwise

import pytest

from actors.crash import odds

SEED = "0000000000000000000fa3b65e43e4240d71762a5bf397d5304b2596d116859c"


def drawn(round_hash: str) -> int:
    """The first 52 bits, as 13 hexadecimal digits."""
    digest = hmac.new(round_hash.encode("ascii"), SEED.encode("ascii"), hashlib.sha256)
    return int(digest.hexdigest()[:13], 16)


@pytest.mark.parametrize("number", range(300))
def test_a_round_busts_where_its_hash_says(number: int) -> None:
    round_hash = hashlib.sha256(str(number).encode()).hexdigest()
    exact = Fraction(97 * 2**52, 2**52 - drawn(round_hash))

    assert odds.drawn(round_hash, SEED) == drawn(round_hash)
    assert odds.bust(round_hash, SEED) == max(100, int(exact))
    assert odds.bust(round_hash, SEED, edge_percent=0) == int(exact * 100 / 97)
    assert odds.bust(round_hash, SEED, most=150) == min(150, max(100, int(exact)))


def test_four_rounds_of_a_hundred_and_one_bust_at_once() -> None:
    """1.00 is drawn by the 3 % edge and by the hundredth above it: 1 - 97/101 of all."""
    last = 4 * 2**52 // 101

    assert [odds.reached(number) for number in (0, last, last + 1)] == [100, 100, 101]


@pytest.mark.parametrize("target", [101, 150, 200, 1_000, 10_000, 1_234_567, 100_000_000])
@pytest.mark.parametrize("edge_percent", [0, 3, 10])
def test_the_return_is_the_same_at_every_target(target: int, edge_percent: int) -> None:
    """Exactly: how many of the 2**52 numbers reach a target, times what it pays."""
    kept = 100 - edge_percent
    first = 2**52 - kept * 2**52 // target
    assert odds.reached(first, edge_percent) >= target > odds.reached(first - 1, edge_percent)

    returned = Fraction(2**52 - first, 2**52) * target / 100
    assert 0 <= Fraction(kept, 100) - returned < Fraction(target, 100 * 2**52)


def test_no_bust_is_above_the_most() -> None:
    assert odds.reached(2**52 - 1) == odds.MOST_MULTIPLIER
    assert odds.reached(2**52 - 1, most=5_000) == 5_000


def exact_multipliers() -> list[int]:
    """floor(100 * e**(0.00006 * t)) for every t until the cap, in integers of 80 digits."""
    scale = 10**80
    growth = term = scale
    for power in range(1, 25):
        term = term * 6 // (100_000 * power)
        growth += term
    value, multipliers = scale, [100]
    while multipliers[-1] < odds.MOST_MULTIPLIER:
        value = value * growth // scale
        hundredths, rest = divmod(100 * value, scale)
        # A float is wrong by five units in 10**16 for each of its three steps, so by far less.
        error = 100 * value // 10**14
        assert error < rest < scale - error
        multipliers.append(min(hundredths, odds.MOST_MULTIPLIER))
    return multipliers


def test_the_multiplier_is_exact_at_every_millisecond() -> None:
    exact = exact_multipliers()

    assert len(exact) == 230_260
    assert [odds.multiplier_at(elapsed_ms) for elapsed_ms in range(len(exact))] == exact


@pytest.mark.parametrize(
    ("elapsed_ms", "multiplier"),
    [
        (-5, 100),
        (0, 100),
        (165, 100),
        (166, 101),
        (11_552, 199),
        (11_553, 200),
        (230_258, 99_996_944),
        (230_259, 100_000_000),
        (10**12, 100_000_000),
    ],
)
def test_known_multipliers(elapsed_ms: int, multiplier: int) -> None:
    assert odds.multiplier_at(elapsed_ms) == multiplier


def test_a_multiplier_is_reached_at_the_first_millisecond_that_shows_it() -> None:
    """Every multiplier until 4,000.00, and everyone that the clock ever shows."""
    shown = [odds.multiplier_at(elapsed_ms) for elapsed_ms in range(230_260)]
    expected = {100: 0}
    for elapsed_ms, (before, after) in enumerate(pairwise(shown), start=1):
        if before < 400_000:
            expected |= dict.fromkeys(range(before + 1, after + 1), elapsed_ms)
        elif after > before:
            expected[after] = expected[before + 1] = elapsed_ms

    assert {multiplier: odds.reached_at(multiplier) for multiplier in expected} == expected


def test_what_the_clock_never_shows_is_not_asked_for() -> None:
    assert odds.reached_at(-1) == odds.reached_at(99) == 0
    with pytest.raises(AssertionError):
        odds.reached_at(odds.MOST_MULTIPLIER + 1)
