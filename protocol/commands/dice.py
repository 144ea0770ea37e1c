"""Dice: one roll between 0.00 and 100.00, over or under a target."""

from enum import Enum
from typing import Annotated

from msgspec import Meta

from protocol.commands.shape import Answer, Command, CurrencyCode, RequestId
from protocol.commands.wallet import BalanceOf
from protocol.money import Minor


class Direction(Enum):
    """Which side of the target wins."""

    OVER = "over"
    UNDER = "under"


class RollDice(Command, tag_field="game", tag="dice"):
    """Bet on a roll. `target` is in hundredths: 5050 is 50.50."""

    stake: Minor
    currency: CurrencyCode
    target: Annotated[int, Meta(ge=0, le=10_000, description="In hundredths: 5050 is 50.50.")]
    direction: Direction
    request_id: RequestId


class DiceResult(Answer, tag_field="game", tag="dice"):
    """A settled roll. `roll` is in hundredths; `payout` includes the stake and is 0 for a loss."""

    bet_id: str
    roll: int
    won: bool
    target: int
    direction: Direction
    currency: str
    stake: int
    payout: int
    pair: int
    nonce: int
    balance: BalanceOf
