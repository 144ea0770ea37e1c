"""How money moves: adjustments, tips and their legs. Guards stand in order of precedence."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from actors.decision import Context, Decision, Known, Message
from actors.kind import Kind, Rule
from actors.wallet import facts, holds, restrictions, seeds
from actors.wallet.commands import Adjust, ReceiveTip, ReturnTip, SendTip
from actors.wallet.facts import Entry
from actors.wallet.ledger import balance_after, check_new, entry, updated
from actors.wallet.state import WalletState, apply, restore, snapshot, version
from protocol.bounds import MAX_MINOR
from protocol.commands.wallet import BalanceOf, GetWallet, Moved, Wallet
from protocol.errors import (
    BALANCE_LIMIT,
    INSUFFICIENT_BALANCE,
    REQUEST_MISMATCH,
    SELF_TRANSFER,
    UNKNOWN_CURRENCY,
    Failure,
)
from protocol.ids import message_id
from protocol.money import CURRENCIES

WALLET = "wallet"


def _moved(made: Entry) -> Moved:
    return Moved(
        seq=made.seq,
        kind=made.kind,
        amount=abs(made.available_delta),
        balance=balance_after(made),
    )


def _check_currency(currency: str) -> None:
    if currency not in CURRENCIES:
        raise Failure(UNKNOWN_CURRENCY, currency=currency)


def _check_change(state: WalletState, currency: str, delta_minor: int) -> None:
    available = state.balance(currency).available
    if available + delta_minor < 0:
        raise Failure(INSUFFICIENT_BALANCE, available=available)
    if available + delta_minor > MAX_MINOR:
        raise Failure(BALANCE_LIMIT, most=MAX_MINOR)


def _get(state: WalletState, _command: GetWallet, _context: Context) -> Decision:
    balances = [
        BalanceOf(currency=code, available=held.available, held=held.held, seq=state.seq)
        for code, held in sorted(state.balances.items())
    ]
    return Decision(Wallet(wallet_id=state.wallet_id, seq=state.seq, balances=balances))


def _adjust(state: WalletState, command: Adjust, context: Context) -> Decision:
    check_new(state, command.request_id)
    _check_currency(command.currency)
    delta_minor = command.amount_minor
    if command.kind == facts.WITHDRAWAL:
        delta_minor = -delta_minor
    elif command.kind == facts.DEPOSIT:
        restrictions.check_deposit(state, context, command.currency, delta_minor)
    _check_change(state, command.currency, delta_minor)
    opened = seeds.opening(state, context)
    made = entry(
        state,
        context,
        command.kind,
        command.currency,
        delta_minor,
        command.request_id,
        counterparty=command.operator,
    )
    return Decision(_moved(made), (*opened, made), (updated(state, made),))


def _replay_adjust(command: Adjust, made: Entry) -> Moved:
    return _same(made, command.kind, command.currency, command.amount_minor, command.operator)


def _send_tip(state: WalletState, command: SendTip, context: Context) -> Decision:
    check_new(state, command.request_id)
    _check_currency(command.currency)
    if command.to == state.wallet_id:
        raise Failure(SELF_TRANSFER)
    _check_change(state, command.currency, -command.amount_minor)
    made = entry(
        state,
        context,
        facts.TIP_SENT,
        command.currency,
        -command.amount_minor,
        command.request_id,
        counterparty=command.to,
    )
    leg = message_id(state.wallet_id, made.seq)
    body = ReceiveTip(state.wallet_id, command.currency, command.amount_minor, leg)
    message = Message(leg, WALLET, command.to, body)
    return Decision(_moved(made), (made,), (updated(state, made),), (message,))


def _replay_tip(command: SendTip, made: Entry) -> Moved:
    return _same(made, facts.TIP_SENT, command.currency, command.amount_minor, command.to)


def _receive_tip(state: WalletState, command: ReceiveTip, context: Context) -> Decision:
    _check_delivered(state, command.request_id)
    opened = seeds.opening(state, context)
    fits = state.balance(command.currency).available + command.amount_minor <= MAX_MINOR
    made = entry(
        state,
        context,
        facts.TIP_RECEIVED if fits else facts.TIP_REFUSED,
        command.currency,
        command.amount_minor if fits else 0,
        command.request_id,
        counterparty=command.sender,
    )
    if fits:
        return Decision(None, (*opened, made), (updated(state, made),))
    leg = message_id(state.wallet_id, made.seq)
    body = ReturnTip(state.wallet_id, command.currency, command.amount_minor, leg)
    return Decision(None, (*opened, made), messages=(Message(leg, WALLET, command.sender, body),))


def _return_tip(state: WalletState, command: ReturnTip, context: Context) -> Decision:
    _check_delivered(state, command.request_id)
    # Refused by the sender's own full wallet, the message waits in the outbox until there is room.
    _check_change(state, command.currency, command.amount_minor)
    made = entry(
        state,
        context,
        facts.TIP_RETURNED,
        command.currency,
        command.amount_minor,
        command.request_id,
        counterparty=command.receiver,
    )
    return Decision(None, (made,), (updated(state, made),))


def _check_delivered(state: WalletState, leg: UUID) -> None:
    if leg.int in state.recent:
        raise Known


def _replay_leg(_command: Any, _made: Entry) -> None:
    """A leg that is committed already has been delivered; nobody reads its answer."""


def _same(made: Entry, kind: str, currency: str, amount_minor: int, counterparty: int) -> Moved:
    given = (kind, currency, amount_minor, counterparty)
    if given != (made.kind, made.currency, abs(made.available_delta), made.counterparty):
        raise Failure(REQUEST_MISMATCH)
    return _moved(made)


def wallet_kind(games: Mapping[type, Rule]) -> Kind:
    """The kind `wallet`, with the rules of the games that its money plays."""
    own: dict[Any, Rule] = {
        GetWallet: Rule(_get),
        Adjust: Rule(_adjust, _replay_adjust),
        SendTip: Rule(_send_tip, _replay_tip),
        ReceiveTip: Rule(_receive_tip, _replay_leg),
        ReturnTip: Rule(_return_tip, _replay_leg),
    }
    parts: tuple[Mapping[Any, Rule], ...] = (
        own,
        seeds.RULES,
        holds.RULES,
        restrictions.RULES,
        games,
    )
    rules = {command: rule for part in parts for command, rule in part.items()}
    assert len(rules) == sum(map(len, parts)), "a command has two rules"
    return Kind(WALLET, rules, apply, restore, snapshot, version)
