"""A crash table's state and the one function that changes it."""

from itertools import islice
from typing import Final

import msgspec

from actors.crash import facts, odds
from actors.crash.chain import Chain
from actors.crash.facts import ChainsRead, RoundEntry
from actors.crash.table import Table
from protocol.commands.crash import BetAtTable, room_of

# Bets that a table knows by their hold, so that one which asks again is not taken again: more than
# three full rounds of 5,000. A message that was delivered leaves the outbox within seconds. An
# older one is returned, which its wallet ignores, as that hold has ended.
MAX_TAKEN: Final = 16_384
# Rounds that a state tells of.
MAX_PAST: Final = 20


class Bet(msgspec.Struct):
    """A bet in the round.

    `target` is where it is cashed out at the latest: by the player's wish, or by the most that a
    bet may win. `ended` is the kind of the row that ended it.
    """

    wallet_id: int
    hold: int
    player: str
    stake_minor: int
    auto_cashout: int | None
    target: int
    ended: str | None = None
    multiplier: int | None = None
    payout_minor: int | None = None


class Past(msgspec.Struct, frozen=True):
    """A round that is over."""

    round: int
    bust: int
    hash: str
    voided: bool


class Round:
    """The newest round. `open_minor` is still at stake, `won_minor` is won for good beyond it."""

    __slots__ = (
        "bets",
        "bust",
        "bust_ms",
        "chain_id",
        "ended_at_ms",
        "forced",
        "hash",
        "next_target",
        "number",
        "open_bets",
        "open_minor",
        "opened_at_ms",
        "paid_minor",
        "position",
        "staked_minor",
        "started_at_ms",
        "targets",
        "voided",
        "won_minor",
    )

    def __init__(self, opened: RoundEntry, round_hash: str, bust: int) -> None:
        assert opened.chain_id is not None
        assert opened.position is not None
        self.number = opened.round
        self.chain_id = opened.chain_id
        self.position = opened.position
        self.hash = round_hash
        self.bust = bust
        self.bust_ms = odds.reached_at(bust)
        self.opened_at_ms = opened.at_ms
        self.started_at_ms: int | None = None
        self.ended_at_ms: int | None = None
        self.voided = False
        self.forced: int | None = None
        self.bets: dict[int, Bet] = {}
        self.open_bets = 0
        self.open_minor = self.staked_minor = self.paid_minor = self.won_minor = 0
        # By target, lowest first, once it has started; those before next_target have been reached.
        self.targets: list[Bet] = []
        self.next_target = 0

    @property
    def betting(self) -> bool:
        """Whether it takes bets."""
        return self.started_at_ms is None and self.ended_at_ms is None

    @property
    def upcoming(self) -> Bet:
        """The bet whose target is reached next. Only where next_target is within the targets."""
        return self.targets[self.next_target]

    @property
    def running(self) -> bool:
        """Whether its multiplier rises."""
        return self.started_at_ms is not None and self.ended_at_ms is None


class TableState:
    """One table: its newest round, and what it needs for the next."""

    __slots__ = (
        "chains",
        "interrupted",
        "past",
        "position",
        "room",
        "round",
        "rounds",
        "seq",
        "shown",
        "table",
        "taken",
    )

    def __init__(self, table: Table) -> None:
        self.table = table
        self.room = room_of(table.number)
        self.seq = 0
        # What everybody sees of the bets, and the number of the row after which it was made: made
        # once for all who ask until the next row.
        self.shown: tuple[int, list[BetAtTable]] = (0, [])
        self.rounds = 0
        # The chain and the position of the newest round.
        self.position = (0, 0)
        self.chains: list[Chain] = []
        self.round: Round | None = None
        self.past: list[Past] = []
        # Holds that were taken or returned: the reason of the latter, None for the former.
        self.taken: dict[tuple[int, int], str | None] = {}
        # Whether the round was under way when the table was read back.
        self.interrupted = False

    def next_position(self) -> tuple[Chain, int] | None:
        """The chain and the position of the next round; None where no chain is left."""
        chain_id, position = self.position
        reached = chain_id == 0
        for chain in self.chains:
            if reached:
                return chain, 1
            reached = chain.chain_id == chain_id
            if reached and position < chain.length:
                return chain, position + 1
        return None

    def chain(self, chain_id: int) -> Chain:
        """A chain by its number."""
        return next(chain for chain in self.chains if chain.chain_id == chain_id)

    def hash_at(self, opened: RoundEntry) -> str:
        """The hash of the round that a row opened."""
        assert opened.chain_id is not None
        assert opened.position is not None
        return self.chain(opened.chain_id).hash_of(opened.position)


class Begun(msgspec.Struct):
    """Where a table stood before the rows that it is read back from.

    It is what a snapshot is for others, but made anew from the rows each time.
    """

    seq: int
    rounds: int
    past: list[Past]
    taken: list[tuple[int, int, str | None]]


_DECODER: Final = msgspec.msgpack.Decoder(Begun)


