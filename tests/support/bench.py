"""A node on a bench: its lanes commit, its reads finish and its clock moves when a test says so."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from actors.decision import Announcement, Message
from actors.kind import Kind
from actors.runtime.node import Node
from actors.runtime.ports import Stored, Write
from actors.runtime.post import Post
from protocol.errors import Failure
from tests.support.counter import COUNTER, KIND, Added, described

HYDRATE_TIMEOUT_S = 2.0


class Answer:
    """A reply that a test looks at. `given` is every outcome it got, which should be one."""

    def __init__(self, journal: list[Any], name: Any, *, broken: bool = False) -> None:
        self.origin: object = self
        self.given: list[Any] = []
        self._journal = journal
        self._name = name
        self._broken = broken

    def resolve(self, value: Any) -> None:
        self._give(value)

    def reject(self, failure: Failure) -> None:
        self._give(failure)

    def _give(self, outcome: Any) -> None:
        self.given.append(described(outcome))
        self._journal.append(("answer", self._name, described(outcome)))
        if self._broken:
            raise ConnectionError("the caller is gone")


class BenchLane:
    """A lane whose writes wait until the test commits, refuses or loses them."""

    def __init__(self) -> None:
        self.open = True
        self.full = False
        self.writes: list[Write] = []

    def append(self, write: Write) -> None:
        self.writes.append(write)


class BenchStore:
    """Committed facts. While `gate` is clear, reads wait; while `broken`, they fail."""

    def __init__(self) -> None:
        self.facts: dict[int, list[Added]] = {}
        self.snapshots: dict[int, tuple[int, bytes]] = {}
        self.reads: list[list[int]] = []
        self.finds: list[UUID] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def hydrate(self, _kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        self.reads.append(list(keys))
        await self._wait()
        return {key: self._stored(key) for key in keys if key in self.facts}

    def _stored(self, key: int) -> Stored:
        version, snapshot = self.snapshots.get(key, (0, None))
        rows = self.facts[key]
        return Stored(snapshot, version, rows[version:])

    async def find(self, _kind: Kind, key: int, request_id: UUID) -> Added | None:
        self.finds.append(request_id)
        await self._wait()
        rows = self.facts.get(key, [])
        return next((fact for fact in rows if fact.request_id == request_id), None)

    async def _wait(self) -> None:
        await self.gate.wait()
        if self.broken:
            raise OSError("the database is gone")

    def put_snapshot(self, _kind: Kind, key: int, version: int, snapshot: bytes) -> None:
        self.snapshots[key] = (version, snapshot)


class BenchOutbox:
    """An outbox that a test fills by hand."""

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.forgotten: list[UUID] = []

    async def overdue(self, limit: int) -> Sequence[Message]:
        return self.waiting[:limit]

    def forget(self, message_id: UUID) -> None:
        self.forgotten.append(message_id)


class Bench:
    """A node of counters on two lanes: even keys on the first, odd keys on the second."""

    def __init__(
        self,
        max_live: int = 100,
        clock: Callable[[], int] | None = None,
        store: BenchStore | None = None,
    ) -> None:
        self.lanes = [BenchLane(), BenchLane()]
        self.store = store or BenchStore()
        self.outbox = BenchOutbox()
        self.post = Post(self.outbox)
        self.happened: list[Any] = []
        """Answers and pushes, in the order in which they were given."""
        self.now_ms = 1_000
        self.node = Node(
            [KIND],
            self,
            self.store,
            self.post,
            self,
            clock or (lambda: self.now_ms),
            lambda: "entropy",
            max_live=max_live,
            hydrate_timeout_s=HYDRATE_TIMEOUT_S,
        )

    def shard_of(self, _kind: str, key: int) -> int:
        return key % 2

    def lane_of(self, shard: int) -> BenchLane:
        return self.lanes[shard]

    def owns(self, shard: int) -> bool:
        return self.lanes[shard].open

    def publish(self, push: Announcement, origin: object | None) -> None:
        self.happened.append(("push", push.room, push.data, isinstance(origin, Answer)))

    def send(self, key: int, command: Any, *, broken: bool = False) -> Answer:
        """Send a command, and return what its answer will be written to."""
        answer = Answer(self.happened, command, broken=broken)
        self.node.send(COUNTER, key, command, answer)
        return answer

    async def ask(self, key: int, command: Any) -> Any:
        """Send a command, commit all there is, and return the answer."""
        answer = self.send(key, command)
        await quiet()
        self.commit()
        await quiet()
        (given,) = answer.given
        return given

    def commit(self, lane: int = 0) -> None:
        """Commit what waits in a lane."""
        writes, self.lanes[lane].writes = self.lanes[lane].writes, []
        for write in writes:
            for fact in getattr(write.outcome, "facts", ()):
                self.store.facts.setdefault(fact.key, []).append(fact)
        self.node.committed(writes)

    def refuse(self, key: int, lane: int = 0) -> None:
        """Refuse an actor's rows, as a journal does."""
        writes = self.lanes[lane].writes
        self.lanes[lane].writes = [write for write in writes if write.actor.key != key]
        self.node.refused([write for write in writes if write.actor.key == key])

    def lose(self, lane: int = 0) -> None:
        """Lose a lane's connection."""
        lost = self.lanes[lane]
        writes, lost.writes = lost.writes, []
        lost.open = False
        self.node.lost(lost, writes)


async def quiet() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)
