"""Plinko: a ball falls through 8 to 16 rows of pins, left or right at each, into a bucket."""

from typing import Annotated, Final

from msgspec import Meta

from protocol.commands.shape import Answer, Command, CurrencyCode, RequestId
from protocol.commands.wallet import BalanceOf
from protocol.money import Minor

LEAST_ROWS: Final = 8
MOST_ROWS: Final = 16
RISKS: Final = ("low", "medium", "high")


class DropPlinko(Command, tag_field="game", tag="plinko"):
    """Drop a ball. Few rows and a low risk pay often; many rows and a high risk pay rarely, much.

    Another number of rows or another risk is `unknown_board`, for that one bet of a batch.
    """

    stake: Minor
    currency: CurrencyCode
    rows: Annotated[
        int,
        Meta(
            description="Rows of pins, 8 to 16.",
            extra_json_schema={"minimum": LEAST_ROWS, "maximum": MOST_ROWS},
        ),
    ]
    risk: Annotated[
        str,
        Meta(
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
