"""How a game of mines is opened, played and ended, in the wallet that its stake is held in.

A game is its hold: the stake, how many mines, and the tiles picked so far are committed, and where
the mines lie follows from the seeds. It is computed when a tile is picked, and is in no row before
the one that ends the game.

Every step carries the request id of the command that asked for it, the last one too: so a command
that is sent again is answered from its own row, whether it went on, lost or cashed out. That a game
ends once does not rest on an id: only an open hold can be ended, a wallet's rows have no gaps, so
two that both saw it open cannot both be written, and storage takes one ending of each hold. What
the state of the game refuses may be a repetition of something older than the ids a wallet
remembers; its row is looked for first.
"""

from collections.abc import Callable, Container, Mapping
from typing import Final, NamedTuple

import msgspec

from actors.decision import Context, Decision
from actors.instant import check_wager
from actors.kind import Rule
from actors.limits import Limits
from actors.mines import odds, views
from actors.wallet import facts, holds
from actors.wallet.facts import Entry, Step
from actors.wallet.ledger import check_new, entry, refusal, updated
from actors.wallet.state import Hold, WalletState
from protocol.commands.mines import (
    CashOutMines,
    Ended,
    GetMines,
    MinesGame,
    MinesGames,
    MinesPlayed,
    MinesStarted,
    RevealTile,
    StartMines,
)
from protocol.errors import (
    GAME_OPEN,
    GAME_PAUSED,
    NO_OPEN_GAME,
    NO_SEED,
    NOTHING_PICKED,
    REQUEST_MISMATCH,
    TILE_REVEALED,
    Failure,
)
from protocol.ids import bet_id

GAME: Final = "mines"


class Parameters(msgspec.Struct, frozen=True):
    """What the player chose, as it stands in the row of the hold."""

    mines: int


class Revealed(msgspec.Struct, frozen=True):
    """What a safe pick came to, as it stands in its row: all that its answer says.

    `revealed` are all tiles so far, this one last.
    """

    tile: int
    revealed: tuple[int, ...]
    mines: int
    stake: int


class Outcome(msgspec.Struct, frozen=True):
    """How a game ended, as it stands in the row that settles it.

    `mines` are the mined tiles in ascending order, `picked` the player's in theirs: after a mine,
    that is the last of them. `multiplier` is what was paid in hundredths, rounded down.
    """

    mines: tuple[int, ...]
    picked: tuple[int, ...]
    multiplier: int
    ended: Ended


class _Game(NamedTuple):
    """An open game, with what its player does not know: where the mines lie, as they were drawn."""

    seq: int
    hold: Hold
    mined: tuple[int, ...]


_encode: Final = msgspec.json.Encoder().encode
_parameters: Final = msgspec.json.Decoder(Parameters).decode
_revealed: Final = msgspec.json.Decoder(Revealed).decode
_outcome: Final = msgspec.json.Decoder(Outcome).decode


def mines_rules(
    limits: Mapping[str, Limits], paused: Container[str] = frozenset()
) -> dict[type, Rule]:
    """The rules of `mines:*` within these limits.

    While `paused` has the name of the game no more are started; those that are open go on.
    """
    return {
        StartMines: Rule(_starter(limits, paused), _replay_start),
        RevealTile: Rule(_revealer(limits), _replay_reveal),
        CashOutMines: Rule(_cash_out, _replay_cash_out),
        GetMines: Rule(_get),
    }


def _open_hold(state: WalletState, currency: str) -> tuple[int, Hold] | None:
    """The number and the hold of the open game in `currency`; there is one at most."""
    for seq, hold in state.holds.items():
        if hold.game == GAME and hold.currency == currency:
            return seq, hold
    return None


def _first_pick(wager: StartMines) -> int:
    """What one pick wins: who may start may cash out after it."""
    return odds.payout(wager.stake, wager.mines, 1)


