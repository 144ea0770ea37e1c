"""The in-memory twins of what storage does for the runtime, with weather on the way."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from actors.crash.chain import Chain
from actors.crash.facts import CRASHED, JOINED, OPENED, RETURNED, VOIDED, ChainsRead
from actors.crash.state import MAX_PAST, MAX_TAKEN, Begun, Past
from actors.decision import Message
from actors.kind import Kind
from actors.runtime.ports import Holder, Stored, Unreachable
from actors.wallet.facts import Entry, SeedPairIssued
from storage.lane import Lost, NotOurs, Posted, Transient
from storage.outbox import OVERDUE_MS
from tests.support.memory_database import Backend, MemoryDatabase

Result = TypeVar("Result")


class Fault(Enum):
    """What can go wrong with one write, or with taking and freeing locks."""

    NONE = "none"
    TRANSIENT = "transient"
    """The server undoes it and says so; the connection lives."""
    UNSENT = "unsent"
    """The connection breaks before the server has the batch."""
    UNANSWERED = "unanswered"
    """The connection breaks behind the batch: the server may commit it, even much later."""
    STALLED = "stalled"
    """The server commits it, and its answer never comes."""


class Fate(NamedTuple):
    """What becomes of one request, and how long its way there and back takes."""

    fault: Fault = Fault.NONE
    request_s: float = 0.0
    answer_s: float = 0.0


class Weather:
    """What happens between a process and its database. This one is calm: nothing does."""

    def write(self) -> Fate:
        """The fate of a write."""
        return Fate()

    def lock(self) -> Fate:
        """The fate of a statement that takes or frees locks. They travel as writes do."""
        return self.write()

    def read(self) -> float:
        """How long a statement of a reader takes, in seconds. Raises OSError where it fails."""
        return 0.0

    def connect(self) -> float:
        """How long connecting takes, in seconds. Raises OSError where it fails."""
        return 0.0

    def linger_s(self) -> float:
        """How long a backend outlives the client that went away without a word."""
        return 0.0

    def notice_s(self) -> float:
        """How long a client does not know that its backend has ended."""
        return 0.0

    def drops_snapshot(self) -> bool:
        """Whether a snapshot is lost on its way."""
        return False


class MemoryWriter:
    """A lane's connection: the client's side of a backend."""

    def __init__(
        self, database: MemoryDatabase, backend: Backend, weather: Weather, locked: set[int]
    ) -> None:
        self.backend = backend
        self._database = database
        self._weather = weather
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._answer: asyncio.Future[Any] | None = None
        self._locked = locked
        backend.ended = self._backend_ended

    def lost(self) -> Awaitable[None]:
        """Completes when the connection ends by itself."""
        return asyncio.shield(self._ended)

    async def write(self, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        """Commit all of it in one transaction. Raises Refused, Transient or Lost."""
        self._check_open()
        rows, posted = list(facts), list(messages)
        await self._ask(
            self._weather.write(), lambda: self._database.commit(self.backend, rows, posted)
        )

    async def claim(self, shards: Collection[int]) -> set[int]:
        """Lock those that nobody else has, and return those that are locked now. Raises Lost."""
        claimed = set(shards)
        new = claimed - self._locked
        self._locked |= await self._change(lambda: self._database.try_lock(self.backend, new))
        return claimed & self._locked

    async def release(self, shards: Collection[int]) -> None:
        """Unlock those of these that are locked. Raises Lost."""
        ours = self._locked.intersection(shards)
        if ours:
            await self._change(lambda: self._database.unlock(self.backend, ours))
            self._locked -= ours

    async def _change(self, work: Callable[[], Result]) -> Result:
        """Take or free locks. Whatever goes wrong is a loss, as nobody knows them then."""
        self._check_open()
        try:
            return await self._ask(self._weather.lock(), work)
        except Transient as transient:
            raise Lost(str(transient)) from transient

    def _check_open(self) -> None:
        if self._ended.done():
            raise Lost("the connection is closed")

    async def _ask(self, fate: Fate, work: Callable[[], Result]) -> Result:
        """Have the server do something, as fate has it."""
        if fate.fault is Fault.UNSENT:
            self.sever()
            raise Lost("the connection broke before anything was sent")
        self._answer = answer = self._loop.create_future()
        self._loop.call_later(fate.request_s, self._serve, fate, work, answer)
        if fate.fault is Fault.UNANSWERED:
            self.sever()
        result: Result = await answer
        return result

    def _serve(self, fate: Fate, work: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        result, error = None, None
        try:
            if fate.fault is Fault.TRANSIENT and self.backend.alive:
                raise Transient("40001 could not serialize access")
            result = work()
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is the answer
            error = raised
        if fate.fault is not Fault.STALLED:
            self._loop.call_later(fate.answer_s, _settle, answer, error, result)

    def sever(self) -> None:
        """Break the connection as the network does: the backend lingers, locks and all."""
        if self._ended.done():
            return
        self._ended.set_result(None)
        if self._answer is not None:
            _settle(self._answer, Lost("the connection broke"))
        self._loop.call_later(self._weather.linger_s(), self._database.end, self.backend)

    def _backend_ended(self) -> None:
        self._loop.call_later(self._weather.notice_s(), self.sever)

    async def close(self) -> None:
        """Give the shards back in an orderly way."""
        await asyncio.sleep(self._weather.notice_s())
        if not self._ended.done():
            self._ended.set_result(None)
        self._database.end(self.backend)

    def terminate(self) -> None:
        """End the connection at once."""
        self.sever()


def _settle(answer: asyncio.Future[Any], error: Exception | None, result: Any = None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


class MemoryConnector:
    """Opens lanes' connections. Remembers each lane's last backend, to end it if it lingers."""

    def __init__(self, database: MemoryDatabase, weather: Weather, member: str = "") -> None:
        self._database = database
        self._weather = weather
        self._member = member
        self._backends: dict[int, Backend] = {}
        self.writers: dict[int, MemoryWriter] = {}

    async def __call__(self, lane: int, shards: Sequence[int]) -> MemoryWriter:
        """A writer that owns `shards`. Raises NotOurs, or what connecting raises."""
        await asyncio.sleep(self._weather.connect())
        backend = self._database.connect(self._member)
        before = self._backends.get(lane)
        if before is not None:
            self._database.end(before)
        won = self._database.try_lock(backend, shards)
        if len(won) != len(shards):
            self._database.end(backend)
            raise NotOurs(f"another process owns {len(shards) - len(won)} of {len(shards)} shards")
        self._backends[lane] = backend
        writer = MemoryWriter(self._database, backend, self._weather, won)
        self.writers[lane] = writer
        return writer


class MemoryLocks:
    """The locks of shards, seen from outside."""

    def __init__(self, database: MemoryDatabase, weather: Weather) -> None:
        self._database = database
        self._weather = weather

    async def holders(self, shards: Collection[int]) -> dict[int, Holder]:
        """Who holds the locks of these shards; free ones are absent. Raises Unreachable."""
        await self._travel()
        locks = self._database.locks
        found = ((shard, locks[shard]) for shard in shards if shard in locks)
        return {shard: Holder(one.member, one.number, one.number) for shard, one in found}

    async def end(self, holder: Holder) -> None:
        """End a holder's backend, unless it has ended already. Raises Unreachable."""
        await self._travel()
        backend = self._database.backend(holder.pid)
        if backend is not None and holder.started == backend.number:
            self._database.end(backend)

    async def _travel(self) -> None:
        try:
            await asyncio.sleep(self._weather.read())
        except OSError as error:
            raise Unreachable(str(error)) from error


