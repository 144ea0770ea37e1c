"""Plinko: boards, buckets and what they pay."""

from collections import Counter
from fractions import Fraction
from itertools import count, product
from math import comb

import pytest

from actors.plinko import odds
from actors.plinko.rules import PLINKO
from protocol.bounds import MAX_MINOR
from protocol.commands.plinko import LEAST_ROWS, MOST_ROWS, RISKS, DropPlinko
from protocol.errors import UNKNOWN_BOARD
from tests.support.wallets import refusal, request

BOARDS = list(product(range(8, 17), ("low", "medium", "high")))
LEFT, RIGHT = 2**31 - 1, 2**31


def test_there_is_a_board_for_all_rows_and_risks_and_no_other() -> None:
    assert list(odds.BOARDS) == BOARDS
    assert (LEAST_ROWS, MOST_ROWS, RISKS) == (8, 16, ("low", "medium", "high"))


@pytest.mark.parametrize(("rows", "risk"), BOARDS)
def test_a_board_is_a_mirror_of_itself_and_pays_most_outside(rows: int, risk: str) -> None:
    paid = odds.BOARDS[rows, risk]

    assert len(paid) == rows + 1
    assert paid == paid[::-1]
    assert list(paid[: rows // 2 + 1]) == sorted(paid[: rows // 2 + 1], reverse=True)
    assert paid[0] > 100 > paid[rows // 2]


@pytest.mark.parametrize(
    ("rows", "risk", "expected"),
    [
        (8, "low", (560, 210, 110, 100, 50, 100, 110, 210, 560)),
        (9, "high", (4300, 700, 200, 60, 20, 20, 60, 200, 700, 4300)),
        (
            16,
            "high",
            (
                *(100_000, 13_000, 2_700, 900, 400, 200, 20, 20, 20),
                *(20, 20, 200, 400, 900, 2_700, 13_000, 100_000),
            ),
        ),
    ],
)
def test_a_board_bucket_by_bucket(rows: int, risk: str, expected: tuple[int, ...]) -> None:
    assert tuple(odds.multiplier(rows, risk, bucket) for bucket in range(rows + 1)) == expected


@pytest.mark.parametrize(("rows", "risk"), BOARDS)
def test_the_house_keeps_about_one_percent_of_every_board(rows: int, risk: str) -> None:
    """Exact over all ways a ball can fall. The multipliers are round, so boards differ."""
    paid = sum(comb(rows, k) * odds.multiplier(rows, risk, k) for k in range(rows + 1))
    returned = Fraction(paid, 100 * 2**rows)

    # The board of the highest multiplier returns the most, 99.34 %.
    most = Fraction(9935, 10_000) if (rows, risk) == (16, "high") else Fraction(9917, 10_000)
    assert Fraction(9890, 10_000) < returned < most


def test_the_top_bit_of_each_word_turns_the_ball() -> None:
    assert odds.bucket([LEFT] * 8, 8) == 0
    assert odds.bucket([RIGHT] * 8, 8) == 8
    assert odds.bucket([0, 2**32 - 1, LEFT, RIGHT, 0, 0, 0, RIGHT], 8) == 3


def test_every_way_is_one_word_a_row() -> None:
    reached = Counter(odds.bucket(way, 10) for way in product((LEFT, RIGHT), repeat=10))

    assert reached == {bucket: comb(10, bucket) for bucket in range(11)}


@pytest.mark.parametrize("rows", range(8, 17))
def test_no_more_words_are_taken_than_there_are_rows(rows: int) -> None:
    words = count()
    odds.bucket(words, rows)

    assert next(words) == rows


@pytest.mark.parametrize(
    ("stake", "multiplier", "paid"),
    [
        (100, 560, 560),
        (1, 50, 0),  # half a unit
        (3, 50, 1),
        (7, 110, 7),  # 7.7
        (1, 100_000, 1_000),
        (MAX_MINOR, 20, MAX_MINOR // 5),
    ],
)
def test_a_payout_rounds_down_once(stake: int, multiplier: int, paid: int) -> None:
    assert odds.payout(stake, multiplier) == paid


@pytest.mark.parametrize(
    ("rows", "risk"),
    [(7, "low"), (17, "low"), (0, "low"), (2**53 - 1, "high"), (8, ""), (8, "Low"), (8, "higher")],
)
def test_there_is_no_other_board(rows: int, risk: str) -> None:
    wager = DropPlinko(1, "PLAY", rows, risk, request(1))

    assert refusal(lambda: PLINKO.most(wager)) is UNKNOWN_BOARD
    with pytest.raises(KeyError):
        odds.multiplier(rows, risk, 0)


@pytest.mark.parametrize(("rows", "risk"), BOARDS)
def test_the_most_that_a_ball_pays_is_its_best_bucket(rows: int, risk: str) -> None:
    best = max(odds.payout(100, odds.multiplier(rows, risk, k)) for k in range(rows + 1))

    assert PLINKO.most(DropPlinko(100, "PLAY", rows, risk, request(1))) == best
