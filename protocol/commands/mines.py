"""Mines: 25 tiles, some of them mined; each safe pick raises what a cash-out pays.

Multipliers are in hundredths, rounded down: they are shown, the payout is computed exactly.
"""

from enum import Enum
from typing import Annotated

from msgspec import Meta

from protocol.commands.shape import Answer, Command, CurrencyCode, RequestId
from protocol.commands.wallet import BalanceOf
from protocol.money import Minor


class Ended(Enum):
    """How a game ended.

    `cleared` is the last safe tile, `limit` a pick after which another could win more than is
    allowed: both cash out by themselves.
    """

    MINE = "mine"
    CASHOUT = "cashout"
    CLEARED = "cleared"
    LIMIT = "limit"


class StartMines(Command):
    """Open a game. The stake is held until it ends. One game is open at a time per currency."""

    stake: Minor
    currency: CurrencyCode
    mines: Annotated[int, Meta(ge=1, le=24, description="How many of the 25 tiles are mined.")]
    request_id: RequestId


class RevealTile(Command):
    """Pick a tile of the open game: a mine ends it, a safe tile raises what a cash-out pays."""

    currency: CurrencyCode
    tile: Annotated[int, Meta(ge=0, le=24, description="Row by row, five each: 0 is the first.")]
    request_id: RequestId


class CashOutMines(Command):
    """End the open game and take what its picks have won."""

    currency: CurrencyCode
    request_id: RequestId


class GetMines(Command):
    """Your open games, to go on with after a reload or on another device."""

    currency: CurrencyCode | None = None


class MinesGame(Answer):
    """A game, as much as its player may know: where the mines lie only once it has ended.

    `multiplier` and `payout` are what a cash-out gives now, or gave: 0 before the first pick, when
    there is nothing to cash out, and after a mine.
    """

    bet_id: str
    currency: str
    stake: int
    mines: int
    revealed: list[int]
    multiplier: int
    next_multiplier: int | None
    payout: int
    ended: Ended | None
    mined: list[int] | None


class MinesPlayed(MinesGame):
    """A game after a pick or a cash-out, and the balance."""

    balance: BalanceOf


class MinesStarted(MinesPlayed):
    """A new game, what it draws from, and the balance without its stake."""

    pair: int
    nonce: int


class MinesGames(Answer):
    """All open games."""

    games: list[MinesGame]
