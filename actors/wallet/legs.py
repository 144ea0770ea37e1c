"""Money on its way between two wallets: sent, received, or refused and returned.

The sender commits a row and, with it, the message that brings the money. The receiver's row, and
that of a way back, carry the id of their message, so that each arrives once.
"""

from typing import Final, NamedTuple
from uuid import UUID

from actors.decision import Context, Decision, Known, Message
from actors.kind import Rule
from actors.wallet import facts, seeds
from actors.wallet.commands import ReceiveRain, ReceiveTip, ReturnRain, ReturnTip
from actors.wallet.facts import Entry
from actors.wallet.ledger import check_change, entry, updated
from actors.wallet.state import WalletState
from protocol.bounds import MAX_MINOR
from protocol.ids import message_id

WALLET: Final = "wallet"


class Legs(NamedTuple):
    """A family of rows, and the messages between them."""

    sent: str
    received: str
    refused: str
    returned: str
    receive: type[ReceiveTip]
    give_back: type[ReturnTip]


TIP: Final = Legs(
    facts.TIP_SENT,
    facts.TIP_RECEIVED,
    facts.TIP_REFUSED,
    facts.TIP_RETURNED,
    ReceiveTip,
    ReturnTip,
)
RAIN: Final = Legs(
    facts.RAIN_SENT,
    facts.RAIN_RECEIVED,
    facts.RAIN_REFUSED,
    facts.RAIN_RETURNED,
    ReceiveRain,
    ReturnRain,
)


def message_of(legs: Legs, sent: Entry) -> Message:
    """What brings the money of a row to its counterparty."""
    assert sent.counterparty is not None, "money that is sent has a receiver"
    leg = message_id(sent.wallet_id, sent.seq)
    body = legs.receive(sent.wallet_id, sent.currency, -sent.available_delta, leg)
    return Message(leg, WALLET, sent.counterparty, body)


def rules_of(legs: Legs) -> dict[type, Rule]:
    """How a wallet takes the messages of a family."""

    def receive(state: WalletState, command: ReceiveTip, context: Context) -> Decision:
        _check_new(state, command.request_id)
        opened = seeds.opening(state, context)
        fits = state.balance(command.currency).available + command.amount_minor <= MAX_MINOR
        made = entry(
            state,
            context,
            legs.received if fits else legs.refused,
            command.currency,
            command.amount_minor if fits else 0,
            command.request_id,
            counterparty=command.sender,
        )
        if fits:
            return Decision(None, (*opened, made), (updated(state, made),))
        leg = message_id(state.wallet_id, made.seq)
        body = legs.give_back(state.wallet_id, command.currency, command.amount_minor, leg)
        back = Message(leg, WALLET, command.sender, body)
        return Decision(None, (*opened, made), messages=(back,))

    def take_back(state: WalletState, command: ReturnTip, context: Context) -> Decision:
        _check_new(state, command.request_id)
        # Refused by the sender's own full wallet, it waits in the outbox until there is room.
        check_change(state, command.currency, command.amount_minor)
        made = entry(
            state,
            context,
            legs.returned,
            command.currency,
            command.amount_minor,
            command.request_id,
            counterparty=command.receiver,
        )
        return Decision(None, (made,), (updated(state, made),))

    return {legs.receive: Rule(receive, _replay), legs.give_back: Rule(take_back, _replay)}


def _check_new(state: WalletState, leg: UUID) -> None:
    if leg.int in state.recent:
        raise Known


def _replay(_command: ReceiveTip | ReturnTip, _made: Entry) -> None:
    """A leg that is committed already has been delivered; nobody reads its answer."""
