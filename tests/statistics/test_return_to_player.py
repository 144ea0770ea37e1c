"""Over a million draws a game, what comes back is what the scheme says, give or take luck.

The exact return and its spread are computed here, from the scheme. Seeds are fixed, so that a run
that passes always passes; with others, 4.5 standard deviations are left once in 150,000 times.
"""

from array import array
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import comb, sqrt
from random import Random
from typing import Any, NamedTuple

import pytest

from actors.dice.rules import DICE
from actors.fairness import Words
from actors.limbo.rules import LIMBO
from actors.plinko.rules import PLINKO
from protocol.commands.dice import Direction, RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.plinko import DropPlinko
from storage.audit.plinko import _BOARDS as PUBLISHED
from tests.support.wallets import request

STAKE = 1_000_000
DEVIATIONS = 4.5
WORDS = 2**32

Payouts = list[tuple[Fraction, int]]
"""Each payout of a stake, and its probability."""


class Bet(NamedTuple):
    """A bet that is placed again and again."""

    game: Any
    wager: Any
    payouts: Payouts
    draws: int


def rolls(target: int, direction: Direction) -> Bet:
    outcomes = range(target) if direction is Direction.UNDER else range(target + 1, 10_001)
    # Outcome n is drawn by the words from n * 2**32 / 10001, rounded up, to the next one's first.
    words = sum(-(-(n + 1) * WORDS // 10_001) + (-n * WORDS // 10_001) for n in outcomes)
    win = STAKE * 99 * 10_001 // (100 * len(outcomes))
    wager = RollDice(STAKE, "PLAY", target, direction, request(1))
    return Bet(DICE, wager, _win_or_lose(words, win), 500_000)


def limbos(target: int) -> Bet:
    # 99 * 2**32 / word reaches the target up to this word; word 0 is the cap, which reaches any.
    words = 99 * WORDS // target + 1
    wager = PlayLimbo(STAKE, "PLAY", target, request(1))
    return Bet(LIMBO, wager, _win_or_lose(words, STAKE * target // 100), 500_000)


def balls(rows: int, risk: str) -> Bet:
    outward = PUBLISHED[rows, risk]
    payouts = [
        (
            Fraction(comb(rows, bucket), 2**rows),
            STAKE * outward[abs(2 * bucket - rows) // 2] // 100,
        )
        for bucket in range(rows + 1)
    ]
    return Bet(PLINKO, DropPlinko(STAKE, "PLAY", rows, risk, request(1)), payouts, 40_000)


def _win_or_lose(words: int, win: int) -> Payouts:
    chance = Fraction(words, WORDS)
    return [(chance, win), (1 - chance, 0)]


DICE_BETS = [
    rolls(5_050, Direction.OVER),
    rolls(9_900, Direction.UNDER),
    rolls(500, Direction.UNDER),
]
LIMBO_BETS = [limbos(101), limbos(150), limbos(200), limbos(5_000)]
PLINKO_BETS = [balls(rows, risk) for rows, risk in PUBLISHED]
BETS = [*DICE_BETS, *LIMBO_BETS, *PLINKO_BETS]


class SeededWords:
    """Words of a seeded generator in the place of a seed pair's, at a fraction of their cost."""

    def __init__(self, seed: str, count: int) -> None:
        self._words = iter(array("I", Random(seed).randbytes(count * array("I").itemsize)))

    def first(self, _nonce: int) -> int:
        return next(self._words)

    def of(self, _nonce: int) -> Iterator[int]:
        return self._words


def exact(payouts: Payouts) -> tuple[Fraction, float]:
    """What a stake of one returns on average, and the standard deviation of that."""
    mean = sum((chance * paid for chance, paid in payouts), Fraction(0))
    square = sum((chance * paid**2 for chance, paid in payouts), Fraction(0))
    return mean / STAKE, sqrt(square - mean**2) / STAKE


def told(bet: Bet) -> str:
    parameters: str = bet.game.parameters(bet.wager)
    return f"{bet.game.name} {parameters}"


def returned(bet: Bet, words: Any, draws: int) -> float:
    """What a stake of one returned on average over `draws` nonces, by the game itself."""
    draw: Callable[..., tuple[Any, int]] = bet.game.draw
    most = bet.game.most(bet.wager)
    paid = sum(draw(bet.wager, words, nonce, most)[1] for nonce in range(draws))
    return paid / (draws * STAKE)


def test_each_game_is_drawn_more_than_a_million_times() -> None:
    for bets in (DICE_BETS, LIMBO_BETS, PLINKO_BETS):
        assert sum(bet.draws for bet in bets) > 1_000_000


@pytest.mark.parametrize("bet", BETS, ids=told)
def test_the_exact_return_is_that_of_an_edge_of_one_percent(bet: Bet) -> None:
    """Plinko's multipliers are round, so that a board misses it by up to 0.35 %."""
    assert sum(chance for chance, _paid in bet.payouts) == 1
    mean, _deviation = exact(bet.payouts)
    slack = Fraction(35, 10_000) if bet.game is PLINKO else Fraction(2, 1_000_000)
    assert abs(mean - Fraction(99, 100)) < slack


@pytest.mark.parametrize("bet", BETS, ids=told)
def test_what_comes_back_is_within_the_interval_of_the_exact_return(bet: Bet) -> None:
    mean, deviation = exact(bet.payouts)
    words = SeededWords(told(bet), bet.draws * (bet.wager.rows if bet.game is PLINKO else 1))

    got = returned(bet, words, bet.draws)

    margin = DEVIATIONS * deviation / sqrt(bet.draws)
    assert abs(got - mean) < margin, f"{got} came back, not {float(mean)} to within {margin}"


@pytest.mark.parametrize(
    "bets", [DICE_BETS, LIMBO_BETS, PLINKO_BETS], ids=["dice", "limbo", "plinko"]
)
def test_the_intervals_would_show_a_game_without_an_edge(bets: list[Bet]) -> None:
    """At least one bet of each game is drawn often enough for a difference of one percent."""
    margins = [DEVIATIONS * exact(bet.payouts)[1] / sqrt(bet.draws) for bet in bets]

    assert min(margins) < 0.01


@pytest.mark.parametrize(
    "bet", [DICE_BETS[0], LIMBO_BETS[1], balls(16, "low"), balls(9, "high")], ids=told
)
def test_what_comes_back_through_real_seeds(bet: Bet) -> None:
    mean, deviation = exact(bet.payouts)
    draws = 50_000

    got = returned(bet, Words("a server seed", told(bet)), draws)

    assert abs(got - mean) < DEVIATIONS * deviation / sqrt(draws)
