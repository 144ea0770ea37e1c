"""How money moves: adjustments and tips. Guards stand in order of precedence."""

from collections.abc import Mapping
from typing import Any

from actors.decision import Context, Decision
from actors.kind import Kind, Rule
from actors.wallet import facts, holds, legs, rain, restrictions, seeds
from actors.wallet.commands import Adjust, SendTip
from actors.wallet.facts import Entry
from actors.wallet.ledger import (
    balance_after,
    check_change,
    check_currency,
    check_new,
    entry,
    updated,
)
from actors.wallet.state import WalletState, apply, restore, snapshot, version
from protocol.commands.wallet import BalanceOf, GetWallet, Moved, Wallet
from protocol.errors import (
    REQUEST_MISMATCH,
    SELF_TRANSFER,
    Failure,
)

WALLET = legs.WALLET


def _moved(made: Entry) -> Moved:
    return Moved(
        seq=made.seq,
        kind=made.kind,
        amount=abs(made.available_delta),
        balance=balance_after(made),
    )


def _get(state: WalletState, _command: GetWallet, _context: Context) -> Decision:
    balances = [
        BalanceOf(currency=code, available=held.available, held=held.held, seq=state.seq)
        for code, held in sorted(state.balances.items())
    ]
    return Decision(Wallet(wallet_id=state.wallet_id, seq=state.seq, balances=balances))


def _adjust(state: WalletState, command: Adjust, context: Context) -> Decision:
    check_new(state, command.request_id)
    check_currency(command.currency)
    delta_minor = command.amount_minor
    if command.kind == facts.WITHDRAWAL:
        delta_minor = -delta_minor
    elif command.kind == facts.DEPOSIT:
        restrictions.check_deposit(state, context, command.currency, delta_minor)
    check_change(state, command.currency, delta_minor)
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
    check_currency(command.currency)
    if command.to == state.wallet_id:
        raise Failure(SELF_TRANSFER)
    check_change(state, command.currency, -command.amount_minor)
    made = entry(
        state,
        context,
        facts.TIP_SENT,
        command.currency,
        -command.amount_minor,
        command.request_id,
        counterparty=command.to,
    )
    return Decision(
        _moved(made), (made,), (updated(state, made),), (legs.message_of(legs.TIP, made),)
    )


def _replay_tip(command: SendTip, made: Entry) -> Moved:
    return _same(made, facts.TIP_SENT, command.currency, command.amount_minor, command.to)


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
    }
    parts: tuple[Mapping[Any, Rule], ...] = (
        own,
        legs.rules_of(legs.TIP),
        rain.RULES,
        seeds.RULES,
        holds.RULES,
        restrictions.RULES,
        games,
    )
    rules = {command: rule for part in parts for command, rule in part.items()}
    assert len(rules) == sum(map(len, parts)), "a command has two rules"
    return Kind(WALLET, rules, apply, restore, snapshot, version)
