"""Reading actors from storage: many in one query, and single rows for repeated request ids."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from actors.runtime.actor import Actor
from actors.runtime.ports import NOT_YET, Store, Stored
from protocol.errors import OVERLOADED, STORAGE_UNAVAILABLE, Failure

if TYPE_CHECKING:
    from actors.runtime.node import Lookup

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Actors read at once: enough to share a query's cost among the clients of a reconnect storm, few
# enough that a batch of wallets with a thousand rows each takes a small part of the time-out.
BATCH: Final = 32
# Facts that are made of rows and applied in one turn of the loop: about a millisecond. More, of one
# actor or of many, go on in the next, so that bets are answered meanwhile.
FOLDED_TOGETHER: Final = 200
# A snapshot counts as so many: that of a wallet with a thousand request ids takes a fifth of a
# millisecond.
RESTORED_AS: Final = 50
# Rows read at once for repeated request ids. More: `overloaded`, the client tries again.
MAX_LOOKUPS: Final = 256
# The part of the time-out that is kept for the read itself. Who has waited so long behind others
# that less is left is refused unread: else, where more come than can be read, every read would
# begin too late.
READ_SHARE: Final = 1 / 3

NOTHING: Final = Stored(None, 0, ())


class _Cold(NamedTuple):
    """An actor that waits to be read, and until when its callers have patience."""

    actor: Actor
    deadline_s: float


class Hydration:
    """Actors that wait for their rows. The number of live actors bounds the queue.

    Every one is read, or given up as unreadable, within the time-out: the wait behind others
    counts, and the store's clean-up after a read that was given up does not.
    """

    def __init__(
        self,
        store: Store,
        timeout_s: float,
        hydrated: Callable[[Actor], None],
        unreadable: Callable[[Actor], None],
    ) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._hydrated = hydrated
        self._unreadable = unreadable
        self._cold: deque[_Cold] = deque()
        self._reading: list[_Cold] = []
        self._batch = BATCH
        self._folded = 0
        self._reader: asyncio.Task[None] | None = None
        self._lookups: dict[Lookup, asyncio.Task[None]] = {}
        # Reads under way, and those given up that still clean up. The store's connections bound
        # the latter: a read without one ends at once.
        self._reads: set[asyncio.Task[Any]] = set()

    @property
    def waiting(self) -> int:
        """How many actors wait, those being read included."""
        return len(self._cold) + len(self._reading)

    @property
    def lookups(self) -> int:
        """How many rows are being read for repeated request ids."""
        return len(self._lookups)

    def add(self, actor: Actor) -> None:
        """Read `actor` with the next batch."""
        loop = asyncio.get_running_loop()
        self._cold.append(_Cold(actor, loop.time() + self._timeout_s))
        if self._reader is None:
            self._reader = loop.create_task(self._read())

    def find(self, lookup: Lookup) -> None:
        """Read the row of a request id and hand it to the node."""
        if len(self._lookups) >= MAX_LOOKUPS:
            lookup.give_up(Failure(OVERLOADED, retry_after_ms=1_000))
            return
        self._lookups[lookup] = asyncio.get_running_loop().create_task(self._find(lookup))

    def close(self) -> None:
        """Stop reading, and refuse whoever still waits for a row."""
        for task in (self._reader, *self._lookups.values(), *self._reads):
            if task is not None:
                task.cancel()
        lookups, self._lookups = self._lookups, {}
        self._refuse([*self._reading, *self._cold])
        self._cold.clear()
        for lookup in lookups:
            lookup.give_up(Failure(STORAGE_UNAVAILABLE))

    async def _read(self) -> None:
        try:
            while True:
                self._refuse(self._overdue())
                if not self._cold:
                    return
                self._reading = self._next_batch()
                if self._reading:
                    await self._read_batch(self._reading)
        finally:
            self._reader = None
            self._reading = []

    def _overdue(self) -> list[_Cold]:
        """Take those out that have too little time left for a read."""
        latest_s = asyncio.get_running_loop().time() + self._timeout_s * READ_SHARE
        overdue = []
        while self._cold and self._cold[0].deadline_s < latest_s:
            overdue.append(self._cold.popleft())
        return overdue

    def _next_batch(self) -> list[_Cold]:
        batch = [self._cold.popleft()]
        kind = batch[0].actor.kind
        while self._cold and len(batch) < self._batch and self._cold[0].actor.kind is kind:
            batch.append(self._cold.popleft())
        # Gone: its lane was lost while it waited. Its heir may be in the same batch, under its key.
        return [cold for cold in batch if not cold.actor.gone]

    async def _read_batch(self, batch: list[_Cold]) -> None:
        kind = batch[0].actor.kind
        # The first has waited longest, and nobody is to wait longer than that.
        left_s = batch[0].deadline_s - asyncio.get_running_loop().time()
        try:
            read = self._store.hydrate(kind, [cold.actor.key for cold in batch])
            stored = await self._within(left_s, read)
        except Exception as error:  # noqa: BLE001 - whatever the store raises, they are unreadable
            log.warning("%d actors could not be read: %r", len(batch), error)
            # The same many would take as long when their clients try again.
            self._batch = max(1, len(batch) // 2)
            self._refuse(batch)
            return
        self._batch = min(BATCH, self._batch * 2)
        for cold in batch:
            # Taken out, so that a batch's rows are not all freed in one turn.
            found = stored.pop(cold.actor.key, NOTHING)
            if found is NOT_YET:
                self._refuse([cold])
            elif not cold.actor.gone:
                await self._fold(cold, found)

    def _refuse(self, batch: list[_Cold]) -> None:
        for actor, _deadline_s in batch:
            if not actor.gone:
                self._unreadable(actor)

    async def _fold(self, cold: _Cold, stored: Stored) -> None:
        actor, kind = cold.actor, cold.actor.kind
        try:
            state = kind.restore(actor.key, stored.snapshot)
            await self._pause(RESTORED_AS)
            for fact in stored.facts:
                kind.apply(state, fact)
                await self._pause(1)
            kind.read_back(state)
        except Exception:
            log.exception("%s %d does not fit its own rows", kind.name, actor.key)
            self._refuse([cold])
            return
        # Gone: its lane was lost meanwhile, so what was read may be older than what stands.
        if actor.gone:
            return
        actor.state = state
        actor.snapshot_version = stored.snapshot_version
        self._hydrated(actor)

    async def _pause(self, folded: int) -> None:
        """Count what was folded, and let others have their turn when it is much."""
        self._folded += folded
        if self._folded >= FOLDED_TOGETHER:
            self._folded = 0
            await asyncio.sleep(0)

    async def _find(self, lookup: Lookup) -> None:
        actor = lookup.actor
        try:
            read = self._store.find(actor.kind, actor.key, lookup.request_id)
            fact = await self._within(self._timeout_s, read)
        except Exception as error:  # noqa: BLE001 - whatever the store raises, it is temporary
            log.warning("a request id could not be looked up: %r", error)
            del self._lookups[lookup]
            lookup.give_up(Failure(STORAGE_UNAVAILABLE))
            return
        del self._lookups[lookup]
        lookup.found(fact)

    async def _within(self, limit_s: float, read: Coroutine[Any, Any, Result]) -> Result:
        """What `read` returns. Raises TimeoutError at the limit, whatever `read` does about it."""
        task = asyncio.get_running_loop().create_task(read)
        self._reads.add(task)
        task.add_done_callback(self._ended)
        done, _late = await asyncio.wait({task}, timeout=limit_s)
        if not done:
            task.cancel()
            raise TimeoutError(f"no rows within {limit_s:.1f} s")
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._reads.discard(task)
        if not task.cancelled():
            task.exception()  # looked at here, as nobody waits for a read that was given up
