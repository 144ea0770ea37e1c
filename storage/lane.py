"""Group commit: all that was decided while the last transaction was written goes into the next.

A lane is one ordered way into PostgreSQL with its own connection, which also holds the advisory
locks of the lane's shards: losing the right to write and losing the ability to write are one event.
A process that is alone holds all shards or none. In a cluster they move: a lane then takes locks,
and frees them, between two batches.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from actors.decision import Decision, Message
from actors.runtime.ports import Lane as LanePort
from actors.runtime.ports import Unreachable, Write

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Decisions that wait for a commit. One turn of the loop may bring thousands after a pause, and five
# batches take half a second: what waits longer is better asked again. Above it commands are
# refused as `overloaded`, which costs less than deciding them.
MAX_QUEUE: Final = 10_000
# Rows in one transaction. Larger ones gain nothing and delay the first answer in them.
MAX_BATCH: Final = 2_000
# A commit costs as much as dozens of its rows, whatever it holds (decision 0008). While bets come
# densely, a lane's commits begin at least this far apart, so that more rows share that. A longer
# pace saves more, and is felt.
PACE_S: Final = 0.002
# Writes in the last batch that count as dense. A quiet lane has fewer, and holds nobody back.
DENSE: Final = 4
# A queue that is this long when a batch is due is not held back: it is batch enough.
ENOUGH: Final = 64
# Rounds of removing an offending actor and writing the rest. An attacker would need that many
# accounts in one batch; above it the whole batch is refused.
MAX_REFUSALS: Final = 8
# Looks at a batch before it is given up as lost, spread over the commit's time-out.
LOOKS: Final = 10
# Claims and releases that wait for a lane. Whoever moves shards asks for one thing after the other;
# more than this is a fault of theirs, and refused as if the lane had no connection.
MAX_ERRANDS: Final = 16
# Tries of a batch that failed for a passing reason, and the pause before each, in seconds.
RETRY_PAUSES_S: Final = (0.005, 0.02, 0.08)
# Pauses between tries to connect or to win the locks, in seconds; the last one repeats.
CONNECT_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5)
# An owner whose backend lingers sees its own locks for a moment; a rival keeps them.
OUSTED_AFTER_S: Final = 3.0


class Refused(Exception):  # noqa: N818 - named for what storage did
    """A constraint refused the batch. `key` and `kind` name the actor of the row, if known."""

    def __init__(self, key: int | None, reason: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.key = key
        self.kind = kind


class Transient(Exception):  # noqa: N818 - named for what it is
    """The batch was not written, the connection lives, and trying again may help."""


class NotOurs(Exception):  # noqa: N818 - not an error: somebody else owns the shards
    """Another process holds some of the shards, or they cannot be held on this connection."""


class Lost(Exception):  # noqa: N818 - named for what happened
    """The connection is gone: whether the batch was committed is unknown."""


Posted = tuple[Message, int]
"""A message and the shard of its sender."""


class Writer(Protocol):
    """One connection that holds the locks of shards and writes batches: one thing at a time."""

    async def write(self, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        """Commit all of it in one transaction. Raises Refused, Transient or Lost."""

    async def claim(self, shards: Collection[int]) -> set[int]:
        """Lock those that nobody else has, and return those it holds now. None: a sign of life.

        Raises Lost; or NotOurs, if locks are not held by this connection.
        """

    async def release(self, shards: Collection[int]) -> None:
        """Unlock these; those it does not hold do not matter. Raises Lost."""

    def lost(self) -> Awaitable[None]:
        """Completes when the connection ends by itself."""

    async def close(self) -> None:
        """Give the shards back in an orderly way."""

    def terminate(self) -> None:
        """End the connection at once."""


class Listener(Protocol):
    """Who is told what became of the writes: the node."""

    def committed(self, writes: Sequence[Write]) -> None:
        """They are durable."""

    def refused(self, writes: Sequence[Write]) -> None:
        """None of them is durable, nor will be."""

    def lost(self, lane: LanePort, writes: Sequence[Write]) -> None:
        """Their outcome is unknown, and the lane's shards are not ours at the moment."""


