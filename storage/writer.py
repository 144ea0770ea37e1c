"""A lane's connection to PostgreSQL: it holds the locks of its shards and writes its batches."""

import asyncio
import re
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any, Final

import asyncpg

from storage.lane import Lost, NotOurs, Posted, Refused, Transient
from storage.rows import OUTBOX_COLUMNS, Table, message_row

# The first half of every shard lock's name ("PBOS"), so that other users of the database keep
# clear of it.
LOCK_CLASS: Final = 0x50424F53

# Kept below the patience of a caller: a connection that takes longer is no use to anybody.
CONNECT_TIMEOUT_S: Final = 1.5

# What a statement, or closing, may end with.
_FAILURES: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

# "Key (wallet_id, seq)=(17, 23) already exists." and "Failing row contains (17, 23, ...)": every
# constraint of a fact's table begins with the actor's key.
_KEY_IN_DETAIL = re.compile(r"\((\d+)[,)]")

# The host of a silent connection may have vanished, with nobody left to close it: the server asks,
# and ends the backend within seconds, which frees its locks. By itself it would wait for hours.
# Over a Unix socket PostgreSQL ignores these.
_VANISHED: Final = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    # What the server has sent and nobody confirms, in milliseconds.
    "tcp_user_timeout": "5000",
}

_LOCK = """
    select shard from unnest($2::int[]) as shard where pg_try_advisory_lock($1, shard)
"""
_UNLOCK = """
    select count(*) filter (where pg_advisory_unlock($1, shard)) from unnest($2::int[]) as shard
"""
_HELD = """
    select count(*) from pg_locks
    where locktype = 'advisory' and classid = $1::int::oid and pid = pg_backend_pid()
      and database = (select oid from pg_database where datname = current_database())
"""
_BACKEND = """
    select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()
"""
_END_BACKEND = """
    select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2
"""


