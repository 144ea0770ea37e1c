"""What a dice bet must have come to, from the published scheme and nothing of ours."""

import hashlib
import hmac
from typing import Any, Literal

import msgspec


class _Chosen(msgspec.Struct, forbid_unknown_fields=True):
    target: int
    direction: Literal["over", "under"]


_chosen = msgspec.json.Decoder(_Chosen).decode


def settle(
    server_seed: str, client_seed: str, nonce: int, stake: int, parameters: str
) -> tuple[dict[str, Any], int]:
    """The outcome and the payout that the bet must have.

    Raises:
        ValueError: No bet can have these parameters.
    """
    chosen = _chosen(parameters)
    winning = range(chosen.target)
    if chosen.direction == "over":
        winning = range(chosen.target + 1, 10_001)
    # From 0.00 to 100.00 there are 10,001 rolls.
    if not (0 <= chosen.target <= 10_000 and 0 < len(winning) < 10_001):
        raise ValueError(f"a target of {chosen.target} leaves no way to win or no way to lose")
    message = f"{client_seed}:{nonce}:0"
    digest = hmac.new(server_seed.encode(), message.encode(), hashlib.sha256).hexdigest()
    roll = int(digest[:8], 16) * 10_001 // 2**32
    won = roll in winning
    # The fair payout is stake * 10001 / winning, of which 99 % is paid.
    payout = stake * 990_099 // (len(winning) * 100) if won else 0
    return {"roll": roll, "won": won}, payout
