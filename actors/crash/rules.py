"""How a crash table answers: bets, cash-outs, reads. Guards stand in order of precedence."""

from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any, Final

from actors.crash import facts
from actors.crash.commands import AskBet, CashOut, Join, Leave, ReadTable, Wake
from actors.crash.state import (
    Bet,
    TableState,
    apply,
    read_back,
    restore,
    target_of,
    version,
)
from actors.crash.table import Table, closed_table
from actors.crash.turn import MANUAL, Outcome, Turn
from actors.crash.view import shown
from actors.decision import Context, Decision, Item
from actors.kind import Kind, Rule
from actors.runtime.alarms import Alarm
from protocol.commands.crash import (
    CashedOut,
    CrashBet,
    CrashCancelled,
    JoinedItem,
    round_id,
)
from protocol.errors import (
    ALREADY_CASHED_OUT,
    ALREADY_IN_ROUND,
    AUTO_CASHOUT_OUT_OF_RANGE,
    CURRENCY_MISMATCH,
    ERRORS,
    GAME_PAUSED,
    NOT_IN_ROUND,
    ROUND_FULL,
    ROUND_NOT_STARTED,
    ROUND_OVER,
    ROUND_STARTED,
    STAKE_TOO_LARGE,
    STAKE_TOO_SMALL,
    UNKNOWN_ROUND,
    Failure,
)
from protocol.ids import bet_id

CRASH: Final = "crash"

Rows = Callable[[Turn, Any], Any]
"""What a command does to a turn that is up to date; returns the reply, a Failure if refused."""


def _wake(turn: Turn, _command: Wake) -> bool:
    """Advancing was all. Whether the table would go on if it had a chain of hashes."""
    return turn.lacks_chain


def _ring(turn: Turn, _command: Alarm) -> None:
    turn.tick()


def _check_offer(turn: Turn, command: AskBet) -> Failure | None:
    """Whether the table offers such a bet at all."""
    table = turn.state.table
    if turn.paused:
        return Failure(GAME_PAUSED)
    if command.currency != table.currency:
        return Failure(CURRENCY_MISMATCH, currency=table.currency)
    auto = command.auto_cashout
    if auto is not None and not 100 < auto <= table.most_multiplier:
        return Failure(AUTO_CASHOUT_OUT_OF_RANGE, above=100, most=table.most_multiplier)
    if command.stake_minor < table.least_stake:
        return Failure(STAKE_TOO_SMALL, least=table.least_stake)
    if command.stake_minor > table.most_stake:
        return Failure(STAKE_TOO_LARGE, most=table.most_stake)
    return None


def _check_round(turn: Turn, number: int, wallet_id: int) -> Failure | None:
    """Whether a wallet may join the round of this number now."""
    failure = _not_current(turn, number)
    if failure is not None:
        return failure
    if not turn.betting:
        return Failure(ROUND_STARTED if turn.running else ROUND_OVER)
    assert turn.current is not None
    if wallet_id in turn.current.bets:
        return Failure(ALREADY_IN_ROUND)
    if len(turn.current.bets) >= turn.state.table.max_bets:
        return Failure(ROUND_FULL, most=turn.state.table.max_bets)
    return None


def _not_current(turn: Turn, number: int) -> Failure | None:
    """Refuses a round that is not the newest one; bets of a client that is behind are not moved."""
    if number > turn.number:
        return Failure(UNKNOWN_ROUND)
    # A round that this very decision opens is not known to anybody yet.
    return Failure(ROUND_OVER) if number < turn.number or turn.current is None else None


def _ask(turn: Turn, command: AskBet) -> Failure | None:
    return _check_offer(turn, command) or _check_round(turn, command.round, command.wallet_id)


