"""Plinko as an instant game: what may be chosen, where a ball falls, and the answer."""

from functools import lru_cache
from typing import Final

import msgspec

from actors.fairness import Words
from actors.instant import Game
from actors.plinko import odds
from actors.wallet.facts import Bet, Entry
from actors.wallet.ledger import balance_after
from protocol.commands.plinko import LEAST_ROWS, MOST_ROWS, RISKS, DropPlinko, PlinkoResult
from protocol.errors import UNKNOWN_BOARD, Failure
from protocol.ids import bet_id


class Parameters(msgspec.Struct, frozen=True):
    """What the player chose, as it stands in the bet's row."""

    rows: int
    risk: str


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of it, as it stands in the bet's row. The multiplier is in hundredths."""

    bucket: int
    multiplier: int


@lru_cache(len(odds.BOARDS))
def _chosen(rows: int, risk: str) -> str:
    return msgspec.json.encode(Parameters(rows, risk)).decode()


def _parameters(wager: DropPlinko) -> str:
    return _chosen(wager.rows, wager.risk)


def _most(wager: DropPlinko) -> int:
    board = odds.BOARDS.get((wager.rows, wager.risk))
    if board is None:
        raise Failure(UNKNOWN_BOARD, least_rows=LEAST_ROWS, most_rows=MOST_ROWS, risks=RISKS)
    # The outermost bucket pays most, on every board.
    return odds.payout(wager.stake, board[0])


def _draw(wager: DropPlinko, words: Words, nonce: int, _most_minor: int) -> tuple[Outcome, int]:
    bucket = odds.bucket(words.of(nonce), wager.rows)
    multiplier = odds.multiplier(wager.rows, wager.risk, bucket)
    return Outcome(bucket, multiplier), odds.payout(wager.stake, multiplier)


def _answer(wager: DropPlinko, outcome: Outcome, placed: Entry, bet: Bet) -> PlinkoResult:
    return PlinkoResult(
        bet_id=bet_id(placed.wallet_id, placed.seq),
        bucket=outcome.bucket,
        multiplier=outcome.multiplier,
        rows=wager.rows,
        risk=wager.risk,
        currency=placed.currency,
        stake=bet.stake_minor,
        payout=bet.payout_minor,
        pair=bet.pair,
        nonce=bet.nonce,
        balance=balance_after(placed),
    )


PLINKO: Final = Game("plinko", _most, _draw, _parameters, Outcome, _answer)
