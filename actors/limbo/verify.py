"""A limbo bet computed again from its revealed seeds, as anyone can do."""

import msgspec

from actors import fairness
from actors.limbo import odds


class Choice(msgspec.Struct, frozen=True):
    """What the player chose: `target` in hundredths, and the stake where a payout is asked for."""

    target: int
    stake_minor: int | None = None


class Verified(msgspec.Struct, frozen=True):
    """What the seeds say. `result` is in hundredths; the rest is None where nobody asked for it."""

    result: int
    won: bool | None = None
    payout_minor: int | None = None


def verify(
    server_seed: str, client_seed: str, nonce: int, choice: Choice | None = None
) -> Verified:
    """The result of a bet, and whether it won and what it paid if `choice` says what was chosen.

    Raises:
        ValueError: The target leaves no way to win, or no way to lose.
    """
    result = odds.result(fairness.first_word(server_seed, client_seed, nonce))
    if choice is None:
        return Verified(result)
    if not odds.is_offered(choice.target):
        raise ValueError("the target leaves no way to win, or no way to lose")
    won = result >= choice.target
    payout_minor = None
    if choice.stake_minor is not None:
        payout_minor = odds.payout(choice.stake_minor, choice.target) if won else 0
    return Verified(result, won, payout_minor)
