"""What a crash table commits: one row for each thing that happens in a round, never changed."""

from typing import Final

import msgspec

from actors.crash.chain import Chain

# What happens to a round, in this order. A round ends as crashed or as voided.
OPENED: Final = "opened"
STARTED: Final = "started"
FORCED: Final = "forced"
CRASHED: Final = "crashed"
VOIDED: Final = "voided"
# What happens to a bet. One that joined ends in exactly one of the last four ways; one that came
# too late is returned and was never in the round.
JOINED: Final = "joined"
RETURNED: Final = "returned"
LEFT: Final = "left"
CASHED_OUT: Final = "cashed_out"
LOST: Final = "lost"
REFUNDED: Final = "refunded"


class RoundEntry(msgspec.Struct, frozen=True, gc=False):
    """One row of a table's log. `seq` is gapless, so that two owners cannot both write.

    `multiplier` is the most that a bust can be where a round opens, the bust where it ends, and
    what was paid where a bet does. `stake_minor` and `payout_minor` of a round that ends are the
    sums of its bets up to then.
    """

    table: int
    seq: int
    round: int
    kind: str
    at_ms: int
    wallet_id: int | None = None
    hold: int | None = None
    player: str | None = None
    stake_minor: int | None = None
    auto_cashout: int | None = None
    multiplier: int | None = None
    payout_minor: int | None = None
    bets: int | None = None
    chain_id: int | None = None
    position: int | None = None
    hash: str | None = None
    reason: str | None = None
    edge_percent: int | None = None
    target: int | None = None


class ChainsRead(msgspec.Struct, frozen=True):
    """The chains that a table may play, oldest first.

    They are read with its rows and never written: no row shows a hash before its round is over.
    """

    chains: list[Chain]
