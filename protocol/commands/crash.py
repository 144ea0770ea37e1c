"""Crash: a multiplier that rises until it busts, shared by everybody at a table.

Multipliers are in hundredths: 198 is 1.98. Times are milliseconds since 1970, by the server's
clock; every answer and event says the time it was made at.
"""

from enum import Enum
from typing import Annotated, Final

from msgspec import Meta

from protocol.bounds import DEFAULT_PAGE, MAX_MINOR
from protocol.commands.shape import Answer, Command, CurrencyCode, Event, RequestId
from protocol.commands.wallet import PageSize
from protocol.money import Minor

# Bets that a state lists, the highest stakes first: a screen shows fewer. The counts tell of more.
MAX_BETS_SHOWN: Final = 100
# Rounds that a state lists, newest first.
MAX_ROUNDS_SHOWN: Final = 20

TableNumber = Annotated[int, Meta(ge=1, le=999_999, description="A table's number.")]
RoundId = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=24,
        pattern=r"\A[1-9][0-9]{0,5}-[1-9][0-9]{0,15}\Z",
        description="A round's id: its table and its number, such as `1-42`.",
    ),
]
Multiplier = Annotated[
    int, Meta(ge=0, le=MAX_MINOR, description="In hundredths: 198 is 1.98; more than 1.00.")
]


class Phase(Enum):
    """What a table is doing. `waiting` is for a chain of hashes, `paused` for its operators."""

    BETTING = "betting"
    RUNNING = "running"
    CRASHED = "crashed"
    VOIDED = "voided"
    PAUSED = "paused"
    WAITING = "waiting"


class BetCrash(Command):
    """Bet on the round that is open. Cashed out at `auto_cashout` at the latest, if it is given."""

    round_id: RoundId
    stake: Minor
    currency: CurrencyCode
    request_id: RequestId
    auto_cashout: Multiplier | None = None


class CancelCrash(Command):
    """Take your bet back, while the round takes bets."""

    round_id: RoundId


class CashOutCrash(Command):
    """Cash out at the multiplier at which this arrives."""

    round_id: RoundId


class GetCrash(Command):
    """Everything about a table now, for a client that has just come or fallen behind."""

    table: TableNumber


class WatchCrash(Command):
    """Get a table's events on this socket from now on, and its state."""

    table: TableNumber


class UnwatchCrash(Command):
    """Get no more of a table's events on this socket."""

    table: TableNumber


class GetTables(Command):
    """The crash tables there are."""


class GetRounds(Command):
    """Rounds that are over, newest first, with what verifies them."""

    table: TableNumber
    before: Annotated[int, Meta(ge=1, le=MAX_MINOR)] | None = None
    limit: PageSize = DEFAULT_PAGE


class CrashBet(Answer):
    """A bet that is in the round."""

    round_id: str
    bet_id: str
    stake: int
    currency: str
    auto_cashout: int | None
    at_ms: int


class CrashCancelled(Answer):
    """A bet that was taken back. Its stake returns to the balance."""

    round_id: str
    bet_id: str
    at_ms: int


class CashedOut(Answer):
    """A bet that was cashed out. The payout includes the stake."""

    round_id: str
    bet_id: str
    multiplier: int
    payout: int
    currency: str
    at_ms: int


class BetAtTable(Answer):
    """A bet of the round as everybody sees it; a multiplier once it is cashed out."""

    player: str
    stake: int
    multiplier: int | None
    payout: int | None


class OwnBet(Answer):
    """Your bet in the round. `ended` is how, if it has."""

    bet_id: str
    stake: int
    auto_cashout: int | None
    ended: str | None
    multiplier: int | None
    payout: int | None


class RoundShown(Answer):
    """A round that is over."""

    round_id: str
    bust: int
    hash: str
    voided: bool