def _join(turn: Turn, command: Join) -> CrashBet | Failure:
    key = command.wallet_id, command.hold
    taken = turn.state.taken
    if key in taken:
        reason = taken[key]
        return joined(command, turn.now_ms) if reason is None else Failure(ERRORS[reason])
    if turn.has(command.wallet_id, command.hold):
        return joined(command, turn.now_ms)
    failure = _check_round(turn, command.round, command.wallet_id)
    if failure is not None:
        made = turn.note(
            facts.RETURNED,
            number=command.round,
            wallet_id=command.wallet_id,
            hold=command.hold,
            stake_minor=command.stake_minor,
            reason=failure.kind.code,
        )
        of = round_id(command.table, command.round)
        turn.tell_wallet(made, Outcome(of, facts.RETURNED, reason=failure.kind.code))
        return failure
    made = turn.note(
        facts.JOINED,
        wallet_id=command.wallet_id,
        hold=command.hold,
        player=command.player,
        stake_minor=command.stake_minor,
        auto_cashout=command.auto_cashout,
        target=target_of(turn.state.table, command.stake_minor, command.auto_cashout),
    )
    item = JoinedItem(
        round_id=round_id(command.table, command.round),
        player=command.player,
        stake=command.stake_minor,
        seq=made.seq,
    )
    turn.pushes.append(Item(turn.state.room, "bet:joined", item))
    return joined(command, turn.now_ms)


def joined(command: Join, at_ms: int) -> CrashBet:
    """The answer to a bet that its table took at that time."""
    return CrashBet(
        round_id=round_id(command.table, command.round),
        bet_id=bet_id(command.wallet_id, command.hold),
        stake=command.stake_minor,
        currency=command.currency,
        auto_cashout=command.auto_cashout,
        at_ms=at_ms,
    )


def _find(turn: Turn, number: int, wallet_id: int) -> Bet | Failure:
    """The bet of a wallet in the round of this number."""
    failure = _not_current(turn, number)
    if failure is not None:
        return failure
    assert turn.current is not None
    return turn.current.bets.get(wallet_id) or Failure(NOT_IN_ROUND)


def _leave(turn: Turn, command: Leave) -> CrashCancelled | Failure:
    bet = _find(turn, command.round, command.wallet_id)
    if isinstance(bet, Failure):
        return bet
    if not turn.betting:
        return Failure(ROUND_STARTED if turn.running else ROUND_OVER)
    turn.leave(bet)
    return CrashCancelled(
        round_id=round_id(turn.state.table.number, command.round),
        bet_id=bet_id(bet.wallet_id, bet.hold),
        at_ms=turn.now_ms,
    )


def _cash_out(turn: Turn, command: CashOut) -> CashedOut | Failure:
    bet = _find(turn, command.round, command.wallet_id)
    if isinstance(bet, Failure):
        return bet
    turn.pay_if_due(bet)
    if turn.ended_by(bet) == facts.CASHED_OUT:
        multiplier, payout_minor = turn.end_of(bet)
        return Failure(ALREADY_CASHED_OUT, multiplier=multiplier, payout=payout_minor)
    if turn.betting:
        return Failure(ROUND_NOT_STARTED)
    if not turn.running or turn.busts or turn.ended_by(bet) is not None:
        return Failure(ROUND_OVER)
    multiplier = turn.multiplier
    payout_minor = turn.cash_out(bet, multiplier, MANUAL)
    return CashedOut(
        round_id=round_id(turn.state.table.number, command.round),
        bet_id=bet_id(bet.wallet_id, bet.hold),
        multiplier=multiplier,
        payout=payout_minor,
        currency=turn.state.table.currency,
        at_ms=turn.now_ms,
    )


_COMMANDS: Final[Mapping[type, Rows]] = {
    Wake: _wake,
    Alarm: _ring,
    AskBet: _ask,
    Join: _join,
    Leave: _leave,
    CashOut: _cash_out,
    ReadTable: shown,
}


def is_paused(paused: Container[str], table: Table) -> bool:
    """Whether this table is closed, or operators have paused it, or all of them."""
    return table.closed or CRASH in paused or f"{CRASH}:{table.number}" in paused


def _decide(
    rows: Rows, paused: Container[str], state: TableState, command: Any, context: Context
) -> Decision:
    turn = Turn(state, context, paused=is_paused(paused, state.table))
    turn.advance()
    return turn.decision(rows(turn, command))


def crash_kind(tables: Mapping[int, Table], paused: Container[str]) -> Kind:
    """The kind `crash`: one actor a table. `paused` names the games that take no bets now."""
    rules = {command: Rule(partial(_decide, rows, paused)) for command, rows in _COMMANDS.items()}
    return Kind(
        CRASH,
        rules,
        apply,
        lambda number, stored: restore(tables.get(number) or closed_table(number), stored),
        lambda _state: b"",
        version,
        # At once where a round was interrupted, or may be due.
        alarm=lambda _state: 1,
        read_back=read_back,
        # Its bets would be given back.
        busy=lambda state: state.round is not None and state.round.open_bets > 0,
    )
