"""Dice as an instant game: what may be chosen, what a roll comes to, and the answer."""

from functools import lru_cache
from typing import Final

import msgspec

from actors.dice import odds
from actors.fairness import Words
from actors.instant import Game
from actors.wallet.facts import Bet, Entry
from actors.wallet.ledger import balance_after
from protocol.commands.dice import DiceResult, Direction, RollDice
from protocol.errors import TARGET_OUT_OF_RANGE, Failure
from protocol.ids import bet_id


class Parameters(msgspec.Struct, frozen=True):
    """What the player chose, as it stands in the bet's row."""

    target: int
    direction: Direction


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of it, as it stands in the bet's row."""

    roll: int
    won: bool


# Players bet on the same targets again and again; 20,000 choices are all there are.
_KNOWN_CHOICES: Final = 4_096


@lru_cache(_KNOWN_CHOICES)
def _chosen(target: int, direction: Direction) -> str:
    return msgspec.json.encode(Parameters(target, direction)).decode()


def _parameters(wager: RollDice) -> str:
    return _chosen(wager.target, wager.direction)


def _most(wager: RollDice) -> int:
    winning = odds.winning_outcomes(wager.target, wager.direction)
    if not 0 < winning < odds.OUTCOMES:
        raise Failure(TARGET_OUT_OF_RANGE, target=wager.target)
    return odds.payout(wager.stake, winning)


def _draw(wager: RollDice, words: Words, nonce: int, win_minor: int) -> tuple[Outcome, int]:
    roll = odds.roll(words.first(nonce))
    won = odds.wins(roll, wager.target, wager.direction)
    return Outcome(roll, won), win_minor if won else 0


def _answer(wager: RollDice, outcome: Outcome, placed: Entry, bet: Bet) -> DiceResult:
    return DiceResult(
        bet_id=bet_id(placed.wallet_id, placed.seq),
        roll=outcome.roll,
        won=outcome.won,
        target=wager.target,
        direction=wager.direction,
        currency=placed.currency,
        stake=bet.stake_minor,
        payout=bet.payout_minor,
        pair=bet.pair,
        nonce=bet.nonce,
        balance=balance_after(placed),
    )


DICE: Final = Game("dice", _most, _draw, _parameters, Outcome, _answer)