def _starter(
    limits: Mapping[str, Limits], paused: Container[str]
) -> Callable[[WalletState, StartMines, Context], Decision]:
    def decide(state: WalletState, command: StartMines, context: Context) -> Decision:
        check_new(state, command.request_id)
        if GAME in paused:
            raise Failure(GAME_PAUSED, game=GAME)
        check_wager(command, _first_pick, limits)
        already = _open_hold(state, command.currency)
        if already is not None:
            opened = bet_id(state.wallet_id, already[0])
            raise refusal(state, Failure(GAME_OPEN, bet_id=opened))
        step = Step(
            GAME,
            stake_minor=command.stake,
            pair=state.pair_number,
            nonce=state.nonce,
            parameters=_encode(Parameters(command.mines)).decode(),
        )
        made = holds.opening(state, context, command.currency, command.request_id, step)
        if state.pair is None:
            raise Failure(NO_SEED)
        return Decision(_started(made, step, command.mines), (made,), (updated(state, made),))

    return decide


def _started(made: Entry, step: Step, mines: int) -> MinesStarted:
    assert step.stake_minor is not None, "a hold has a stake"
    assert step.pair is not None, "mines draw from a pair"
    assert step.nonce is not None, "mines take a nonce"
    id_ = bet_id(made.wallet_id, made.seq)
    game = views.under_way(id_, made.currency, step.stake_minor, mines, ())
    return views.started(game, made, step.pair, step.nonce)


def _replay_start(command: StartMines, made: Entry) -> MinesStarted:
    step = _step_of(made, facts.HOLD, command.currency)
    if step is None or step.parameters is None or step.stake_minor != command.stake:
        raise Failure(REQUEST_MISMATCH)
    if _parameters(step.parameters).mines != command.mines:
        raise Failure(REQUEST_MISMATCH)
    return _started(made, step, command.mines)


def _revealer(
    limits: Mapping[str, Limits],
) -> Callable[[WalletState, RevealTile, Context], Decision]:
    def decide(state: WalletState, command: RevealTile, context: Context) -> Decision:
        check_new(state, command.request_id)
        game = _to_go_on(state, command.currency)
        hold = game.hold
        if command.tile in hold.revealed:
            raise refusal(state, Failure(TILE_REVEALED, tile=command.tile))
        picked = (*hold.revealed, command.tile)
        if command.tile in game.mined:
            return _end(state, context, command, game, picked, Ended.MINE)
        ended = _ended_by_itself(game, len(picked), limits)
        if ended is not None:
            return _end(state, context, command, game, picked, ended)
        return _go_on(state, context, command, game, picked)

    return decide


def _to_go_on(state: WalletState, currency: str) -> _Game:
    found = _open_hold(state, currency)
    if found is None:
        raise refusal(state, Failure(NO_OPEN_GAME, currency=currency))
    seq, hold = found
    pair, words = state.pair, state.words
    assert pair is not None, "a game draws from a pair"
    assert words is not None, "a pair has words"
    assert pair.number == hold.pair, "a pair is not changed while a game that draws from it is open"
    assert hold.nonce is not None, "a game took its nonce when it was opened"
    mines = _parameters(hold.parameters).mines
    return _Game(seq, hold, odds.positions(words.of(hold.nonce), mines))


def _ended_by_itself(game: _Game, picks: int, limits: Mapping[str, Limits]) -> Ended | None:
    """Whether a safe pick was the last, of all or of those that may win as much as the next."""
    mines, hold = len(game.mined), game.hold
    if picks == odds.TILES - mines:
        return Ended.CLEARED
    # A game outlives the configuration: where its currency is no longer offered, nothing bounds it.
    table = limits.get(hold.currency)
    profit_minor = odds.payout(hold.stake_minor, mines, picks + 1) - hold.stake_minor
    if table is not None and profit_minor > table.most_profit_minor:
        return Ended.LIMIT
    return None


def _go_on(
    state: WalletState,
    context: Context,
    command: RevealTile,
    game: _Game,
    picked: tuple[int, ...],
) -> Decision:
    outcome = Revealed(command.tile, picked, len(game.mined), game.hold.stake_minor)
    made = entry(
        state,
        context,
        facts.REVEAL,
        command.currency,
        0,
        command.request_id,
        step=Step(GAME, outcome=_encode(outcome).decode(), hold=game.seq),
    )
    return Decision(_went_on(made, game.seq, outcome), (made,))


