"""Limbo: a multiplier from 1.00 to 1,000,000.00, which wins where it reaches the target."""

from typing import Annotated, Final

from msgspec import Meta

from protocol.bounds import MAX_MINOR
from protocol.commands.shape import Answer, Command, CurrencyCode, RequestId
from protocol.commands.wallet import BalanceOf
from protocol.money import Minor

# In hundredths. Below the first every result would win; results are capped at the second, so above
# it none would. Another number is `target_out_of_range`, of the one bet of a batch that has it.
LEAST_TARGET: Final = 101
MOST_TARGET: Final = 100_000_000


class PlayLimbo(Command, tag_field="game", tag="limbo"):
    """Bet that the result reaches a target. `target` is a multiplier in hundredths: 250 is 2.50."""

    stake: Minor
    currency: CurrencyCode
    target: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_MINOR,
            description="A multiplier in hundredths: 250 is 2.50.",
            extra_json_schema={"minimum": LEAST_TARGET, "maximum": MOST_TARGET},
        ),
    ]
    request_id: RequestId


class LimboResult(Answer, tag_field="game", tag="limbo"):
    """A settled game. `result` and `target` are in hundredths; `payout` is 0 for a loss."""

    bet_id: str
    result: int
    won: bool
    target: int
    currency: str
    stake: int
    payout: int
    pair: int
    nonce: int
    balance: BalanceOf
