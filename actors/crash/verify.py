"""A crash round computed again from its revealed hash, as anyone can do."""

import msgspec

from actors.crash import odds
from actors.crash.chain import MOST_LENGTH, before


class Cashout(msgspec.Struct, frozen=True):
    """When a player cashed out, in hundredths, and the stake where a payout is asked for."""

    multiplier: int
    stake_minor: int | None = None


class Verified(msgspec.Struct, frozen=True):
    """What the hash says. `bust` is in hundredths; the rest is None where nothing asked for it."""

    bust: int
    won: bool | None = None
    payout_minor: int | None = None


def verify(
    round_hash: str,
    public_seed: str,
    edge_percent: int = odds.EDGE_PERCENT,
    most: int = odds.MOST_MULTIPLIER,
    cashout: Cashout | None = None,
) -> Verified:
    """Where a round bust, and what cashing out there paid: a cash-out at the bust itself counts."""
    bust = odds.bust(round_hash, public_seed, edge_percent, most)
    if cashout is None:
        return Verified(bust)
    won = cashout.multiplier <= bust
    payout_minor = None
    if cashout.stake_minor is not None:
        payout_minor = cashout.stake_minor * cashout.multiplier // 100 if won else 0
    return Verified(bust, won, payout_minor)


def position_of(round_hash: str, terminal_hash: str) -> int | None:
    """Which round of a chain has this hash: how often it must be hashed to give the terminal one.

    None if it does not lead there; finding that out takes seconds, as a chain may be long.
    """
    for position in range(1, MOST_LENGTH + 1):
        round_hash = before(round_hash)
        if round_hash == terminal_hash:
            return position
    return None
