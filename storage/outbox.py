"""Messages that were committed with their facts, until their receivers have committed them."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from actors.decision import Message
from protocol.errors import Failure
from storage.borrow import borrow
from storage.rows import message_of

log = logging.getLogger(__name__)

# A message is delivered as soon as it is committed; one older than this has met some trouble.
OVERDUE_MS: Final = 2_000
# Delivered messages that wait to be deleted. More stay in the table: a sweep delivers them again,
# the receiver knows their ids, and they come back here.
MAX_DELIVERED: Final = 10_000

_OVERDUE = """
    select message_id, kind, key, command, body, at_ms from outbox
    where shard = any($1::int[]) and at_ms <= $2 and (at_ms, message_id) > ($4, $5)
    order by at_ms, message_id limit $3
"""
_BEGINNING: Final = (0, UUID(int=0))
_DELETE = "delete from outbox where message_id = any($1::uuid[])"


class PostgresOutbox:
    """The outbox of the shards that this process owns: `owned` tells which, at any time."""

    def __init__(self, pool: asyncpg.Pool, owned: Callable[[], Collection[int]]) -> None:
        self._pool = pool
        self._owned = owned
        self._delivered: set[UUID] = set()
        self._after = _BEGINNING

    async def overdue(self, limit: int) -> Sequence[Message]:
        """The next page of messages that have waited for OVERDUE_MS, then from the oldest again.

        Raises Failure `storage_unavailable`.
        """
        before_ms = int(time.time() * 1_000) - OVERDUE_MS
        async with borrow(self._pool) as connection:
            shards = list(self._owned())
            rows = await connection.fetch(_OVERDUE, shards, before_ms, limit, *self._after)
        # Page by page, so that messages nobody can take now do not hold up those behind them.
        newest = rows[-1] if len(rows) == limit else None
        self._after = (newest["at_ms"], newest["message_id"]) if newest else _BEGINNING
        read = (_read(row) for row in rows if row["message_id"] not in self._delivered)
        return [message for message in read if message is not None]

    def forget(self, message_id: UUID) -> None:
        """Delete the message some time soon."""
        if len(self._delivered) < MAX_DELIVERED:
            self._delivered.add(message_id)

    async def flush(self) -> None:
        """Delete those that wait now. After a failure they are tried again."""
        taken = list(self._delivered)
        if not taken:
            return
        try:
            async with borrow(self._pool) as connection:
                await connection.execute(_DELETE, taken)
        except (Failure, asyncpg.PostgresError) as error:
            log.warning("%d delivered messages could not be deleted yet: %r", len(taken), error)
        else:
            self._delivered.difference_update(taken)


def _read(row: Mapping[str, Any]) -> Message | None:
    """The message of a row. One that this version cannot read is left, and holds up no other."""
    try:
        return message_of(row)
    except (KeyError, ValueError) as error:
        log.error("message %s cannot be read: %r", row["message_id"], error)  # noqa: TRY400 - the row is at fault, so a traceback says nothing
        return None
