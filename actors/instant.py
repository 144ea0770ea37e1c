"""What the instant games have in common: guards in order of precedence, a draw, one ledger entry.

A game is what its players may choose, what a draw comes to, and its answer. Everything else about a
bet is decided here, so that every wager of an instant game passes `decide`.
"""

from collections.abc import Callable, Container, Mapping
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec

from actors.decision import Context, Decision
from actors.fairness import Words
from actors.kind import Rule
from actors.limits import Limits
from actors.wallet import facts, restrictions
from actors.wallet.facts import Bet, Entry
from actors.wallet.ledger import check_new, entry, updated
from actors.wallet.state import WalletState
from protocol.bounds import MAX_MINOR
from protocol.commands.shape import Answer
from protocol.errors import (
    BALANCE_LIMIT,
    GAME_PAUSED,
    INSUFFICIENT_BALANCE,
    NO_SEED,
    PROFIT_TOO_LARGE,
    REQUEST_MISMATCH,
    STAKE_TOO_LARGE,
    STAKE_TOO_SMALL,
    UNKNOWN_CURRENCY,
    Failure,
)


class Wager(Protocol):
    """What every command that places an instant bet has."""

    stake: int
    currency: str
    request_id: UUID


AnyWager = TypeVar("AnyWager", bound=Wager)
AnyOutcome = TypeVar("AnyOutcome", bound=msgspec.Struct)


class Game(NamedTuple, Generic[AnyWager, AnyOutcome]):
    """An instant game. Its functions are pure; amounts are in minor units, stakes included."""

    name: str
    most: Callable[[AnyWager], int]
    """The most that the bet can pay. Raises Failure where the game does not offer such a bet."""
    draw: Callable[[AnyWager, Words, int, int], tuple[AnyOutcome, int]]
    """From the seeds' words, the nonce and `most` to what came of it and what that pays."""
    parameters: Callable[[AnyWager], str]
    """What the player chose, as JSON, as it stands in the bet's row."""
    outcome: type[AnyOutcome]
    """What came of it, as it stands in the bet's row."""
    answer: Callable[[AnyWager, AnyOutcome, Entry, Bet], Answer]


_encode: Final = msgspec.json.Encoder().encode


def check_wager(
    wager: AnyWager, most: Callable[[AnyWager], int], limits: Mapping[str, Limits]
) -> int:
    """The most that the bet can pay, if it is within the game's limits; raises Failure if not."""
    table = limits.get(wager.currency)
    if table is None:
        raise Failure(UNKNOWN_CURRENCY, currency=wager.currency)
    stake_minor = wager.stake
    most_minor = most(wager)
    if stake_minor < table.least_stake_minor:
        raise Failure(STAKE_TOO_SMALL, least=table.least_stake_minor)
    if stake_minor > table.most_stake_minor:
        raise Failure(STAKE_TOO_LARGE, most=table.most_stake_minor)
    if most_minor - stake_minor > table.most_profit_minor:
        raise Failure(PROFIT_TOO_LARGE, most=table.most_profit_minor)
    return most_minor


def instant_rule(
    game: Game[Any, Any], limits: Mapping[str, Limits], paused: Container[str] = frozenset()
) -> Rule:
    """The rule of the command that plays `game` within these limits.

    `paused` has the names of the games that take no bets at the moment.
    """
    return Rule(_decider(game, limits, paused), _replayer(game))


def _decider(
    game: Game[AnyWager, AnyOutcome], limits: Mapping[str, Limits], paused: Container[str]
) -> Callable[[WalletState, AnyWager, Context], Decision]:
    name, most, draw, parameters, _outcome, answer = game

    def decide(state: WalletState, wager: AnyWager, context: Context) -> Decision:
        check_new(state, wager.request_id)
        if name in paused:
            raise Failure(GAME_PAUSED, game=name)
        most_minor = check_wager(wager, most, limits)
        stake_minor = wager.stake
        if state.restrictions is not None:  # asked here, as a call for nothing is felt
            restrictions.check_wager(state, context, wager.currency, stake_minor)
        available = state.balance(wager.currency).available
        if available < stake_minor:
            raise Failure(INSUFFICIENT_BALANCE, available=available)
        if available - stake_minor + most_minor > MAX_MINOR:
            raise Failure(BALANCE_LIMIT, most=MAX_MINOR)
        pair, words, nonce = state.pair, state.words, state.nonce
        if pair is None or words is None:
            raise Failure(NO_SEED)
        outcome, payout_minor = draw(wager, words, nonce, most_minor)
        bet = Bet(
            name,
            stake_minor,
            payout_minor,
            pair.number,
            nonce,
            parameters(wager),
            _encode(outcome).decode(),
        )
        placed = entry(
            state,
            context,
            facts.BET,
            wager.currency,
            payout_minor - stake_minor,
            wager.request_id,
            bet=bet,
        )
        return Decision(answer(wager, outcome, placed, bet), (placed,), (updated(state, placed),))

    return decide


def _replayer(game: Game[AnyWager, AnyOutcome]) -> Callable[[AnyWager, Entry], Answer]:
    outcome_of = msgspec.json.Decoder(game.outcome).decode

    def replay(wager: AnyWager, placed: Entry) -> Answer:
        """The first answer again, from the committed row; `request_mismatch` for other content."""
        bet = placed.bet
        if bet is None or bet.game != game.name:
            raise Failure(REQUEST_MISMATCH)
        same = (
            placed.currency == wager.currency
            and bet.stake_minor == wager.stake
            # Storage may have written the same JSON with other spaces.
            and _plain(bet.parameters) == _plain(game.parameters(wager))
        )
        if not same:
            raise Failure(REQUEST_MISMATCH)
        return game.answer(wager, outcome_of(bet.outcome), placed, bet)

    return replay


def _plain(text: str) -> Any:
    return msgspec.json.decode(text)
