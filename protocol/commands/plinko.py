"""Plinko: a ball falls through 8 to 16 rows of pins, left or right at each, into a bucket."""

from typing import Annotated, Final

from msgspec import Meta

from protocol.bounds import MAX_MINOR
from protocol.commands.shape import Answer, Command, CurrencyCode, RequestId
from protocol.commands.wallet import BalanceOf
from protocol.money import Minor

# Other rows or another risk are `unknown_board`, of the one bet of a batch that has them.
LEAST_ROWS: Final = 8
MOST_ROWS: Final = 16
RISKS: Final = ("low", "medium", "high")
# No risk has a longer name. Longer: `malformed`.
_MAX_RISK_CHARS: Final = 16


class DropPlinko(Command, tag_field="game", tag="plinko"):
    """Drop a ball. Few rows and a low risk pay often; many rows and a high risk pay rarely."""

    stake: Minor
    currency: CurrencyCode
    rows: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_MINOR,
            description="Rows of pins.",
            extra_json_schema={"minimum": LEAST_ROWS, "maximum": MOST_ROWS},
        ),
    ]
    risk: Annotated[
        str,
        Meta(
            max_length=_MAX_RISK_CHARS,
            description="How far the multipliers are spread.",
            extra_json_schema={"enum": list(RISKS)},
        ),
    ]
    request_id: RequestId


class PlinkoResult(Answer, tag_field="game", tag="plinko"):
    """Where the ball fell. `bucket` counts its turns to the right; `multiplier` is in hundredths.

    `payout` includes the stake. Buckets near the middle pay less than the stake, but always pay.
    """

    bet_id: str
    bucket: int
    multiplier: int
    rows: int
    risk: str
    currency: str
    stake: int
    payout: int
    pair: int
    nonce: int
    balance: BalanceOf
