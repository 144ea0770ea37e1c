"""How a roll is decided: guards in order of precedence, then one ledger entry."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from actors.decision import Context, Decision
from actors.dice import odds
from actors.dice.limits import Limits
from actors.kind import Rule
from actors.wallet import facts
from actors.wallet.facts import Bet, Entry
from actors.wallet.ledger import balance_after, check_new, entry, updated
from actors.wallet.state import WalletState
from protocol.bounds import MAX_MINOR
from protocol.commands.dice import DiceResult, Direction, RollDice
from protocol.errors import (
    BALANCE_LIMIT,
    INSUFFICIENT_BALANCE,
    NO_SEED,
    PROFIT_TOO_LARGE,
    REQUEST_MISMATCH,
    STAKE_TOO_LARGE,
    STAKE_TOO_SMALL,
    TARGET_OUT_OF_RANGE,
    UNKNOWN_CURRENCY,
    Failure,
)
from protocol.ids import bet_id

GAME = "dice"


class Parameters(msgspec.Struct, frozen=True):
    """What the player chose, as it stands in the bet's row."""

    target: int
    direction: Direction


class Outcome(msgspec.Struct, frozen=True):
    """What came of it, as it stands in the bet's row."""

    roll: int
    won: bool


# Players bet on the same targets again and again; 20,000 choices are all there are.
_KNOWN_CHOICES: Final = 4_096

_encode = msgspec.json.Encoder().encode
_parameters = msgspec.json.Decoder(Parameters).decode
_outcome = msgspec.json.Decoder(Outcome).decode


@lru_cache(_KNOWN_CHOICES)
def _chosen(target: int, direction: Direction) -> str:
    return _encode(Parameters(target, direction)).decode()


def check_stake(command: RollDice, winning: int, limits: Mapping[str, Limits]) -> int:
    """The payout of a win, if the bet is within the table's limits; raises Failure otherwise."""
    table = limits.get(command.currency)
    if table is None:
        raise Failure(UNKNOWN_CURRENCY, currency=command.currency)
    if not 0 < winning < odds.OUTCOMES:
        raise Failure(TARGET_OUT_OF_RANGE, target=command.target)
    if command.stake < table.least_stake_minor:
        raise Failure(STAKE_TOO_SMALL, least=table.least_stake_minor)
    if command.stake > table.most_stake_minor:
        raise Failure(STAKE_TOO_LARGE, most=table.most_stake_minor)
    payout_minor = odds.payout(command.stake, winning)
    if payout_minor - command.stake > table.most_profit_minor:
        raise Failure(PROFIT_TOO_LARGE, most=table.most_profit_minor)
    return payout_minor


def roll_rule(limits: Mapping[str, Limits]) -> Rule:
    """The rule of `dice:roll` at a table with these limits."""
    return Rule(_decider(limits), replay)


def _decider(
    limits: Mapping[str, Limits],
) -> Callable[[WalletState, RollDice, Context], Decision]:
    def decide(state: WalletState, command: RollDice, context: Context) -> Decision:
        check_new(state, command.request_id)
        winning = odds.winning_outcomes(command.target, command.direction)
        win_minor = check_stake(command, winning, limits)
        balance = state.balance(command.currency)
        if balance.available < command.stake:
            raise Failure(INSUFFICIENT_BALANCE, available=balance.available)
        if balance.available - command.stake + win_minor > MAX_MINOR:
            raise Failure(BALANCE_LIMIT, most=MAX_MINOR)
        pair, words = state.pair, state.words
        if pair is None or words is None:
            raise Failure(NO_SEED)
        outcome = odds.roll(words.first(state.nonce))
        won = odds.wins(outcome, command.target, command.direction)
        payout_minor = win_minor if won else 0
        bet = Bet(
            GAME,
            command.stake,
            payout_minor,
            pair.number,
            state.nonce,
            _chosen(command.target, command.direction),
            _encode(Outcome(outcome, won)).decode(),
        )
        placed = entry(
            state,
            context,
            facts.BET,
            command.currency,
            payout_minor - command.stake,
            command.request_id,
            bet=bet,
        )
        return Decision(
            _result(placed, bet, command.target, command.direction, outcome, won),
            (placed,),
            (updated(state, placed),),
        )

    return decide


def replay(command: RollDice, placed: Entry) -> DiceResult:
    """The first answer again, from the committed row; `request_mismatch` for other content."""
    bet = placed.bet
    if bet is None or bet.game != GAME:
        raise Failure(REQUEST_MISMATCH)
    chosen, outcome = _parameters(bet.parameters), _outcome(bet.outcome)
    same = (
        placed.currency == command.currency
        and bet.stake_minor == command.stake
        and chosen == Parameters(command.target, command.direction)
    )
    if not same:
        raise Failure(REQUEST_MISMATCH)
    return _result(placed, bet, chosen.target, chosen.direction, outcome.roll, outcome.won)


def _result(
    placed: Entry, bet: Bet, target: int, direction: Direction, outcome: int, won: bool
) -> DiceResult:
    return DiceResult(
        bet_id=bet_id(placed.wallet_id, placed.seq),
        roll=outcome,
        won=won,
        target=target,
        direction=direction,
        currency=placed.currency,
        stake=bet.stake_minor,
        payout=bet.payout_minor,
        pair=bet.pair,
        nonce=bet.nonce,
        balance=balance_after(placed),
    )
