"""Bets of every game: many in one message, and those already placed."""

from enum import Enum
from typing import Annotated, Any

from msgspec import Meta

from protocol.bounds import DEFAULT_PAGE, MAX_BETS_PER_BATCH
from protocol.commands.dice import DiceResult, RollDice
from protocol.commands.limbo import LimboResult, PlayLimbo
from protocol.commands.plinko import DropPlinko, PlinkoResult
from protocol.commands.shape import Answer, Command
from protocol.commands.wallet import BeforeSeq, PageSize
from protocol.errors import ErrorBody

InstantBet = RollDice | PlayLimbo | DropPlinko
InstantResult = DiceResult | LimboResult | PlinkoResult


class PlaceBets(Command):
    """Place several bets at once, of any instant games. Each is answered by itself, in order."""

    bets: Annotated[list[InstantBet], Meta(min_length=1, max_length=MAX_BETS_PER_BATCH)]


class Placed(Answer):
    """The answer to one bet of a batch: its result, or the error that refused it."""

    success: bool
    data: InstantResult | None = None
    error: ErrorBody | None = None


class PlacedBets(Answer):
    """One answer for each bet of the batch, in the same order."""

    results: list[Placed]


class GetBet(Command):
    """A bet with everything needed to verify it."""

    bet_id: Annotated[str, Meta(min_length=3, max_length=41)]


class GetBets(Command):
    """Your bets, newest first."""

    before: BeforeSeq | None = None
    limit: PageSize = DEFAULT_PAGE


class BetState(Enum):
    """How far a bet is. A released one was given back: its outcome says why."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"


class BetRecord(Answer):
    """A bet and what verifies it. The server seed is null until it has been rotated out.

    A bet in several steps is one record, by the entry that held its stake. While it is open, it has
    neither payout nor outcome; given back, it has no payout. Where a game has no seeds of the
    player's, what verifies it is in the outcome.
    """

    bet_id: str
    game: str
    state: BetState
    currency: str
    stake: int
    payout: int | None
    parameters: dict[str, Any]
    outcome: dict[str, Any] | None
    pair: int | None
    nonce: int | None
    client_seed: str | None
    server_seed_hash: str | None
    server_seed: str | None
    seq: int
    at_ms: int


class BetHistory(Answer):
    """A page of bets, perhaps fewer than asked for; `next_before` asks for the next page."""

    bets: list[BetRecord]
    next_before: int | None
