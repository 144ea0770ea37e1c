"""What the server and wallets send to a crash table, and to a wallet for one."""

from uuid import UUID

import msgspec

from protocol.errors import Failure


class Wake(msgspec.Struct, frozen=True):
    """Do what is due. A table is woken again and again, so that it lives wherever its shard is."""


class AskBet(msgspec.Struct, frozen=True):
    """Would this bet be taken now?"""

    round: int
    wallet_id: int
    stake_minor: int
    currency: str
    auto_cashout: int | None


class StakeCrash(msgspec.Struct):
    """Hold a stake for a round.

    `refusal` is why the table would not take the bet, if it would not: a request that is repeated
    is answered all the same.
    """

    table: int
    round: int
    player: str
    stake_minor: int
    currency: str
    auto_cashout: int | None
    request_id: UUID
    refusal: Failure | None = None


class Join(msgspec.Struct, frozen=True):
    """A bet whose stake is held asks to be taken. It may come more than once."""

    table: int
    round: int
    wallet_id: int
    hold: int
    player: str
    stake_minor: int
    currency: str
    auto_cashout: int | None


class Leave(msgspec.Struct, frozen=True):
    """Take a wallet's bet back."""

    round: int
    wallet_id: int


class CashOut(msgspec.Struct, frozen=True):
    """Cash a wallet's bet out."""

    round: int
    wallet_id: int


class ReadTable(msgspec.Struct, frozen=True):
    """The table's state, with the bet of this wallet."""

    wallet_id: int
