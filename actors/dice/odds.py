"""The arithmetic of dice: outcomes, chances and payouts, all in integers."""

from typing import Final

from protocol.commands.dice import Direction

# A roll is 0.00 to 100.00 in hundredths, both ends included.
OUTCOMES: Final = 10_001
# Out of 100: the house keeps one percent of every stake on average.
RETURN_PERCENT: Final = 99
# To look a member up in its class takes longer than to compare it.
_UNDER: Final = Direction.UNDER


def roll(word: int) -> int:
    """The roll in hundredths that a 32-bit word stands for: word * 10001 / 2**32, rounded down."""
    return word * OUTCOMES >> 32


def winning_outcomes(target: int, direction: Direction) -> int:
    """How many of the 10001 outcomes win."""
    return target if direction is _UNDER else OUTCOMES - 1 - target


def wins(outcome: int, target: int, direction: Direction) -> bool:
    """Whether a roll wins: strictly under, or strictly over, the target."""
    return outcome < target if direction is _UNDER else outcome > target


def payout(stake_minor: int, winning: int) -> int:
    """What a win pays, stake included: stake * 99 * 10001 / (100 * winning), rounded down once."""
    return stake_minor * RETURN_PERCENT * OUTCOMES // (100 * winning)
