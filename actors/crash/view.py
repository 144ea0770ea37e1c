"""What a player sees of a table now."""

from heapq import nlargest

from actors.crash.chain import before
from actors.crash.commands import ReadTable
from actors.crash.state import Bet
from actors.crash.turn import Turn
from protocol.commands.crash import (
    MAX_BETS_SHOWN,
    MAX_ROUNDS_SHOWN,
    BetAtTable,
    CrashState,
    OwnBet,
    Phase,
    RoundShown,
    round_id,
)
from protocol.ids import bet_id


def shown(turn: Turn, command: ReadTable) -> CrashState:
    """The table as one wallet sees it. A hash is shown only when its round is over."""
    state, current = turn.state, turn.current
    phase = _phase(turn)
    over = phase not in (Phase.BETTING, Phase.RUNNING)
    bets = current.bets if current is not None else {}
    own = bets.get(command.wallet_id)
    return CrashState(
        table=state.table.number,
        name=state.table.name,
        currency=state.table.currency,
        phase=phase,
        round_id=round_id(state.table.number, turn.number) if turn.number else None,
        at_ms=turn.now_ms,
        deadline_ms=turn.deadline_ms,
        started_at_ms=turn.started_at_ms,
        multiplier=turn.multiplier if phase is Phase.RUNNING else None,
        bust=current.bust if current is not None and over else None,
        hash=current.hash if current is not None and over else None,
        hash_before=_hash_before(turn) if not over else None,
        public_seed=_public_seed(turn),
        bet_count=len(bets),
        staked=current.staked_minor if current is not None else 0,
        bets=_largest(turn, bets),
        own=None if own is None else _own(turn, own),
        rounds=[
            RoundShown(
                round_id=round_id(state.table.number, past.round),
                bust=past.bust,
                hash=past.hash,
                voided=past.voided,
            )
            for past in state.past[:MAX_ROUNDS_SHOWN]
        ],
    )


def _phase(turn: Turn) -> Phase:
    if turn.betting:
        return Phase.BETTING
    if turn.running:
        return Phase.RUNNING
    if turn.rests:
        return Phase.VOIDED if turn.voided else Phase.CRASHED
    return Phase.PAUSED if turn.paused else Phase.WAITING


def _hash_before(turn: Turn) -> str | None:
    """That of the round before in its chain, or the terminal hash: either is known to everybody."""
    newest = turn.newest_hash
    return None if newest is None else before(newest)


def _public_seed(turn: Turn) -> str | None:
    chains = turn.state.chains
    return next((chain.public_seed for chain in chains if chain.chain_id == turn.chain_id), None)


def _largest(turn: Turn, bets: dict[int, Bet]) -> list[BetAtTable]:
    state = turn.state
    if turn.facts or state.shown[0] != state.seq:
        largest = nlargest(MAX_BETS_SHOWN, bets.values(), key=lambda bet: bet.stake_minor)
        shown = [_at_table(turn, bet) for bet in largest]
        if turn.facts:
            return shown
        state.shown = state.seq, shown
    return state.shown[1]


def _at_table(turn: Turn, bet: Bet) -> BetAtTable:
    multiplier, payout_minor = turn.end_of(bet)
    return BetAtTable(
        player=bet.player, stake=bet.stake_minor, multiplier=multiplier, payout=payout_minor
    )


def _own(turn: Turn, bet: Bet) -> OwnBet:
    multiplier, payout_minor = turn.end_of(bet)
    return OwnBet(
        bet_id=bet_id(bet.wallet_id, bet.hold),
        stake=bet.stake_minor,
        auto_cashout=bet.auto_cashout,
        ended=turn.ended_by(bet),
        multiplier=multiplier,
        payout=payout_minor,
    )
