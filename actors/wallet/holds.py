"""Stakes that are held while their game is under way, and how a hold ends: once, either way.

A game table says how a hold ends by a message, which may come more than once. The hold itself tells
whether it has ended: it is gone from the wallet's state then. Storage has each ending once besides.
"""

from uuid import UUID

from actors.decision import Context, Decision
from actors.kind import Rule
from actors.wallet import facts
from actors.wallet.commands import ReleaseHold, SettleHold
from actors.wallet.facts import Entry, Step
from actors.wallet.ledger import check_change, entry, updated
from actors.wallet.restrictions import check_wager
from actors.wallet.state import Hold, WalletState
from protocol.bounds import MAX_MINOR
from protocol.errors import BALANCE_LIMIT, Failure
from protocol.ids import settlement_id


def opening(
    state: WalletState, context: Context, currency: str, request_id: UUID, step: Step
) -> Entry:
    """The entry that holds the stake of `step`.

    Raises:
        Failure: What the player's own limits refuse, `insufficient_balance`, or `balance_limit` for
            what would be held.
    """
    stake_minor = step.stake_minor
    assert stake_minor is not None, "a hold has a stake"
    check_wager(state, context, currency, stake_minor)
    check_change(state, currency, -stake_minor)
    if state.balance(currency).held + stake_minor > MAX_MINOR:
        raise Failure(BALANCE_LIMIT, most=MAX_MINOR)
    return entry(
        state,
        context,
        facts.HOLD,
        currency,
        -stake_minor,
        request_id,
        held_delta=stake_minor,
        step=step,
    )


def ending(
    state: WalletState,
    context: Context,
    seq: int,
    hold: Hold,
    payout_minor: int | None,
    outcome: str,
    request_id: UUID | None = None,
) -> Entry:
    """The entry that ends the hold which entry `seq` opened.

    With a payout it is settled; None releases the stake. `request_id` is the player's own where
    a command of theirs ends the hold, so that it is answered again from this very row.

    Raises:
        Failure: `balance_limit`; the hold stays open.
    """
    back_minor = hold.stake_minor if payout_minor is None else payout_minor
    check_change(state, hold.currency, back_minor)
    return entry(
        state,
        context,
        facts.RELEASE if payout_minor is None else facts.SETTLE,
        hold.currency,
        back_minor,
        request_id or settlement_id(state.wallet_id, seq),
        held_delta=-hold.stake_minor,
        step=Step(
            hold.game,
            stake_minor=hold.stake_minor,
            payout_minor=payout_minor,
            outcome=outcome,
            hold=seq,
        ),
    )


def _settle(state: WalletState, command: SettleHold, context: Context) -> Decision:
    return _end(state, context, command.hold, command.payout_minor, command.outcome)


def _release(state: WalletState, command: ReleaseHold, context: Context) -> Decision:
    return _end(state, context, command.hold, None, command.outcome)


def _end(
    state: WalletState, context: Context, seq: int, payout_minor: int | None, outcome: str
) -> Decision:
    hold = state.holds.get(seq)
    if hold is None:
        # It has ended: the message has come before.
        return Decision(None)
    # Refused by a full wallet, the message waits in the outbox until there is room.
    made = ending(state, context, seq, hold, payout_minor, outcome)
    return Decision(None, (made,), (updated(state, made),))


RULES = {SettleHold: Rule(_settle), ReleaseHold: Rule(_release)}
