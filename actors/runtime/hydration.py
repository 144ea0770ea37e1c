"""Reading actors from storage: many in one query, and single rows for repeated request ids."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from actors.runtime.actor import Actor
from actors.runtime.ports import Store, Stored
from protocol.errors import OVERLOADED, STORAGE_UNAVAILABLE, Failure

if TYPE_CHECKING:
    from actors.runtime.node import Lookup

log = logging.getLogger(__name__)

# Actors read at once: enough to share a query's cost among the clients of a reconnect storm, few
# enough that the first of them does not wait long for the last.
BATCH: Final = 256
# Rows read at once for repeated request ids. More: `overloaded`, the client tries again.
MAX_LOOKUPS: Final = 256

NOTHING: Final = Stored(None, 0, (), ())


class Hydration:
    """Actors that wait for their rows. The number of live actors bounds the queue."""

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
        self._cold: deque[Actor] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._lookups: set[asyncio.Task[None]] = set()

    def add(self, actor: Actor) -> None:
        """Read `actor` with the next batch."""
        self._cold.append(actor)
        if self._reader is None:
            self._reader = _start(self._read())

    def find(self, lookup: Lookup) -> None:
        """Read the row of a request id and hand it to the node."""
        if len(self._lookups) >= MAX_LOOKUPS:
            lookup.give_up(Failure(OVERLOADED, retry_after_ms=1_000))
            return
        task = _start(self._find(lookup))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    def close(self) -> None:
        """Stop reading. What waits is never answered, so answer or reject it before."""
        for task in (self._reader, *self._lookups):
            if task is not None:
                task.cancel()

    async def _read(self) -> None:
        try:
            while self._cold:
                batch = [self._cold.popleft() for _ in range(min(BATCH, len(self._cold)))]
                for _name, same in groupby(batch, key=lambda actor: actor.kind.name):
                    await self._read_batch(list(same))
        finally:
            self._reader = None

    async def _read_batch(self, actors: list[Actor]) -> None:
        kind = actors[0].kind
        try:
            async with asyncio.timeout(self._timeout_s):
                stored = await self._store.hydrate(kind, [actor.key for actor in actors])
        except Exception as error:  # noqa: BLE001 - whatever the store raises, they are unreadable
            log.warning("%d actors could not be read: %r", len(actors), error)
            for actor in actors:
                if not actor.gone:
                    self._unreadable(actor)
            return
        for actor in actors:
            # Gone: its lane was lost meanwhile, so what was read may be older than what stands.
            if not actor.gone:
                self._fold(actor, stored.get(actor.key, NOTHING))

    def _fold(self, actor: Actor, stored: Stored) -> None:
        kind = actor.kind
        try:
            state = kind.restore(actor.key, stored.snapshot, stored.remembered)
            for fact in stored.facts:
                kind.apply(state, fact)
        except Exception:
            log.exception("%s %d does not fit its own rows", kind.name, actor.key)
            self._unreadable(actor)
            return
        actor.state = state
        actor.snapshot_version = stored.snapshot_version
        self._hydrated(actor)

    async def _find(self, lookup: Lookup) -> None:
        actor = lookup.actor
        try:
            async with asyncio.timeout(self._timeout_s):
                fact = await self._store.find(actor.kind, actor.key, lookup.request_id)
        except Exception as error:  # noqa: BLE001 - whatever the store raises, it is temporary
            log.warning("a request id could not be looked up: %r", error)
            lookup.give_up(Failure(STORAGE_UNAVAILABLE))
            return
        lookup.found(fact)


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)
