"""The locks of shards, seen from outside: who holds them, and the end of a holder."""

import re
from collections.abc import Collection
from typing import Any, Final

import asyncpg

from actors.runtime.ports import Holder, Unreachable
from protocol.errors import Failure
from storage.borrow import borrow
from storage.writer import LOCK_CLASS

# As a lane's connection is named. A process that is alone has no member in it.
_NAME = re.compile(r"pitboss-lane-\d+(?:-(.*))?", re.DOTALL)

# Locks by two keys have the sub-id 2; the keys are the class and the object.
_HOLDERS: Final = """
    select l.objid::bigint as shard, a.application_name, a.pid, a.backend_start
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 2
      and l.classid = $1::int::oid and l.objid::bigint = any($2::bigint[])
      and l.database = (select oid from pg_database where datname = current_database())
"""
_END: Final = """
    select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2
"""


class PostgresLocks:
    """PostgreSQL's own list of locks. It is read on another connection than those that hold any."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def holders(self, shards: Collection[int]) -> dict[int, Holder]:
        """Who holds the locks of these shards; free ones are absent. Raises Unreachable.

        The member of a process that is alone, or of anything else, is empty.
        """
        rows = await self._fetch(_HOLDERS, LOCK_CLASS, list(shards))
        return {
            row["shard"]: Holder(_member(row["application_name"]), row["pid"], row["backend_start"])
            for row in rows
        }

    async def end(self, holder: Holder) -> None:
        """End a holder's backend, unless it has ended already. Raises Unreachable.

        Its process number may have a new owner by now, who is left alone. Its locks are free a
        moment later.
        """
        await self._fetch(_END, holder.pid, holder.started)

    async def _fetch(self, statement: str, *values: object) -> list[Any]:
        try:
            async with borrow(self._pool) as connection:
                return list(await connection.fetch(statement, *values))
        except (Failure, asyncpg.PostgresError) as error:
            raise Unreachable(f"the locks cannot be seen: {error!r}") from error


def _member(application_name: str | None) -> str:
    named = _NAME.fullmatch(application_name or "")
    return (named and named[1]) or ""