class CrashState(Answer):
    """A table now. `deadline_ms` is when its phase ends, where that is known beforehand.

    While it runs, the multiplier is floor(100 * e ** (0.00006 * t)) / 100 at t milliseconds after
    `started_at_ms`. `hash_before` is the hash of the round before: the SHA-256 of this round's.
    """

    table: int
    name: str
    currency: str
    phase: Phase
    round_id: str | None
    at_ms: int
    deadline_ms: int | None
    started_at_ms: int | None
    multiplier: int | None
    bust: int | None
    hash: str | None
    hash_before: str | None
    public_seed: str | None
    bet_count: int
    staked: int
    bets: list[BetAtTable]
    own: OwnBet | None
    rounds: list[RoundShown]


class Watching(Answer):
    """What a socket watches is changed."""

    table: int
    watching: bool


class TableShown(Answer):
    """A table and its rules, in minor units, hundredths and milliseconds."""

    table: int
    name: str
    currency: str
    least_stake: int
    most_stake: int
    most_profit: int
    most_round_profit: int
    most_multiplier: int
    betting_ms: int
    pause_ms: int


class Tables(Answer):
    """All crash tables."""

    tables: list[TableShown]


class RoundRecord(Answer):
    """A round that is over and what verifies it; `hash` is the key, `public_seed` the message.

    `staked` and `paid` are the sums when it ended: what a voided round refunds is not in them.
    """

    round_id: str
    number: int
    bust: int
    hash: str
    public_seed: str
    terminal_hash: str
    edge_percent: int
    most_multiplier: int
    position: int
    bets: int
    staked: int
    paid: int
    voided: bool
    at_ms: int


class Rounds(Answer):
    """A page of rounds; `next_before` asks for the next one."""

    rounds: list[RoundRecord]
    next_before: int | None


class RoundOpened(Event):
    """A round takes bets until the deadline."""

    round_id: str
    at_ms: int
    deadline_ms: int


class RoundStarted(Event):
    """The multiplier rises from 1.00, counted from `at_ms`."""

    round_id: str
    at_ms: int


class RoundTicked(Event):
    """How far the multiplier is. Clients draw the curve themselves, and correct it by this."""

    round_id: str
    at_ms: int
    elapsed_ms: int
    multiplier: int


class RoundForced(Event):
    """The most that the house pays in a round is reached: everybody is cashed out at this."""

    round_id: str
    at_ms: int
    multiplier: int


class RoundCrashed(Event):
    """The round is over, and this is the hash that decided it. The next opens at the deadline."""

    round_id: str
    at_ms: int
    bust: int
    hash: str
    deadline_ms: int


class RoundVoided(Event):
    """The round was interrupted. Who had not been cashed out by then gets the stake back."""

    round_id: str
    at_ms: int
    bust: int
    hash: str
    deadline_ms: int


class JoinedItem(Event):
    """One bet that came in. Of what is told of a player in one round, the highest `seq` counts."""

    round_id: str
    player: str
    stake: int
    seq: int


class LeftItem(Event):
    """One bet that was taken back before the start."""

    round_id: str
    player: str
    seq: int


class CashedOutItem(Event):
    """One bet that was cashed out."""

    round_id: str
    player: str
    multiplier: int
    payout: int


class BetsJoined(Event):
    """Bets that came in since the last time; `more` were too many to list."""

    items: list[JoinedItem]
    more: int


class BetsLeft(Event):
    """Bets that were taken back since the last time; `more` were too many to list."""

    items: list[LeftItem]
    more: int


class PlayersCashedOut(Event):
    """Bets that were cashed out since the last time; `more` were too many to list."""

    items: list[CashedOutItem]
    more: int


def round_id(table: int, number: int) -> str:
    """A round's public id."""
    return f"{table}-{number}"


def room_of(table: int) -> str:
    """The room of those who watch a table."""
    return f"crash:{table}"


def parse_round_id(text: str) -> tuple[int, int]:
    """The table and the number of a RoundId."""
    table, _, number = text.partition("-")
    return int(table), int(number)
