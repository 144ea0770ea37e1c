"""A dice bet computed again from its revealed seeds, as anyone can do."""

import msgspec

from actors import fairness
from actors.dice import odds
from protocol.commands.dice import Direction


class Choice(msgspec.Struct, frozen=True):
    """What the player chose: `target` in hundredths, and the stake where a payout is asked for."""

    target: int
    direction: Direction
    stake_minor: int | None = None


class Verified(msgspec.Struct, frozen=True):
    """What the seeds say. `roll` is in hundredths; the rest is None where nothing asked for it."""

    roll: int
    won: bool | None = None
    payout_minor: int | None = None


def verify(
    server_seed: str, client_seed: str, nonce: int, choice: Choice | None = None
) -> Verified:
    """The roll of a bet, and whether it won and what it paid if `choice` says what was chosen.

    Raises:
        ValueError: The target leaves no way to win, or no way to lose.
    """
    outcome = odds.roll(fairness.first_word(server_seed, client_seed, nonce))
    if choice is None:
        return Verified(outcome)
    winning = odds.winning_outcomes(choice.target, choice.direction)
    if not 0 < winning < odds.OUTCOMES:
        raise ValueError("the target leaves no way to win, or no way to lose")
    won = odds.wins(outcome, choice.target, choice.direction)
    payout_minor = None
    if choice.stake_minor is not None:
        payout_minor = odds.payout(choice.stake_minor, winning) if won else 0
    return Verified(outcome, won, payout_minor)
