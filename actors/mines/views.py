"""A game as its player sees it, from the state or from a committed row alike."""

from collections.abc import Sequence

from msgspec.structs import asdict

from actors.mines import odds
from actors.wallet.facts import Entry
from actors.wallet.ledger import balance_after
from protocol.commands.mines import Ended, MinesGame, MinesPlayed, MinesStarted


def under_way(
    bet_id: str, currency: str, stake_minor: int, mines: int, revealed: Sequence[int]
) -> MinesGame:
    """An open game. Where its mines lie is not known here, so that nothing can show it."""
    picks = len(revealed)
    return MinesGame(
        bet_id=bet_id,
        currency=currency,
        stake=stake_minor,
        mines=mines,
        revealed=list(revealed),
        multiplier=odds.multiplier(mines, picks) if picks else 0,
        next_multiplier=odds.multiplier(mines, picks + 1),
        payout=odds.payout(stake_minor, mines, picks) if picks else 0,
        ended=None,
        mined=None,
    )


def over(
    bet_id: str,
    currency: str,
    stake_minor: int,
    picked: Sequence[int],
    mined: Sequence[int],
    ended: Ended,
    multiplier: int,
    payout_minor: int,
) -> MinesGame:
    """A game that has ended, and where its mines lay."""
    return MinesGame(
        bet_id=bet_id,
        currency=currency,
        stake=stake_minor,
        mines=len(mined),
        revealed=list(picked),
        multiplier=multiplier,
        next_multiplier=None,
        payout=payout_minor,
        ended=ended,
        mined=list(mined),
    )


def played(game: MinesGame, made: Entry) -> MinesPlayed:
    """The answer to a pick or a cash-out that made this entry."""
    return MinesPlayed(**asdict(game), balance=balance_after(made))


def started(game: MinesGame, made: Entry, pair: int, nonce: int) -> MinesStarted:
    """The answer to the start that made this entry."""
    return MinesStarted(**asdict(game), balance=balance_after(made), pair=pair, nonce=nonce)