def _went_on(made: Entry, seq: int, outcome: Revealed) -> MinesPlayed:
    id_ = bet_id(made.wallet_id, seq)
    game = views.under_way(id_, made.currency, outcome.stake, outcome.mines, outcome.revealed)
    return views.played(game, made)


def _end(
    state: WalletState,
    context: Context,
    command: RevealTile | CashOutMines,
    game: _Game,
    picked: tuple[int, ...],
    ended: Ended,
) -> Decision:
    hold, mines = game.hold, len(game.mined)
    lost = ended is Ended.MINE
    multiplier = 0 if lost else odds.multiplier(mines, len(picked))
    payout_minor = 0 if lost else odds.payout(hold.stake_minor, mines, len(picked))
    outcome = Outcome(tuple(sorted(game.mined)), picked, multiplier, ended)
    made = holds.ending(
        state,
        context,
        game.seq,
        hold,
        payout_minor,
        _encode(outcome).decode(),
        command.request_id,
    )
    assert made.step is not None, "an ending is a step"
    return Decision(_over(made, made.step, outcome), (made,), (updated(state, made),))


def _over(made: Entry, step: Step, outcome: Outcome) -> MinesPlayed:
    assert step.hold is not None, "an ending names its hold"
    assert step.stake_minor is not None, "an ending gives its stake back"
    assert step.payout_minor is not None, "a game is settled, not released"
    game = views.over(
        bet_id(made.wallet_id, step.hold),
        made.currency,
        step.stake_minor,
        outcome.picked,
        outcome.mines,
        outcome.ended,
        outcome.multiplier,
        step.payout_minor,
    )
    return views.played(game, made)


def _replay_reveal(command: RevealTile, made: Entry) -> MinesPlayed:
    step = _step_of(made, facts.REVEAL, command.currency)
    if step is not None and step.outcome is not None and step.hold is not None:
        revealed = _revealed(step.outcome)
        if revealed.tile == command.tile:
            return _went_on(made, step.hold, revealed)
        raise Failure(REQUEST_MISMATCH)
    step, outcome = _settled(made, command.currency)
    if outcome.ended is Ended.CASHOUT or outcome.picked[-1] != command.tile:
        raise Failure(REQUEST_MISMATCH)
    return _over(made, step, outcome)


def _cash_out(state: WalletState, command: CashOutMines, context: Context) -> Decision:
    check_new(state, command.request_id)
    game = _to_go_on(state, command.currency)
    if not game.hold.revealed:
        opened = bet_id(state.wallet_id, game.seq)
        raise refusal(state, Failure(NOTHING_PICKED, bet_id=opened))
    return _end(state, context, command, game, tuple(game.hold.revealed), Ended.CASHOUT)


def _replay_cash_out(command: CashOutMines, made: Entry) -> MinesPlayed:
    step, outcome = _settled(made, command.currency)
    if outcome.ended is not Ended.CASHOUT:
        raise Failure(REQUEST_MISMATCH)
    return _over(made, step, outcome)


def _settled(made: Entry, currency: str) -> tuple[Step, Outcome]:
    step = _step_of(made, facts.SETTLE, currency)
    if step is None or step.outcome is None:
        raise Failure(REQUEST_MISMATCH)
    return step, _outcome(step.outcome)


def _step_of(made: Entry, kind: str, currency: str) -> Step | None:
    """The step of an entry that is one of ours, of this kind and in this currency."""
    step = made.step
    if step is None or step.game != GAME or (made.kind, made.currency) != (kind, currency):
        return None
    return step


def _get(state: WalletState, command: GetMines, _context: Context) -> Decision:
    games = [
        _shown(state, seq, hold)
        for seq, hold in state.holds.items()
        if hold.game == GAME and command.currency in (None, hold.currency)
    ]
    return Decision(MinesGames(games=games))


def _shown(state: WalletState, seq: int, hold: Hold) -> MinesGame:
    mines = _parameters(hold.parameters).mines
    id_ = bet_id(state.wallet_id, seq)
    return views.under_way(id_, hold.currency, hold.stake_minor, mines, hold.revealed)
