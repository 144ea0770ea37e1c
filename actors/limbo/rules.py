"""Limbo as an instant game: what may be chosen, what a draw comes to, and the answer."""

from typing import Final

import msgspec

from actors.fairness import Words
from actors.instant import Game
from actors.limbo import odds
from actors.wallet.facts import Bet, Entry
from actors.wallet.ledger import balance_after
from protocol.commands.limbo import LEAST_TARGET, MOST_TARGET, LimboResult, PlayLimbo
from protocol.errors import TARGET_OUT_OF_RANGE, Failure
from protocol.ids import bet_id


class Parameters(msgspec.Struct, frozen=True):
    """What the player chose, as it stands in the bet's row."""

    target: int


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of it, as it stands in the bet's row."""

    result: int
    won: bool


def _parameters(wager: PlayLimbo) -> str:
    return msgspec.json.encode(Parameters(wager.target)).decode()


def _most(wager: PlayLimbo) -> int:
    if not odds.is_offered(wager.target):
        raise Failure(
            TARGET_OUT_OF_RANGE, target=wager.target, least=LEAST_TARGET, most=MOST_TARGET
        )
    return odds.payout(wager.stake, wager.target)


def _draw(wager: PlayLimbo, words: Words, nonce: int, win_minor: int) -> tuple[Outcome, int]:
    result = odds.result(words.first(nonce))
    won = result >= wager.target
    return Outcome(result, won), win_minor if won else 0


def _answer(wager: PlayLimbo, outcome: Outcome, placed: Entry, bet: Bet) -> LimboResult:
    return LimboResult(
        bet_id=bet_id(placed.wallet_id, placed.seq),
        result=outcome.result,
        won=outcome.won,
        target=wager.target,
        currency=placed.currency,
        stake=bet.stake_minor,
        payout=bet.payout_minor,
        pair=bet.pair,
        nonce=bet.nonce,
        balance=balance_after(placed),
    )


LIMBO: Final = Game("limbo", _most, _draw, _parameters, Outcome, _answer)
