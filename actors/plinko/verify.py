"""A plinko bet computed again from its revealed seeds, as anyone can do."""

from itertools import islice

import msgspec

from actors import fairness
from actors.plinko import odds


class Verified(msgspec.Struct, frozen=True):
    """What the seeds say: the turns to the right (True) row by row, the multiplier in hundredths.

    `payout_minor` is None where no stake was given.
    """

    turns: tuple[bool, ...]
    bucket: int
    multiplier: int
    payout_minor: int | None = None


def verify(
    server_seed: str,
    client_seed: str,
    nonce: int,
    rows: int,
    risk: str,
    stake_minor: int | None = None,
) -> Verified:
    """Where the ball of a bet fell, and what that paid. Raises KeyError for an unknown board."""
    words = list(islice(fairness.words(server_seed, client_seed, nonce), rows))
    bucket = odds.bucket(words, rows)
    multiplier = odds.multiplier(rows, risk, bucket)
    return Verified(
        tuple(odds.bucket([word], 1) == 1 for word in words),
        bucket,
        multiplier,
        None if stake_minor is None else odds.payout(stake_minor, multiplier),
    )
