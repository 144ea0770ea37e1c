"""What a wallet commits. Each fact is one row; nothing ever updates one."""

from typing import Final
from uuid import UUID

import msgspec

# Kinds of entry. The first group brings money into the house's books or takes it out, the second
# moves it between wallets, the third is play.
DEPOSIT: Final = "deposit"
WITHDRAWAL: Final = "withdrawal"
FAUCET: Final = "faucet"
TIP_SENT: Final = "tip_sent"
TIP_RECEIVED: Final = "tip_received"
TIP_REFUSED: Final = "tip_refused"
TIP_RETURNED: Final = "tip_returned"
BET: Final = "bet"


class Bet(msgspec.Struct, frozen=True, gc=False):
    """An instant bet, and what verifies it. Parameters and outcome are JSON text."""

    game: str
    stake_minor: int
    payout_minor: int
    pair: int
    nonce: int
    parameters: str
    outcome: str


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One change of one wallet: what changed, and what stands after it."""

    wallet_id: int
    seq: int
    currency: str
    kind: str
    available_delta: int
    held_delta: int
    available_after: int
    held_after: int
    counterparty: int | None
    request_id: UUID
    at_ms: int
    bet: Bet | None = None


class SeedPair(msgspec.Struct, frozen=True):
    """A server seed and a client seed that bets draw from.

    `server_number` counts server seeds. A server seed is revealed exactly when a pair with a higher
    `server_number` exists, so revealing needs no update.
    """

    number: int
    server_number: int
    server_seed: str
    server_seed_hash: str
    client_seed: str
    first_nonce: int


class SeedPairIssued(msgspec.Struct, frozen=True):
    """After entry `after_seq` the wallet's bets draw from this pair."""

    wallet_id: int
    after_seq: int
    pair: SeedPair
    at_ms: int
