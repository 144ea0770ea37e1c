"""Pitboss with one SQL transaction a bet instead of its group commit: all else is the same.

Each lane commits one decision at a time, by a prepared INSERT on a connection of its own, and
PostgreSQL syncs together what all the connections commit at the same moment.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import asyncpg
import uvloop

from actors.runtime.ports import Lane as LanePort
from actors.runtime.ports import Write
from server.app import Pitboss, Storage
from server.serve import serve
from server.settings import load_settings
from storage.journal import Journal, shards_of
from storage.lane import MAX_QUEUE, Lane, Listener
from storage.outbox import PostgresOutbox
from storage.pool import Pools
from storage.rows import OUTBOX_COLUMNS, Row, Table, tables
from storage.writer import PostgresWriter

# Connections that commit side by side. Of 8, 16, 32 and 64, these and 64 settle the most bets a
# second on two cores, and about as many.
LANES: Final = 32


class PreparedWriter(PostgresWriter):
    """Writes rows by prepared INSERTs in place of COPY. It holds no locks: nobody else writes."""

    def __init__(self, connection: asyncpg.Connection, tables: Mapping[type, Table]) -> None:
        super().__init__(connection, tables)
        self._inserts: dict[str, Any] = {}

    async def prepare(self) -> None:
        """Prepare a statement for each table."""
        every = [(table.name, table.columns) for table in self._tables.values()]
        for name, columns in [*every, ("outbox", OUTBOX_COLUMNS)]:
            places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
            self._inserts[name] = await self._connection.prepare(
                f"insert into {name} ({', '.join(columns)}) values ({places})"  # noqa: S608 - our own names
            )

    async def _copy(self, table: str, _columns: tuple[str, ...], rows: list[Row]) -> None:
        if len(rows) == 1:
            await self._inserts[table].fetch(*rows[0])
        else:
            # All or none of them, as of a COPY.
            await self._inserts[table].executemany(rows)


class SingleLane(Lane):
    """A lane that lets one write after another into its batches; the others wait here.

    It stands between itself and the node: what becomes of a write lets the next one in.
    """

    def __init__(
        self,
        number: int,
        shards: Sequence[int],
        connect: Callable[[int, Sequence[int]], Awaitable[PreparedWriter]],
        commit_timeout_s: float,
    ) -> None:
        super().__init__(number, shards, connect, None, commit_timeout_s, _not_counted)
        self._node: Listener
        self._waiting: deque[Write] = deque()
        self._under_way = False

    def bind(self, listener: Listener) -> None:
        """Say who is told."""
        self._node = listener
        super().bind(self)

    @property
    def full(self) -> bool:
        """Whether as many wait as in any lane."""
        return len(self._waiting) >= MAX_QUEUE

    @property
    def depth(self) -> int:
        """How many writes wait, the one being written included."""
        return super().depth + len(self._waiting)

    def append(self, write: Write) -> None:
        """Queue a write for a transaction of its own."""
        self._waiting.append(write)
        if not self._under_way:
            self._next()

    def _next(self) -> None:
        self._under_way = bool(self._waiting)
        if self._waiting:
            super().append(self._waiting.popleft())

    def committed(self, writes: Sequence[Write]) -> None:
        """Tell the node, and let the next one in."""
        self._node.committed(writes)
        self._next()

    def refused(self, writes: Sequence[Write]) -> None:
        """Give the node all writes of the actor; the empty batch is committed next."""
        actors = {id(write.actor) for write in writes}
        theirs = [write for write in self._waiting if id(write.actor) in actors]
        self._waiting = deque(one for one in self._waiting if id(one.actor) not in actors)
        self._node.refused([*writes, *theirs])

    def lost(self, _lane: LanePort, writes: Sequence[Write]) -> None:
        """Give the node all there is."""
        every = [*writes, *self._waiting]
        self._waiting.clear()
        self._under_way = False
        self._node.lost(self, every)


def _not_counted(_rows: int, _seconds: float) -> None:
    """Every commit has one row here."""


class OneByOne(Pitboss):
    """A node whose journal has many lanes of single writes."""

    def _storage(self, dsn: str, pools: Pools, member: str) -> Storage:
        settings = self.settings
        lanes = [
            SingleLane(
                number,
                shards_of(number, LANES, settings.shards),
                partial(self._connect, dsn),
                settings.commit_timeout_seconds,
            )
            for number in range(LANES)
        ]
        journal = Journal(lanes, settings.shards)
        # It looks for messages where these lanes write.
        outbox = PostgresOutbox(pools.runtime, lambda: journal.owned)
        return replace(super()._storage(dsn, pools, member), journal=journal, outbox=outbox)

    async def _connect(self, dsn: str, _lane: int, _shards: Sequence[int]) -> PreparedWriter:
        connection = await asyncpg.connect(
            dsn, server_settings={"synchronous_commit": "on"}, command_timeout=None
        )
        writer = PreparedWriter(connection, tables(self.storage.vault))
        await writer.prepare()
        return writer


if __name__ == "__main__":
    raise SystemExit(uvloop.run(serve(load_settings(), OneByOne)))
