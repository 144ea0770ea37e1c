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
RAIN_SENT: Final = "rain_sent"
RAIN_RECEIVED: Final = "rain_received"
RAIN_REFUSED: Final = "rain_refused"
RAIN_RETURNED: Final = "rain_returned"
BET: Final = "bet"
# Play in several steps: the stake is held, tiles are revealed, and the hold is settled or released.
HOLD: Final = "hold"
REVEAL: Final = "reveal"
SETTLE: Final = "settle"
RELEASE: Final = "release"

# Kinds of restriction: the limits, of which each has a period and a currency, and the breaks.
LIMIT_DEPOSIT: Final = "deposit"
LIMIT_LOSS: Final = "loss"
LIMIT_STAKE: Final = "stake"
COOL_OFF: Final = "cool_off"
EXCLUSION: Final = "exclusion"


class Bet(msgspec.Struct, frozen=True, gc=False):
    """An instant bet, and what verifies it. Parameters and outcome are JSON text."""

    game: str
    stake_minor: int
    payout_minor: int
    pair: int
    nonce: int
    parameters: str
    outcome: str


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step of a bet whose stake is held. `hold` numbers the entry that opened it.

    The entry of kind `hold` has the parameters (and the seeds it draws from, where the game does),
    later ones have `hold` and an outcome; only that of kind `settle` has a payout.
    """

    game: str
    stake_minor: int | None = None
    payout_minor: int | None = None
    pair: int | None = None
    nonce: int | None = None
    parameters: str | None = None
    outcome: str | None = None
    hold: int | None = None


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One change of one wallet: what changed, and what stands after it.

    `rain` is JSON text that says what all of a rain was, in the first row of it that is sent.
    """

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
    step: Step | None = None
    rain: str | None = None


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


class RestrictionSet(msgspec.Struct, frozen=True):
    """After entry `after_seq` the player set a limit, or a break from play until `until_ms`.

    `number` counts a wallet's restrictions. A limit has a period, a currency and an amount, where
    None takes it away; it comes into force at `effective_at_ms`. An exclusion without an end is for
    good.
    """

    wallet_id: int
    number: int
    after_seq: int
    kind: str
    period: str | None
    currency: str | None
    amount_minor: int | None
    effective_at_ms: int
    until_ms: int | None
    at_ms: int
