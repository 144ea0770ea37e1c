"""Limbo: the result a word stands for, and what targets are worth."""

from fractions import Fraction

import pytest

from actors.limbo import odds
from actors.limbo.rules import LIMBO
from protocol.bounds import MAX_MINOR
from protocol.commands.limbo import PlayLimbo
from protocol.errors import TARGET_OUT_OF_RANGE
from tests.support.wallets import refusal, request

MOST = 100_000_000


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0, MOST),  # nothing to divide by
        (1, MOST),  # 425 thousand million hundredths, capped
        (4_252, MOST),  # 100,000,414.5
        (4_253, 99_976_901),  # 99,976,901.6: the first below the cap
        (2**31, 198),
        (0x0E8D_0000, 1_741),  # 1741.8: 17.41
        (42_520_176, 10_000),  # 99 * 2**32 / 10000 is 42,520,176.2
        (42_520_177, 9_999),
        (4_252_017_623, 100),  # 100.0000000009
        (4_252_017_624, 100),  # 99.99999998: nothing is below 1.00
        (2**32 - 1, 100),
    ],
)
def test_a_word_is_a_result(word: int, expected: int) -> None:
    assert odds.result(word) == expected


@pytest.mark.parametrize(("most", "expected"), [(100, 100), (197, 197), (198, 198), (199, 198)])
def test_a_result_is_capped_where_the_table_says(most: int, expected: int) -> None:
    assert odds.result(2**31, most) == expected
    assert odds.result(0, most) == most


@pytest.mark.parametrize("target", [101, 102, 150, 198, 200, 997, 10_000, 99_976_902, MOST])
def test_a_target_is_reached_by_the_words_up_to_a_point(target: int) -> None:
    last = 99 * 2**32 // target

    assert odds.result(last) >= target
    assert odds.result(last + 1) < target


@pytest.mark.parametrize("target", [101, 102, 150, 198, 200, 997, 10_000, 99_976_902, MOST])
def test_the_house_keeps_one_percent_of_every_target(target: int) -> None:
    """Exact over all words, but for one word of 2**32: those that win are a whole number."""
    winning = 99 * 2**32 // target + 1
    returned = Fraction(winning, 2**32) * Fraction(target, 100)

    assert Fraction(99, 100) < returned <= Fraction(99, 100) + Fraction(target, 100 * 2**32)


@pytest.mark.parametrize(
    ("stake", "target", "paid"),
    [
        (100, 200, 200),
        (100, 101, 101),
        (1, 101, 1),  # 1.01
        (99, 101, 99),  # 99.99
        (33, 250, 82),  # 82.5
        (1, MOST, 1_000_000),
        (MAX_MINOR, 101, MAX_MINOR * 101 // 100),
    ],
)
def test_a_payout_rounds_down_once(stake: int, target: int, paid: int) -> None:
    assert odds.payout(stake, target) == paid


@pytest.mark.parametrize(
    ("target", "offered"),
    [
        (0, False),
        (99, False),
        (100, False),  # every result would win
        (101, True),
        (MOST, True),
        (MOST + 1, False),  # none would
        (MAX_MINOR, False),
    ],
)
def test_a_target_leaves_a_way_to_lose_and_to_win(target: int, offered: bool) -> None:
    wager = PlayLimbo(1, "PLAY", target, request(1))

    assert odds.is_offered(target) is offered
    assert refusal(lambda: LIMBO.most(wager)) is (None if offered else TARGET_OUT_OF_RANGE)