class MemoryStore:
    """Reads of committed wallets, statement by statement, and snapshots written behind."""

    def __init__(self, database: MemoryDatabase, weather: Weather) -> None:
        self._database = database
        self._weather = weather
        self._snapshots: dict[int, tuple[int, bytes]] = {}

    async def hydrate(self, _kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        """All wallets of `keys`, each as its snapshot and the facts after it, in order."""
        await asyncio.sleep(self._weather.read())
        snapshots = {key: self._database.snapshots.get(key) for key in keys}
        # The statements are not one transaction: what is committed in between is seen by the next.
        await asyncio.sleep(self._weather.read())
        return {key: self.stored(key, snapshot) for key, snapshot in snapshots.items()}

    def stored(self, wallet_id: int, snapshot: tuple[int, bytes] | None) -> Stored:
        """What the rows say now, the snapshot being given."""
        seq, state = snapshot or (0, None)
        facts = self._with_newest_pair(wallet_id, self._after(wallet_id, seq))
        restrictions = self._database.restrictions.get(wallet_id, {})
        later = (restrictions[number] for number in sorted(restrictions))
        facts += (restriction for restriction in later if restriction.after_seq >= seq)
        return Stored(state, seq, facts)

    def _after(self, wallet_id: int, seq: int) -> list[Entry]:
        rows = self._database.entries.get(wallet_id, {})
        return [rows[number] for number in sorted(rows) if number > seq]

    def _with_newest_pair(self, wallet_id: int, entries: list[Entry]) -> list[Any]:
        facts: list[Entry | SeedPairIssued] = list(entries)
        pairs = self._database.pairs.get(wallet_id)
        if pairs:
            newest = pairs[max(pairs)]
            at = bisect_right([entry.seq for entry in entries], newest.after_seq)
            facts.insert(at, newest)
        return facts

    async def find(self, _kind: Kind, key: int, request_id: UUID) -> Entry | None:
        """The committed entry with this request id."""
        await asyncio.sleep(self._weather.read())
        return self._database.requests.get((key, request_id))

    def put_snapshot(self, _kind: Kind, key: int, version: int, snapshot: bytes) -> None:
        """Remember the snapshot for the next flush."""
        if not self._weather.drops_snapshot():
            self._snapshots[key] = (version, snapshot)

    async def flush_snapshots(self) -> None:
        """Write those that wait now. A failure drops them."""
        taken, self._snapshots = self._snapshots, {}
        try:
            await asyncio.sleep(self._weather.read())
        except OSError:
            return
        for key, (version, snapshot) in taken.items():
            self._database.put_snapshot(key, version, snapshot)


class MemoryTables:
    """Reads of committed crash tables, from where the newest round begins."""

    def __init__(
        self,
        database: MemoryDatabase,
        weather: Weather,
        chains: Callable[[int], list[Chain]],
    ) -> None:
        self._database = database
        self._weather = weather
        self._chains = chains

    async def hydrate(self, _kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        """All tables of `keys`."""
        await asyncio.sleep(self._weather.read())
        return {key: self.stored(key) for key in keys}

    def stored(self, table: int) -> Stored:
        """What the rows of a table say now."""
        all_rows = self._database.rounds.get(table, {})
        rows = [all_rows[seq] for seq in sorted(all_rows)]
        first = next((row for row in reversed(rows) if row.kind == OPENED), None)
        seq, number = (first.seq, first.round) if first else (1, 1)
        before = [row for row in rows if row.seq < seq]
        past = [
            Past(row.round, row.multiplier or 0, row.hash or "", row.kind == VOIDED)
            for row in before
            if row.kind in (CRASHED, VOIDED)
        ]
        taken = [
            (row.wallet_id or 0, row.hold or 0, row.reason)
            for row in before
            if row.kind in (JOINED, RETURNED)
        ]
        begun = Begun(seq - 1, number - 1, past[: -MAX_PAST - 1 : -1], taken[-MAX_TAKEN:])
        after = [row for row in rows if row.seq >= seq]
        facts = [ChainsRead(self._chains(table)), *after]
        return Stored(msgspec.msgpack.encode(begun), seq - 1, facts)

    async def find(self, _kind: Kind, _key: int, _request_id: UUID) -> None:
        """No command of a table carries a request id."""

    def put_snapshot(self, _kind: Kind, _key: int, _version: int, _snapshot: bytes) -> None:
        """A table is read back from its newest round, so that it needs none."""


class MemoryOutbox:
    """The outbox of the shards that a process owns: `owned` tells which, at any time."""

    def __init__(
        self,
        database: MemoryDatabase,
        owned: Callable[[], Collection[int]],
        weather: Weather,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._owned = owned
        self._weather = weather
        self._clock = clock
        self._delivered: dict[UUID, None] = {}

    async def overdue(self, limit: int) -> Sequence[Message]:
        """The oldest messages that have waited for OVERDUE_MS, except those being deleted."""
        await asyncio.sleep(self._weather.read())
        before_ms, shards = self._clock() - OVERDUE_MS, frozenset(self._owned())
        late = [
            waiting
            for waiting in self._database.outbox.values()
            if waiting.shard in shards and waiting.at_ms <= before_ms
        ]
        late.sort(key=lambda waiting: waiting.at_ms)
        return [w.message for w in late[:limit] if w.message.id not in self._delivered]

    def forget(self, message_id: UUID) -> None:
        """Delete the message with the next flush."""
        self._delivered[message_id] = None

    async def flush(self) -> None:
        """Delete those that wait now. After a failure they are tried again."""
        taken = list(self._delivered)
        try:
            await asyncio.sleep(self._weather.read())
        except OSError:
            return
        self._database.delete_messages(taken)
        for message_id in taken:
            self._delivered.pop(message_id, None)
