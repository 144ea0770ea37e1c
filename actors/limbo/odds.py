"""The arithmetic of limbo: results, targets and payouts, in integers and hundredths."""

from typing import Final

from protocol.commands.limbo import LEAST_TARGET, MOST_TARGET

# The cap of a result, and so the highest target that can be reached: 1,000,000.00.
MOST_MULTIPLIER: Final = MOST_TARGET
# Every result is at least 1.00.
LEAST_MULTIPLIER: Final = 100
# Out of 100: the house keeps one percent of every stake on average.
RETURN_PERCENT: Final = 99
_WORDS: Final = 2**32


def result(word: int, most: int = MOST_MULTIPLIER) -> int:
    """The multiplier in hundredths that a 32-bit word stands for: 99 * 2**32 / word, rounded down.

    It is at least 1.00 and at most `most`, which is also what the word 0 stands for.
    """
    if word == 0:
        return most
    return min(max(LEAST_MULTIPLIER, RETURN_PERCENT * _WORDS // word), most)


def is_offered(target: int) -> bool:
    """Whether a target, in hundredths, leaves a way to lose and a way to win."""
    return LEAST_TARGET <= target <= MOST_MULTIPLIER


def payout(stake_minor: int, target: int) -> int:
    """What a win pays, stake included: the stake times its target, rounded down once."""
    return stake_minor * target // 100
