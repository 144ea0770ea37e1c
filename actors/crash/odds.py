"""The arithmetic of crash: where a round busts, and how its multiplier rises. In hundredths."""

import hmac
from math import exp, log
from typing import Final

# 1,000,000.00: beyond it no round goes on. The clock shows that after 230 seconds.
MOST_MULTIPLIER: Final = 100_000_000
# What every round starts from.
LEAST_MULTIPLIER: Final = 100
# Out of 100: what the house keeps of every stake on average, whatever the cash-out.
EDGE_PERCENT: Final = 3

# The multiplier is e to this power of the milliseconds since the start: 2.00 after 11.6 seconds.
_GROWTH_PER_MS: Final = 0.00006
# A round draws one of so many numbers.
_NUMBERS: Final = 2**52
# The fewest bytes that hold one, and the bits at their end that are too many.
_BYTES: Final = 7
_SURPLUS_BITS: Final = 4


def bust(
    round_hash: str,
    public_seed: str,
    edge_percent: int = EDGE_PERCENT,
    most: int = MOST_MULTIPLIER,
) -> int:
    """The multiplier that a round with this hash and public seed busts at, from 1.00 to `most`."""
    return reached(drawn(round_hash, public_seed), edge_percent, most)


def drawn(round_hash: str, public_seed: str) -> int:
    """The number of 52 bits a round draws: the first of them of an HMAC-SHA256.

    It is keyed with the round's hash as text, and its message is the public seed.
    """
    digest = hmac.digest(round_hash.encode(), public_seed.encode(), "sha256")
    return int.from_bytes(digest[:_BYTES]) >> _SURPLUS_BITS


def reached(number: int, edge_percent: int = EDGE_PERCENT, most: int = MOST_MULTIPLIER) -> int:
    """The bust that a drawn number stands for: 0.97 * 2**52 / (2**52 - number), rounded down.

    It is at least 1.00 and at most `most`.
    """
    multiplier = (100 - edge_percent) * _NUMBERS // (_NUMBERS - number)
    return min(max(LEAST_MULTIPLIER, multiplier), most)


def multiplier_at(elapsed_ms: int) -> int:
    """The multiplier so long after the start: e**(0.00006 * elapsed_ms), rounded down.

    It stays at 1.00 before the start and at MOST_MULTIPLIER from there on. A float is exact enough:
    over the 230,259 milliseconds until then no product is so near to a hundredth that its error
    could cross it, which a test computes.
    """
    if elapsed_ms <= 0:
        return LEAST_MULTIPLIER
    if elapsed_ms >= _LAST_MS:
        return MOST_MULTIPLIER
    return int(LEAST_MULTIPLIER * exp(_GROWTH_PER_MS * elapsed_ms))


def reached_at(multiplier: int) -> int:
    """The first millisecond after the start at which the multiplier is this one or more."""
    assert multiplier <= MOST_MULTIPLIER, multiplier
    if multiplier <= LEAST_MULTIPLIER:
        return 0
    if multiplier == MOST_MULTIPLIER:
        return _LAST_MS
    elapsed_ms = int(log(multiplier / LEAST_MULTIPLIER) / _GROWTH_PER_MS)
    # The logarithm's last digit may be off by one millisecond either way; `multiplier_at` decides.
    while multiplier_at(elapsed_ms) >= multiplier:
        elapsed_ms -= 1
    while multiplier_at(elapsed_ms) < multiplier:
        elapsed_ms += 1
    return elapsed_ms


# log(1,000,000) / 0.00006 is 230,258.5...
_LAST_MS: Final = 230_259
