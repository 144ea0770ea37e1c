"""What only the server sends to a wallet: adjustments it has authorised, and the legs of tips."""

from uuid import UUID

import msgspec


class Adjust(msgspec.Struct, frozen=True):
    """Create or remove money, `kind` being deposit, withdrawal or faucet; `operator` answers."""

    kind: str
    currency: str
    amount_minor: int
    operator: int
    request_id: UUID


class SendTip(msgspec.Struct, frozen=True):
    """Take a tip from this wallet and send it to the wallet `to`."""

    to: int
    currency: str
    amount_minor: int
    request_id: UUID


class ReceiveTip(msgspec.Struct, frozen=True):
    """The receiving leg. The message's id is its `request_id`."""

    sender: int
    currency: str
    amount_minor: int
    request_id: UUID


class ReturnTip(msgspec.Struct, frozen=True):
    """The tip back to its sender, because the receiver's balance had no room for it."""

    receiver: int
    currency: str
    amount_minor: int
    request_id: UUID


class SettleHold(msgspec.Struct, frozen=True):
    """End a hold with what it won, stake included; `outcome` is JSON text for the row."""

    hold: int
    payout_minor: int
    outcome: str


class ReleaseHold(msgspec.Struct, frozen=True):
    """Give a held stake back; `outcome` is JSON text that tells the reason."""

    hold: int
    outcome: str
