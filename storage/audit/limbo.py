"""What a bet on limbo must have come to, from the published scheme and nothing of ours."""

import hashlib
import hmac
from fractions import Fraction
from typing import Any, Final

import msgspec

# No result is more than 1,000,000.00, so no bet has a higher target.
_MOST: Final = 100_000_000


class _Chosen(msgspec.Struct, forbid_unknown_fields=True):
    target: int


_chosen = msgspec.json.Decoder(_Chosen).decode


def settle(
    server_seed: str, client_seed: str, nonce: int, stake: int, parameters: str
) -> tuple[dict[str, Any], int]:
    """The outcome and the payout that the bet must have.

    Raises:
        ValueError: No bet can have these parameters.
    """
    target = _chosen(parameters).target
    if not 100 < target <= _MOST:
        raise ValueError(f"a target of {target} leaves no way to win or no way to lose")
    message = f"{client_seed}:{nonce}:0"
    digest = hmac.new(server_seed.encode(), message.encode(), hashlib.sha256).hexdigest()
    drawn = Fraction(int(digest[:8], 16), 2**32)
    # 99 % of the fair multiplier 1 / drawn, in hundredths; nothing pays less than the stake.
    result = max(100, min(_MOST, int(99 / drawn))) if drawn else _MOST
    won = result >= target
    return {"result": result, "won": won}, int(Fraction(target, 100) * stake) if won else 0