Connect = Callable[[int, Sequence[int]], Awaitable[Writer]]
"""Opens a lane's connection and wins the locks of these shards; raises until both are done."""


class _Errand:
    """A claim or a release that a lane does between two batches."""

    __slots__ = ("done", "releases", "shards")

    def __init__(self, shards: Collection[int], *, releases: bool) -> None:
        self.shards = frozenset(shards)
        self.releases = releases
        self.done: asyncio.Future[set[int]] = asyncio.get_running_loop().create_future()


class Lane:
    """A queue of writes and the one connection that commits them, batch by batch.

    Where shards are `moving`, the connection wins none of them by itself: `claim` does.
    """

    def __init__(
        self,
        number: int,
        shards: Sequence[int],
        connect: Connect,
        listener: Listener | None,
        commit_timeout_s: float,
        observe: Callable[[int, float], None],
        *,
        moving: bool = False,
    ) -> None:
        self.number = number
        self.shards = shards
        self.moving = moving
        self.open = False
        self.held: set[int] = set()
        """The shards that are ours: their locks are held, and they have not been given up."""
        self._connect = connect
        if listener is not None:
            self._listener = listener
        self._commit_timeout_s = commit_timeout_s
        self._observe = observe
        self._queue: deque[Write] = deque()
        self._batch: Sequence[Write] = ()
        self._errands: deque[_Errand] = deque()
        # When the last batch was begun, in the loop's time, and how many writes it had.
        self._last_began_s = 0.0
        self._last_size = 0
        self._wake: asyncio.Future[None] | None = None
        self._writing: asyncio.Timeout | None = None
        # The lane that has to be ours before this one may be won.
        self._leader: Lane | None = None
        # Since when another process has had our shards, in the loop's time.
        self._rival_since_s: float | None = None
        self._opened = asyncio.Event()
        self._closing = False

    def bind(self, listener: Listener) -> None:
        """Say who is told, where that was not known when the lane was made."""
        self._listener = listener

    @property
    def full(self) -> bool:
        """Whether the queue has reached its bound."""
        return len(self._queue) >= MAX_QUEUE

    @property
    def depth(self) -> int:
        """How many writes wait, those being written included."""
        return len(self._queue) + len(self._batch)

    def append(self, write: Write) -> None:
        """Queue `write` for the next commit. The caller has looked at `open` and `full`."""
        self._queue.append(write)
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def give_up(self, shards: Collection[int]) -> None:
        """They are ours no more from here on, though their locks are still held."""
        self.held.difference_update(shards)

    async def claim(self, shards: Collection[int]) -> set[int]:
        """Try to lock these of the lane's shards: those won are held. None: a sign of life.

        Raises Unreachable without a connection, or where it is lost meanwhile. What was asked is
        done even if nobody waits for it any more.
        """
        return await self._ask(_Errand(shards, releases=False))

    async def release(self, shards: Collection[int]) -> None:
        """Free the locks of shards that were given up, once what is queued for them is committed.

        Raises Unreachable where the connection is lost, which frees them too.
        """
        await self._ask(_Errand(shards, releases=True))

    async def _ask(self, errand: _Errand) -> set[int]:
        if not self.open or self._closing:
            raise Unreachable(f"lane {self.number} has no connection")
        if len(self._errands) >= MAX_ERRANDS:
            raise Unreachable(f"too much is asked of lane {self.number} at once")
        self._errands.append(errand)
        self._rouse()
        return await errand.done

    async def wait_open(self) -> None:
        """Until the lane has its connection, and its shards unless they are moving."""
        await self._opened.wait()

    def follow(self, leader: "Lane") -> None:
        """Win this lane only while `leader` is ours.

        Two processes that lost all lanes at once then race for the first alone, and whoever wins it
        wins the others: they cannot end with a part each.
        """
        self._leader = leader

    @property
    def ousted(self) -> bool:
        """Whether another process has had our shards for longer than an accident takes."""
        since_s = self._rival_since_s
        now_s = asyncio.get_running_loop().time()
        return since_s is not None and now_s - since_s > OUSTED_AFTER_S

    async def connect(self) -> Writer:
        """Win the shards, if nobody has them. Raises NotOurs, or what connecting raises."""
        return await self._connect(self.number, () if self.moving else self.shards)

    async def run(self, writer: Writer | None = None) -> None:
        """Own the shards and write batches until closed; after a loss, connect and win them again.

        `writer` is one that owns them already.
        """
        while not self._closing:
            writer = writer or await self._acquire()
            if writer is None:
                return
            self._own()
            flushed = False
            try:
                await self._write_until_closed(writer)
                flushed = True
            except (Lost, NotOurs) as lost:
                log.warning("lane %d lost its connection: %s", self.number, lost)
            except Exception:
                # A fault of ours: nothing is known of the batch, so it is a loss like any other.
                log.exception("lane %d failed", self.number)
            finally:
                # Before the locks are free: nobody is answered from memory that another outdates.
                self._abandon()
            if flushed:
                await writer.close()
            else:
                writer.terminate()
            writer = None

    def _own(self) -> None:
        self._rival_since_s = None
        if not self.moving:
            self.held.update(self.shards)
        self.open = True
        self._opened.set()
        log.info("lane %d is connected and owns %d shards", self.number, len(self.held))

    def close(self) -> None:
        """Write what is queued, then end `run`. Nothing may be appended afterwards."""
        self._closing = True
        self._rouse()

    def _abandon(self) -> None:
        self.held.clear()
        if not self.open:
            return  # when its time was up
        self.open = False
        self._opened.clear()
        unsettled = [*self._batch, *self._queue]
        self._batch = ()
        self._queue.clear()
        self._listener.lost(self, unsettled)
        for errand in self._errands:
            if not errand.done.done():
                errand.done.set_exception(Unreachable(f"lane {self.number} has no connection"))
        self._errands.clear()

    async def _acquire(self) -> Writer | None:
        tries = 0
        while not self._closing:
            if self._leader is not None and not self._leader.open:
                await asyncio.sleep(CONNECT_PAUSES_S[0])
                continue
            try:
                return await self.connect()
            except Exception as error:  # noqa: BLE001 - whatever stands in the way, try again
                self._note_rival(error)
                if tries % 20 == 0:
                    log.warning("lane %d waits for its shards: %s", self.number, error)
                pause_s = CONNECT_PAUSES_S[min(tries, len(CONNECT_PAUSES_S) - 1)]
                tries += 1
                await asyncio.sleep(pause_s)
        return None

    def _note_rival(self, error: Exception) -> None:
        if not isinstance(error, NotOurs):
            self._rival_since_s = None
        elif self._rival_since_s is None:
            self._rival_since_s = asyncio.get_running_loop().time()

    async def _write_until_closed(self, writer: Writer) -> None:
        lost = asyncio.ensure_future(writer.lost())
        lost.add_done_callback(lambda _lost: self._rouse())
        watch = asyncio.ensure_future(self._watch(writer))
        try:
            while True:
                if self._errands:
                    await self._run_errand(writer)
                if self._queue:
                    await self._gather()
                    await self._commit(writer)
                    batch, self._batch = self._batch, ()
                    self._listener.committed(batch)
                elif self._closing:
                    return
                elif lost.done():
                    raise Lost("the connection ended while nothing was written")
                elif not self._errands:
                    await self._sleep()
        finally:
            lost.cancel()
            watch.cancel()

    async def _run_errand(self, writer: Writer) -> None:
        """Do the first errand, unless it is a release that has to wait for writes in the queue.

        One after the other, so that no claim overtakes a release of the same shard.
        """
        errand = self._errands[0]
        shards, won = errand.shards, set[int]()
        if errand.releases:
            # Given up, so that nothing is queued for them any more. One that was claimed after it
            # had been given up is given up once more.
            self.held -= shards
            if any(write.actor.shard in shards for write in self._queue):
                return
            await self._in_time(writer.release(shards))
        else:
            won = await self._in_time(writer.claim(shards))
            self.held |= won
        self._errands.popleft()
        if not errand.done.done():
            errand.done.set_result(won)

    async def _gather(self) -> None:
        """Make the next batch of what is queued, after a moment where more is about to come."""
        loop, queue = asyncio.get_running_loop(), self._queue
        if self._last_size >= DENSE and len(queue) < ENOUGH:
            pause_s = self._last_began_s + PACE_S - loop.time()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
        self._batch = [queue.popleft() for _ in range(min(MAX_BATCH, len(queue)))]
        self._last_began_s, self._last_size = loop.time(), len(self._batch)

    async def _sleep(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake
        self._wake = None

    async def _watch(self, writer: Writer) -> None:
        """Give up a batch, or an errand, that storage does not do within the time-out.

        Time is counted in turns of this loop: while the loop itself is late, storage's answer may
        be waiting for it like everything else, and losing the lane would make a bad moment worse.
        """
        watched, looks = None, 0
        while True:
            await asyncio.sleep(self._commit_timeout_s / LOOKS)
            if self._writing is None or self._writing is not watched:
                watched, looks = self._writing, 0
                continue
            looks += 1
            if looks == LOOKS - 1:
                # Not a cancellation alone: after one, a transaction asks the server that does not
                # answer to roll back, and waits for that. What the lane has it loses beforehand.
                self._abandon()
                writer.terminate()
                self._writing.reschedule(asyncio.get_running_loop().time())

    async def _commit(self, writer: Writer) -> None:
        """Commit the batch, less what storage refuses. Raises Lost."""
        refusals = 0
        while True:
            facts, messages = _contents(self._batch)
            if not facts and not messages:
                return
            began = time.perf_counter()
            try:
                await self._in_time(self._try(writer, facts, messages))
            except Refused as refused:
                refusals += 1
                self._refuse(refused if refusals < MAX_REFUSALS else Refused(None, str(refused)))
            else:
                self._observe(len(facts), time.perf_counter() - began)
                return

    async def _in_time(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` on the connection returns. Raises Lost after the time-out."""
        try:
            async with asyncio.timeout(None) as self._writing:
                return await work
        except TimeoutError as late:
            raise Lost(f"not done within {self._commit_timeout_s} s") from late
        finally:
            self._writing = None

    async def _try(self, writer: Writer, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        """Write, and again after passing trouble."""
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                await writer.write(facts, messages)
            except Transient as transient:
                if pause_s is None:
                    raise Lost(f"tried {len(RETRY_PAUSES_S) + 1} times: {transient}") from transient
                log.warning("lane %d tries a batch again: %s", self.number, transient)
                await asyncio.sleep(pause_s)
            else:
                return

    def _refuse(self, refused: Refused) -> None:
        """Take the offending actor's writes, here and in the queue, out and give them back."""
        log.warning("lane %d was refused a row of %s: %s", self.number, refused.key, refused)
        batch = self._batch
        named = {id(write.actor) for write in batch if _is_named(write, refused)}
        # Request ids are what clients can send again. A table, which has none, is to lose its round
        # only by what it wrote itself: else many who repeat themselves together could end it.
        repeating = {id(write.actor) for write in batch if write.actor.kind.repeats}
        offenders = named or repeating or {id(write.actor) for write in batch}
        every = [*self._batch, *self._queue]
        self._batch = [write for write in self._batch if id(write.actor) not in offenders]
        self._queue = deque(write for write in self._queue if id(write.actor) not in offenders)
        self._listener.refused([write for write in every if id(write.actor) in offenders])


def _is_named(write: Write, refused: Refused) -> bool:
    actor = write.actor
    return actor.key == refused.key and refused.kind in (None, actor.kind.name)


def _contents(batch: Sequence[Write]) -> tuple[list[Any], list[Posted]]:
    facts: list[Any] = []
    messages: list[Posted] = []
    for write in batch:
        outcome = write.outcome
        if type(outcome) is Decision:
            facts.extend(outcome.facts)
            if outcome.messages:
                messages.extend((message, write.actor.shard) for message in outcome.messages)
    return facts, messages
