"""How rules make ledger entries: the one place where a balance's next value is computed."""

from uuid import UUID

import msgspec

from actors.decision import Context, Known, Push
from actors.wallet.facts import Bet, Entry, Step
from actors.wallet.state import WalletState
from protocol.bounds import MAX_MINOR
from protocol.commands.wallet import BalanceOf, WalletUpdated
from protocol.errors import (
    BALANCE_LIMIT,
    INSUFFICIENT_BALANCE,
    MALFORMED,
    UNKNOWN_CURRENCY,
    Failure,
)
from protocol.ids import is_client_made
from protocol.money import CURRENCIES


def check_new(state: WalletState, request_id: UUID) -> None:
    """Raise Known if the wallet has this request id; refuse one that only the server may make."""
    if request_id.int in state.recent:
        raise Known
    if not is_client_made(request_id):
        raise Failure(MALFORMED, field="request_id", reason="version 8 is the server's")


def refusal(state: WalletState, failure: Failure) -> Failure | Known:
    """What to raise where `failure` may be the answer to a repetition of something done long ago.

    That is looked for, but for a wallet that has forgotten no request id yet: it knows all its own,
    and its refusals cost storage nothing.
    """
    return Known(failure) if state.seq > len(state.recent) else failure


def check_currency(currency: str) -> None:
    """Raise Failure `unknown_currency` for one that is not offered."""
    if currency not in CURRENCIES:
        raise Failure(UNKNOWN_CURRENCY, currency=currency)


def check_change(state: WalletState, currency: str, delta_minor: int) -> None:
    """Refuse a change that the available balance does not cover, or that does not fit in it.

    Raises:
        Failure: `insufficient_balance` or `balance_limit`.
    """
    available = state.balance(currency).available
    if available + delta_minor < 0:
        raise Failure(INSUFFICIENT_BALANCE, available=available)
    if available + delta_minor > MAX_MINOR:
        raise Failure(BALANCE_LIMIT, most=MAX_MINOR)


def entry(
    state: WalletState,
    context: Context,
    kind: str,
    currency: str,
    available_delta: int,
    request_id: UUID,
    *,
    held_delta: int = 0,
    counterparty: int | None = None,
    bet: Bet | None = None,
    step: Step | None = None,
    rain: str | None = None,
) -> Entry:
    """The wallet's next entry. The caller has checked that the balance stays within bounds."""
    before = state.balance(currency)
    available_after = before.available + available_delta
    held_after = before.held + held_delta
    assert 0 <= available_after <= MAX_MINOR, "a rule let a balance out of its bounds"
    assert 0 <= held_after <= MAX_MINOR, "a rule let what is held out of its bounds"
    return Entry(
        state.wallet_id,
        state.seq + 1,
        currency,
        kind,
        available_delta,
        held_delta,
        available_after,
        held_after,
        counterparty,
        request_id,
        context.now_ms,
        bet,
        step,
        rain,
    )


def once_more(made: Entry, request_id: UUID, counterparty: int) -> Entry:
    """The entry after `made`, which moves the same amount again, to or from another.

    The caller has checked that the balance stays within bounds.
    """
    available_after = made.available_after + made.available_delta
    assert 0 <= available_after <= MAX_MINOR, "a rule let a balance out of its bounds"
    assert not made.held_delta, "what is held has a hold of its own"
    return msgspec.structs.replace(
        made,
        seq=made.seq + 1,
        available_after=available_after,
        request_id=request_id,
        counterparty=counterparty,
        rain=None,
    )


def balance_after(made: Entry) -> BalanceOf:
    """The balance as `made` left it."""
    return BalanceOf(
        currency=made.currency,
        available=made.available_after,
        held=made.held_after,
        seq=made.seq,
    )


def updated(state: WalletState, made: Entry) -> Push:
    """The news for all of the player's sockets."""
    news = WalletUpdated(
        currency=made.currency,
        available=made.available_after,
        held=made.held_after,
        seq=made.seq,
    )
    return Push(state.room, "wallet:updated", made.currency, news)