def restore(table: Table, stored: bytes | None) -> TableState:
    """A table as it stood before its newest round; None is one without any."""
    state = TableState(table)
    if stored is not None:
        begun = _DECODER.decode(stored)
        state.seq, state.rounds = begun.seq, begun.rounds
        state.past = begun.past
        state.taken = {(wallet, hold): reason for wallet, hold, reason in begun.taken}
    return state


def read_back(state: TableState) -> None:
    """All its rows were applied. A round that is under way now has been interrupted."""
    state.interrupted = state.round is not None and state.round.ended_at_ms is None


def apply(state: TableState, fact: RoundEntry | ChainsRead) -> None:
    """Change `state` by a fact, live or read back."""
    if isinstance(fact, ChainsRead):
        state.chains = fact.chains
        return
    assert fact.seq == state.seq + 1, "a table's rows are gapless"
    state.seq = fact.seq
    if fact.kind == facts.OPENED:
        _open(state, fact)
        return
    if fact.kind in (facts.JOINED, facts.RETURNED):
        _take(state, fact)
        return
    current = state.round
    assert current is not None, "a round is opened first"
    if fact.kind == facts.STARTED:
        _start(current, fact.at_ms)
    elif fact.kind == facts.FORCED:
        current.forced = fact.multiplier
    elif fact.kind in (facts.CRASHED, facts.VOIDED):
        _end(state, current, fact)
    else:
        _end_bet(current, fact)


def _open(state: TableState, opened: RoundEntry) -> None:
    assert opened.chain_id is not None
    assert opened.position is not None
    assert opened.edge_percent is not None
    assert opened.multiplier is not None
    round_hash, seed = state.hash_at(opened), state.chain(opened.chain_id).public_seed
    # By the row: what the table is configured to be may have changed since.
    bust = odds.bust(round_hash, seed, opened.edge_percent, opened.multiplier)
    state.rounds = opened.round
    state.position = opened.chain_id, opened.position
    state.round = Round(opened, round_hash, bust)


def _take(state: TableState, taken: RoundEntry) -> None:
    assert taken.wallet_id is not None
    assert taken.hold is not None
    state.taken[taken.wallet_id, taken.hold] = taken.reason
    if len(state.taken) > MAX_TAKEN:
        # A tenth at a time: a dict finds its oldest key by passing over all that were deleted.
        for oldest in list(islice(state.taken, MAX_TAKEN // 10)):
            del state.taken[oldest]
    if taken.kind == facts.JOINED:
        assert state.round is not None
        _join(state.round, taken)


def _join(current: Round, joined: RoundEntry) -> None:
    assert joined.wallet_id is not None
    assert joined.hold is not None
    assert joined.player is not None
    assert joined.stake_minor is not None
    # By the row, as with the bust: the table may be configured otherwise by now.
    assert joined.target is not None
    bet = Bet(
        joined.wallet_id,
        joined.hold,
        joined.player,
        joined.stake_minor,
        joined.auto_cashout,
        joined.target,
    )
    current.bets[bet.wallet_id] = bet
    current.open_bets += 1
    current.open_minor += bet.stake_minor
    current.staked_minor += bet.stake_minor


def target_of(table: Table, stake_minor: int, auto_cashout: int | None) -> int:
    """Where a bet is cashed out at the latest, in hundredths: more would win too much."""
    most = 100 + 100 * table.most_profit_minor // stake_minor
    return min(auto_cashout or table.most_multiplier, most, table.most_multiplier)


def _start(current: Round, at_ms: int) -> None:
    current.started_at_ms = at_ms
    current.targets = sorted(current.bets.values(), key=lambda bet: bet.target)


def _end(state: TableState, current: Round, ended: RoundEntry) -> None:
    current.ended_at_ms = ended.at_ms
    current.voided = ended.kind == facts.VOIDED
    state.interrupted = False
    state.past.insert(0, Past(current.number, current.bust, current.hash, current.voided))
    del state.past[MAX_PAST:]


def _end_bet(current: Round, ended: RoundEntry) -> None:
    assert ended.wallet_id is not None
    bet = current.bets[ended.wallet_id]
    assert bet.ended is None, "a bet ends once"
    current.open_bets -= 1
    current.open_minor -= bet.stake_minor
    if ended.kind == facts.LEFT:
        # As if it had not been there: the player may come again.
        current.staked_minor -= bet.stake_minor
        del current.bets[ended.wallet_id]
        return
    bet.ended = ended.kind
    while current.next_target < len(current.targets) and current.upcoming.ended is not None:
        current.next_target += 1
    bet.multiplier, bet.payout_minor = ended.multiplier, ended.payout_minor
    if ended.kind == facts.CASHED_OUT:
        assert ended.payout_minor is not None
        current.paid_minor += ended.payout_minor
        current.won_minor += ended.payout_minor - bet.stake_minor


def version(state: TableState) -> int:
    """The number of the newest row."""
    return state.seq
