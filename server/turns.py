"""Turns: of what one user asks at once a few are under way, and the rest waits for a moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from protocol.errors import OVERLOADED, Failure

# Of one user at a time. Queries share a few connections, and nobody is to have them all.
AT_ONCE: Final = 2
# How long the rest waits; a user's rate of commands bounds how many they are. Longer: `overloaded`.
# Together with a query's own time-out it stays below 2 seconds.
PATIENCE_S: Final = 0.4


class _Turn:
    """One user's turns."""

    __slots__ = ("free", "wanted")

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(AT_ONCE)
        self.wanted = 0


class Turns:
    """The turns of all users who want one now."""

    def __init__(self) -> None:
        self._users: dict[int, _Turn] = {}

    def __len__(self) -> int:
        return len(self._users)

    @asynccontextmanager
    async def of(self, user_id: int) -> AsyncIterator[None]:
        """Wait for a turn and keep it. Raises Failure `overloaded`."""
        turn = self._users.get(user_id)
        if turn is None:
            turn = self._users[user_id] = _Turn()
        turn.wanted += 1
        try:
            await _acquire(turn.free)
            try:
                yield
            finally:
                turn.free.release()
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._users[user_id]


async def _acquire(free: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await free.acquire()
    except TimeoutError as late:
        raise Failure(OVERLOADED, retry_after_ms=1_000) from late
