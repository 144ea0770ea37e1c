"""Commands of the wallet: balances, history, tips, and the operator's adjustments."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from protocol.bounds import DEFAULT_PAGE, MAX_MINOR, MAX_PAGE, MAX_USERNAME_CHARS
from protocol.commands.shape import Answer, Command, CurrencyCode, Event, RequestId, UserId
from protocol.money import Minor

PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many at most.")]
BeforeSeq = Annotated[int, Meta(ge=1, le=MAX_MINOR, description="Only entries older than this.")]


class BalanceOf(Answer):
    """A balance in minor units: free to use, and held. `seq` numbers the newest entry."""

    currency: str
    available: int
    held: int
    seq: int


class WalletUpdated(Event):
    """A balance has changed; this is the newest."""

    currency: str
    available: int
    held: int
    seq: int


class GetWallet(Command):
    """Your balances."""


class Wallet(Answer):
    """All balances of a wallet."""

    wallet_id: int
    seq: int
    balances: list[BalanceOf]


class GetHistory(Command):
    """Your ledger entries, newest first."""

    currency: CurrencyCode | None = None
    before: BeforeSeq | None = None
    limit: PageSize = DEFAULT_PAGE


class HistoryEntry(Answer):
    """One row of the ledger."""

    seq: int
    kind: str
    currency: str
    available_delta: int
    held_delta: int
    available_after: int
    held_after: int
    counterparty: int | None
    request_id: UUID
    at_ms: int
    bet_id: str | None


class History(Answer):
    """A page of entries, perhaps fewer than asked for; `next_before` asks for the next page."""

    entries: list[HistoryEntry]
    next_before: int | None


class Tip(Command):
    """Send money to another player."""

    to: Annotated[str, Meta(min_length=1, max_length=MAX_USERNAME_CHARS)]
    currency: CurrencyCode
    amount: Minor
    request_id: RequestId


class Deposit(Command):
    """Bring money into a player's wallet, as an operator."""

    user_id: UserId
    currency: CurrencyCode
    amount: Minor
    request_id: RequestId


class Withdraw(Command):
    """Take money out of a player's wallet, as an operator."""

    user_id: UserId
    currency: CurrencyCode
    amount: Minor
    request_id: RequestId


class Faucet(Command, kw_only=True):
    """Fill your wallet for trying things out. It does not exist in production."""

    currency: CurrencyCode = "PLAY"
    request_id: RequestId


class Moved(Answer):
    """What a transfer did to the wallet."""

    seq: int
    kind: str
    amount: int
    balance: BalanceOf
