"""A database in memory with the real one's rules: keys, checks, atomic batches and shard locks."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from actors.crash import facts as crash
from actors.crash.facts import RoundEntry
from actors.crash.rules import CRASH
from actors.decision import Message
from actors.wallet.facts import (
    BET,
    COOL_OFF,
    EXCLUSION,
    HOLD,
    LIMIT_DEPOSIT,
    LIMIT_LOSS,
    LIMIT_STAKE,
    RAIN_SENT,
    RELEASE,
    REVEAL,
    SETTLE,
    Entry,
    RestrictionSet,
    SeedPairIssued,
)
from actors.wallet.rules import WALLET
from protocol.bounds import MAX_MINOR
from storage.lane import Lost, Posted, Refused

_BIGINT: Final = range(-(2**63), 2**63)
_ENDED: Final = "57P01 terminating connection due to administrator command"
STEPS: Final = frozenset({HOLD, REVEAL, SETTLE, RELEASE})
ENDINGS: Final = frozenset({SETTLE, RELEASE})
LIMITS: Final = frozenset({LIMIT_DEPOSIT, LIMIT_LOSS, LIMIT_STAKE})
BREAKS: Final = frozenset({COOL_OFF, EXCLUSION})
# What a row of a crash table has by its kind, and what it may have, beside what all of them have.
_OF_ROUND: Final = RoundEntry.__struct_fields__[5:]
_OF_BET: Final = frozenset({"wallet_id", "hold"})
_SUMS: Final = frozenset(
    {"stake_minor", "multiplier", "payout_minor", "bets", "chain_id", "position", "hash"}
)
_NOTHING: Final[frozenset[str]] = frozenset()
_FILLED: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    crash.OPENED: (frozenset({"multiplier", "edge_percent", "chain_id", "position"}), _NOTHING),
    crash.STARTED: (_NOTHING, _NOTHING),
    crash.FORCED: (frozenset({"multiplier"}), _NOTHING),
    crash.CRASHED: (_SUMS, _NOTHING),
    crash.VOIDED: (_SUMS | {"reason"}, _NOTHING),
    crash.JOINED: (_OF_BET | {"player", "stake_minor", "target"}, frozenset({"auto_cashout"})),
    crash.RETURNED: (_OF_BET | {"stake_minor", "reason"}, _NOTHING),
    crash.LEFT: (_OF_BET | {"reason"}, _NOTHING),
    crash.CASHED_OUT: (_OF_BET | {"multiplier", "payout_minor", "reason"}, _NOTHING),
    crash.LOST: (_OF_BET | {"payout_minor"}, _NOTHING),
    crash.REFUNDED: (_OF_BET | {"reason"}, _NOTHING),
}


class Backend:
    """The server's side of a lane's connection. It holds locks until it ends."""

    def __init__(self, number: int, member: str) -> None:
        self.number = number
        self.member = member
        self.alive = True
        self.ended: Callable[[], None] = lambda: None
        """What tells the client, set by whoever connects."""


class Waiting(NamedTuple):
    """A row of the outbox."""

    message: Message
    shard: int
    at_ms: int


Watcher = Callable[[Backend, Sequence[Any], Sequence[Posted]], None]


class MemoryDatabase:
    """Committed rows, and who holds which lock. Each method is one instant: there is no await."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[int, Entry]] = {}
        self.requests: dict[tuple[int, UUID], Entry] = {}
        self.endings: set[tuple[int, int]] = set()
        """Wallets and holds that have ended."""
        self.pairs: dict[int, dict[int, SeedPairIssued]] = {}
        self.restrictions: dict[int, dict[int, RestrictionSet]] = {}
        self.rounds: dict[int, dict[int, RoundEntry]] = {}
        """The rows of crash tables."""
        self.snapshots: dict[int, tuple[int, bytes]] = {}
        self.outbox: dict[UUID, Waiting] = {}
        self.locks: dict[int, Backend] = {}
        self.committed: Watcher = lambda _backend, _facts, _messages: None
        """Told of every commit, in the instant it becomes visible."""
        self.deleted: Callable[[Sequence[UUID]], None] = lambda _ids: None
        """Told of every row that leaves the outbox."""
        self._backends: list[Backend] = []
        self._count = 0

    def connect(self, member: str) -> Backend:
        """A new backend of a member, without locks."""
        self._count += 1
        backend = Backend(self._count, member)
        self._backends.append(backend)
        return backend

    def end(self, backend: Backend) -> None:
        """End a backend: what it had not committed is undone, and its locks are free."""
        if not backend.alive:
            return
        backend.alive = False
        self._backends.remove(backend)
        for shard in [shard for shard, holder in self.locks.items() if holder is backend]:
            del self.locks[shard]
        backend.ended()

    def end_all(self) -> None:
        """End every backend, as a restart of the server does."""
        for backend in list(self._backends):
            self.end(backend)

    def try_lock(self, backend: Backend, shards: Collection[int]) -> set[int]:
        """Take and return those of `shards` that are free. Raises Lost if the backend has ended.

        Real locks nest, so that one that is taken twice would outlive its release: nobody may.
        """
        if not backend.alive:
            raise Lost(_ENDED)
        assert all(self.locks.get(shard) is not backend for shard in shards), "no lock nests"
        free = {shard for shard in shards if shard not in self.locks}
        self.locks.update(dict.fromkeys(free, backend))
        return free

    def unlock(self, backend: Backend, shards: Collection[int]) -> None:
        """Free locks that the backend holds. Raises Lost if it has ended."""
        if not backend.alive:
            raise Lost(_ENDED)
        for shard in shards:
            assert self.locks.pop(shard) is backend, "only its own locks are freed"

    def backend(self, number: int) -> Backend | None:
        """The live backend with this number."""
        return next((one for one in self._backends if one.number == number), None)

    def commit(self, backend: Backend, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        """Write all of it or nothing. Raises Refused, or Lost if the backend has ended."""
        if not backend.alive:
            raise Lost(_ENDED)
        self._check(facts, messages)
        for fact in facts:
            if type(fact) is Entry:
                self.entries.setdefault(fact.wallet_id, {})[fact.seq] = fact
                self.requests[fact.wallet_id, fact.request_id] = fact
                if fact.kind in ENDINGS and fact.step is not None and fact.step.hold is not None:
                    self.endings.add((fact.wallet_id, fact.step.hold))
            elif type(fact) is RestrictionSet:
                self.restrictions.setdefault(fact.wallet_id, {})[fact.number] = fact
            elif type(fact) is RoundEntry:
                self.rounds.setdefault(fact.table, {})[fact.seq] = fact
            else:
                self.pairs.setdefault(fact.wallet_id, {})[fact.pair.number] = fact
        at_ms = facts[-1].at_ms if facts else 0
        for message, shard in messages:
            self.outbox[message.id] = Waiting(message, shard, at_ms)
        self.committed(backend, facts, messages)

    def delete_messages(self, ids: Sequence[UUID]) -> None:
        """Remove rows of the outbox; those that are gone already do not matter."""
        there = [message_id for message_id in ids if self.outbox.pop(message_id, None)]
        self.deleted(there)

    def put_snapshot(self, wallet_id: int, seq: int, state: bytes) -> None:
        """Store a snapshot unless a newer one is there."""
        before = self.snapshots.get(wallet_id)
        if before is None or before[0] < seq:
            self.snapshots[wallet_id] = (seq, state)

    def _check(self, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        new: set[tuple[Any, ...]] = set()
        # Type by type, in the order in which each first appears: a type is a table, copied whole.
        for type_ in dict.fromkeys(map(type, facts)):
            for fact in facts:
                if type(fact) is type_:
                    self._check_fact(fact, new)
        for message, _shard in messages:
            _unique(message.id in self.outbox, ("outbox", message.id), new, None)

    def _check_fact(self, fact: Any, new: set[tuple[Any, ...]]) -> None:
        if isinstance(fact, Entry):
            self._check_entry(fact, new)
        elif isinstance(fact, RestrictionSet):
            self._check_restriction(fact, new)
        elif isinstance(fact, RoundEntry):
            self._check_round(fact, new)
        else:
            self._check_pair(fact, new)

    def _check_entry(self, entry: Entry, new: set[tuple[Any, ...]]) -> None:
        wallet_id, seq = entry.wallet_id, entry.seq
        numbers = (wallet_id, seq, entry.available_delta, entry.held_delta, entry.at_ms)
        if any(number not in _BIGINT for number in numbers):
            raise Refused(None, "22003 a number is out of range")
        holds = (
            wallet_id > 0
            and seq > 0
            and 0 <= entry.available_after <= MAX_MINOR
            and 0 <= entry.held_after <= MAX_MINOR
            and (entry.kind == BET) == (entry.bet is not None)
            and (entry.kind in STEPS) == (entry.step is not None)
            and (entry.rain is None or entry.kind == RAIN_SENT)
        )
        if not holds:
            raise Refused(wallet_id, f"23514 a check refuses {entry}")
        taken = seq in self.entries.get(wallet_id, {})
        _unique(taken, ("seq", wallet_id, seq), new, wallet_id)
        taken = (wallet_id, entry.request_id) in self.requests
        _unique(taken, ("request", wallet_id, entry.request_id), new, wallet_id)
        if entry.kind in ENDINGS and entry.step is not None:
            taken = (wallet_id, entry.step.hold) in self.endings
            _unique(taken, ("ending", wallet_id, entry.step.hold), new, wallet_id)

    def _check_restriction(self, made: RestrictionSet, new: set[tuple[Any, ...]]) -> None:
        wallet_id, number = made.wallet_id, made.number
        limits = made.kind in LIMITS
        holds = (
            number > 0
            and made.after_seq >= 0
            and (limits or made.kind in BREAKS)
            and (made.period is not None) == (made.currency is not None) == limits
            and (made.amount_minor is None or (limits and 0 <= made.amount_minor <= MAX_MINOR))
            and (made.until_ms is not None or made.kind != COOL_OFF)
            and (made.until_ms is None or not limits)
            and made.effective_at_ms >= made.at_ms
        )
        if not holds:
            raise Refused(wallet_id, f"23514 a check refuses {made}")
        taken = number in self.restrictions.get(wallet_id, {})
        _unique(taken, ("restriction", wallet_id, number), new, wallet_id)

    def _check_round(self, made: RoundEntry, new: set[tuple[Any, ...]]) -> None:
        table, seq, number = made.table, made.seq, made.round
        filled = {name for name in _OF_ROUND if getattr(made, name) is not None}
        needed, allowed = _FILLED[made.kind]
        if min(table, seq, number) <= 0 or not needed <= filled <= needed | allowed:
            raise Refused(table, f"23514 a check refuses {made}", CRASH)
        rows = self.rounds.get(table, {})
        _unique(seq in rows, ("round", table, seq), new, table, CRASH)
        for once in ({crash.OPENED}, {crash.CRASHED, crash.VOIDED}):
            if made.kind in once:
                taken = any(row.round == number and row.kind in once for row in rows.values())
                _unique(taken, (*sorted(once), table, number), new, table, CRASH)

    def _check_pair(self, issued: SeedPairIssued, new: set[tuple[Any, ...]]) -> None:
        wallet_id, number = issued.wallet_id, issued.pair.number
        if number <= 0 or issued.pair.server_number <= 0:
            raise Refused(wallet_id, f"23514 a check refuses {issued}")
        taken = number in self.pairs.get(wallet_id, {})
        _unique(taken, ("pair", wallet_id, number), new, wallet_id)


def _unique(
    taken: bool,
    key: tuple[Any, ...],
    new: set[tuple[Any, ...]],
    named: int | None,
    kind: str = WALLET,
) -> None:
    if taken or key in new:
        raise Refused(named, f"23505 {key} exists already", kind)
    new.add(key)
