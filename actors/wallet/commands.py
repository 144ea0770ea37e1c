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


class ReceiveRain(ReceiveTip, frozen=True):
    """The receiving leg of a rain."""


class ReturnRain(ReturnTip, frozen=True):
    """A receiver's share of a rain back to who sent it."""


class StartRain(msgspec.Struct, frozen=True):
    """Split `amount_minor` among the wallets `to`, and tell the room.

    Whom it falls on is not part of the request: when it is sent again, others may have been active
    in the last `minutes`. `player` is who the room is told sent it.
    """

    to: tuple[int, ...]
    room: str
    minutes: int
    player: str
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