class PostgresWriter:
    """Writes facts by binary COPY, in one transaction a batch, and holds the locks of shards."""

    def __init__(self, connection: asyncpg.Connection, tables: Mapping[type, Table]) -> None:
        self._connection = connection
        self._tables = tables
        # Advisory locks nest: what is locked twice is not free when it is unlocked once.
        self._locked: set[int] = set()
        self._proven = False
        self._ended = asyncio.get_running_loop().create_future()
        connection.add_termination_listener(self._on_termination)

    def _on_termination(self, _connection: object) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def lost(self) -> Awaitable[None]:
        """Completes when the connection ends by itself."""
        return asyncio.shield(self._ended)

    async def write(self, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        """Commit all of it. Raises Refused, Transient or Lost, as the server's answer says."""
        copies = self._sorted(facts, messages)
        try:
            if len(copies) == 1:
                # A single statement is its own transaction: one round trip less for most batches.
                await self._copy(*copies[0])
            else:
                async with self._connection.transaction():
                    for table, columns, rows in copies:
                        await self._copy(table, columns, rows)
        except asyncpg.PostgresError as error:
            raise self._classified(error) from error
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise Lost(repr(error)) from error
        except (ArithmeticError, TypeError, ValueError) as error:
            # A value that no column can hold. Nothing of the batch was written, nor can it ever be.
            raise Refused(None, repr(error)) from error

    async def claim(self, shards: Collection[int]) -> set[int]:
        """Lock those that nobody else has, and return those that are locked now.

        Raises Lost; or NotOurs, if the locks are not held by this connection.
        """
        claimed = set(shards)
        new = sorted(claimed - self._locked)
        self._locked.update(row["shard"] for row in await self._ask(_LOCK, LOCK_CLASS, new))
        if self._locked and not self._proven:
            ((held,),) = await self._ask(_HELD, LOCK_CLASS)
            if held != len(self._locked):
                raise NotOurs(
                    "the locks are not held by this connection: is there a transaction pooler in "
                    "front of PostgreSQL? Connect to the server itself."
                )
            self._proven = True
        return claimed & self._locked

    async def release(self, shards: Collection[int]) -> None:
        """Unlock those of these that are locked. Raises Lost."""
        ours = sorted(self._locked.intersection(shards))
        if not ours:
            return
        ((freed,),) = await self._ask(_UNLOCK, LOCK_CLASS, ours)
        if freed != len(ours):
            raise Lost(f"only {freed} of {len(ours)} locks could be freed")
        self._locked.difference_update(ours)

    async def _ask(self, statement: str, *values: object) -> Sequence[Any]:
        """The rows of a statement about locks. Raises Lost: if it fails, nobody knows them."""
        try:
            rows: Sequence[Any] = await self._connection.fetch(statement, *values)
        except _FAILURES as error:
            raise Lost(repr(error)) from error
        return rows

    def _sorted(
        self, facts: Sequence[Any], messages: Sequence[Posted]
    ) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
        by_type: dict[type, list[tuple[Any, ...]]] = {}
        for fact in facts:
            kind = type(fact)
            rows = by_type.get(kind)
            if rows is None:
                rows = by_type[kind] = []
            rows.append(self._tables[kind].row(fact))
        copies = [
            (self._tables[kind].name, self._tables[kind].columns, rows)
            for kind, rows in by_type.items()
        ]
        if messages:
            at_ms = facts[-1].at_ms if facts else 0
            rows = [message_row(message, shard, at_ms) for message, shard in messages]
            copies.append(("outbox", OUTBOX_COLUMNS, rows))
        return copies

    async def _copy(
        self, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
    ) -> None:
        await self._connection.copy_records_to_table(table, columns=columns, records=rows)

    def _classified(self, error: asyncpg.PostgresError) -> Exception:
        state = error.sqlstate or ""
        reason = f"{state} {error}"
        # 40003 is a transaction rollback by its class, yet says that the outcome is unknown.
        if self._connection.is_closed() or state.startswith(("08", "57P", "40003")):
            return Lost(reason)
        if state.startswith(("22", "23")):
            named = _KEY_IN_DETAIL.search(error.detail or "")
            key = int(named.group(1)) if named else None
            return Refused(key, reason, self._kind_of(error.table_name))
        return Transient(reason)

    def _kind_of(self, table_name: str | None) -> str | None:
        """The kind of actor whose table this is, or whose partition."""
        tables = self._tables.values()
        kinds = (table.kind for table in tables if (table_name or "").startswith(table.name))
        return next(kinds, None)

    async def close(self) -> None:
        """Close in an orderly way, which gives the locks back."""
        try:
            await self._connection.close(timeout=CONNECT_TIMEOUT_S)
        except _FAILURES:
            self._connection.terminate()

    def terminate(self) -> None:
        """End the connection at once."""
        self._connection.terminate()


class Connector:
    """Opens lanes' connections. Remembers each lane's last backend, to end it if it lingers.

    The backends carry the id of the cluster's `member`, so that others know whose locks they see.
    """

    def __init__(self, dsn: str, tables: Mapping[type, Table], member: str = "") -> None:
        self._dsn = dsn
        self._tables = tables
        self._member = member
        self._backends: dict[int, tuple[int, Any]] = {}

    async def __call__(self, lane: int, shards: Sequence[int]) -> PostgresWriter:
        """A writer that owns `shards`. Raises NotOurs, or what connecting raises."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await self._open(lane, shards)

    async def _open(self, lane: int, shards: Sequence[int]) -> PostgresWriter:
        name = f"pitboss-lane-{lane}"
        # No time-out of its own: the lane watches its batches, and knows when its own loop is late.
        connection = await asyncpg.connect(
            self._dsn,
            command_timeout=None,
            server_settings={
                "application_name": f"{name}-{self._member}" if self._member else name,
                "synchronous_commit": "on",
                "lock_timeout": "1000",
                **_VANISHED,
            },
        )
        try:
            await self._end_predecessor(connection, lane)
            # Known before it has locks: should it break, the next connection ends its backend.
            backend = await connection.fetchrow(_BACKEND)
            self._backends[lane] = (backend["pid"], backend["backend_start"])
            writer = PostgresWriter(connection, self._tables)
            if shards:
                await _win(writer, shards)
        except BaseException:
            connection.terminate()
            raise
        return writer

    async def _end_predecessor(self, connection: asyncpg.Connection, lane: int) -> None:
        before = self._backends.get(lane)
        if before is not None:
            await connection.execute(_END_BACKEND, *before)


async def _win(writer: PostgresWriter, shards: Sequence[int]) -> None:
    """Have all of the shards locked. Raises NotOurs if somebody else has one, or Lost."""
    won = await writer.claim(shards)
    if len(won) != len(shards):
        raise NotOurs(f"another process owns {len(shards) - len(won)} of {len(shards)} shards")
