"""A game of mines computed again from its revealed seeds, as anyone can do."""

from collections.abc import Sequence

import msgspec

from actors import fairness
from actors.mines import odds


class Verified(msgspec.Struct, frozen=True):
    """What the seeds say. `drawn` is where the mines lie, in the order they were drawn.

    What the picks came to is None where there are none; the multiplier is in hundredths.
    """

    drawn: tuple[int, ...]
    won: bool | None = None
    multiplier: int | None = None
    payout_minor: int | None = None


def verify(
    server_seed: str,
    client_seed: str,
    nonce: int,
    mines: int,
    picked: Sequence[int] = (),
    stake_minor: int | None = None,
) -> Verified:
    """Where the mines lie, and what a player who picked these tiles and then stopped has won.

    Raises:
        ValueError: A tile is picked twice, or after a mine, when the game was over.
    """
    drawn = odds.positions(fairness.words(server_seed, client_seed, nonce), mines)
    if not picked:
        return Verified(drawn)
    if len(set(picked)) != len(picked):
        raise ValueError("a tile can be picked once only")
    if not set(drawn).isdisjoint(picked[:-1]):
        raise ValueError("a mine ends the game, and no tile can be picked after it")
    won = picked[-1] not in drawn
    payout_minor = None
    if stake_minor is not None:
        payout_minor = odds.payout(stake_minor, mines, len(picked)) if won else 0
    return Verified(drawn, won, odds.multiplier(mines, len(picked)) if won else 0, payout_minor)
