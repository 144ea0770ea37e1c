"""Sessions looked up together: what is asked while one query runs goes into the next.

A crowd that comes back asks for thousands of sessions in a few seconds. One by one they would keep
every connection of the pool busy, and the loop with them; together they are a few large queries.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final
from uuid import UUID

from protocol.errors import OVERLOADED, Failure

# In one query, which then takes some 5 ms.
MAX_TOGETHER: Final = 500
# That wait for their query, several seconds' worth of a storm: a handshake's turn comes before.
# More: `overloaded`.
MAX_WAITING: Final = 20_000

Ended = Callable[[Sequence[UUID]], Awaitable[list[UUID]]]
"""Answers which of the sessions are not active any more."""


class SessionLookups:
    """Asks whether sessions are active, one query at a time."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        # Each with whoever waits for it, in the order in which they came.
        self._waiting: dict[UUID, list[asyncio.Future[bool]]] = {}
        self._waiters = 0
        self._task: asyncio.Task[None] | None = None

    async def active(self, session_id: UUID) -> bool:
        """Whether the session is live, by a query that begins from now on.

        Raises:
            Failure: `storage_unavailable`, `overloaded`.
        """
        if self._waiters >= MAX_WAITING:
            raise Failure(OVERLOADED, retry_after_ms=1_000)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.setdefault(session_id, []).append(answer)
        self._waiters += 1
        if self._task is None:
            self._task = loop.create_task(self._look_up())
        return await answer

    async def _look_up(self) -> None:
        try:
            while self._waiting:
                await self._ask(self._take())
        finally:
            self._task = None

    def _take(self) -> dict[UUID, list[asyncio.Future[bool]]]:
        first = tuple(islice(self._waiting, MAX_TOGETHER))
        asked = {session_id: self._waiting.pop(session_id) for session_id in first}
        self._waiters -= sum(map(len, asked.values()))
        return asked

    async def _ask(self, asked: dict[UUID, list[asyncio.Future[bool]]]) -> None:
        waiting = [(one, answer) for one, answers in asked.items() for answer in answers]
        try:
            ended = set(await self._ended(list(asked)))
        except Exception as error:  # noqa: BLE001 - it is told to everybody who asked
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for session_id, answer in waiting:
                if not answer.done():
                    answer.set_result(session_id not in ended)
