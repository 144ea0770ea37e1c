"""What a plinko ball must have come to, from the published scheme and nothing of ours."""

import hashlib
import hmac
from decimal import Decimal
from typing import Any, Final

import msgspec

# Rows; then for each risk, low, medium and high, the multipliers from the middle bucket outward.
_PUBLISHED: Final = """
    8 | 0.5 1 1.1 2.1 5.6 | 0.4 0.7 1.3 3 13 | 0.2 0.3 1.5 4 29
    9 | 0.7 1 1.6 2 5.6 | 0.5 0.9 1.7 4 18 | 0.2 0.6 2 7 43
    10 | 0.5 1 1.1 1.4 3 8.9 | 0.4 0.6 1.4 2 5 22 | 0.2 0.3 0.9 3 10 76
    11 | 0.7 1 1.3 1.9 3 8.4 | 0.5 0.7 1.8 3 6 24 | 0.2 0.4 1.4 5.2 14 120
    12 | 0.5 1 1.1 1.4 1.6 3 10 | 0.3 0.6 1.1 2 4 11 33 | 0.2 0.2 0.7 2 8.1 24 170
    13 | 0.7 0.9 1.2 1.9 3 4 8.1 | 0.4 0.7 1.3 3 6 13 43 | 0.2 0.2 1 4 11 37 260
    14 | 0.5 1 1.1 1.3 1.4 1.9 4 7.1 | 0.2 0.5 1 1.9 4 7 15 58 | 0.2 0.2 0.3 1.9 5 18 56 420
    15 | 0.7 1 1.1 1.5 2 3 8 15 | 0.3 0.5 1.3 3 5 11 18 88 | 0.2 0.2 0.5 3 8 27 83 620
    16 | 0.5 1 1.1 1.2 1.4 1.4 2 9 16 | 0.3 0.5 1 1.5 3 5 10 41 110 | 0.2 0.2 0.2 2 4 9 27 130 1000
"""


class _Chosen(msgspec.Struct, forbid_unknown_fields=True):
    rows: int
    risk: str


_chosen = msgspec.json.Decoder(_Chosen).decode


def _boards() -> dict[tuple[int, str], list[int]]:
    """The multipliers in hundredths of each board, from the middle bucket outward."""
    boards = {}
    for line in _PUBLISHED.split("\n")[1:-1]:
        rows, *risks = line.split("|")
        for risk, multipliers in zip(("low", "medium", "high"), risks, strict=True):
            outward = [int(Decimal(multiplier) * 100) for multiplier in multipliers.split()]
            boards[int(rows), risk] = outward
    return boards


_BOARDS: Final = _boards()


def settle(
    server_seed: str, client_seed: str, nonce: int, stake: int, parameters: str
) -> tuple[dict[str, Any], int]:
    """The outcome and the payout that the bet must have.

    Raises:
        ValueError: No bet can have these parameters.
    """
    chosen = _chosen(parameters)
    outward = _BOARDS.get((chosen.rows, chosen.risk))
    if outward is None:
        raise ValueError(f"there is no board of {chosen.rows} rows and {chosen.risk} risk")
    # Eight words in a block, each of eight hexadecimal digits; the first says the top bit.
    digits = _block(server_seed, client_seed, nonce, 0) + _block(server_seed, client_seed, nonce, 1)
    rights = [digits[8 * row] in "89abcdef" for row in range(chosen.rows)]
    right = sum(rights)
    left = chosen.rows - right
    # Each row moves the ball half a bucket from the middle; an odd board has two in the middle.
    multiplier = outward[abs(right - left) // 2]
    return {"bucket": right, "multiplier": multiplier}, stake * multiplier // 100


def _block(server_seed: str, client_seed: str, nonce: int, block: int) -> str:
    message = f"{client_seed}:{nonce}:{block}"
    return hmac.new(server_seed.encode(), message.encode(), hashlib.sha256).hexdigest()
