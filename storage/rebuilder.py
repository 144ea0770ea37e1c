"""Wallets that are rebuilt in the background, where no read could wait for them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from protocol.errors import Failure
from storage.borrow import borrow
from storage.rebuild import rebuild_snapshot

log = logging.getLogger(__name__)

# Wallets under way, those that wait included: three batches of the runtime's reads. Those beyond
# are begun when they are asked for again.
MAX_REBUILDS: Final = 100
# Of these, how many take turns: more than one, so that a short one need not wait for a long one,
# and few, so that of many the first are ready soon.
TAKE_TURNS: Final = 4
# How long a read waits for what it has begun: long enough for a wallet with some ten thousand rows,
# short enough that the others of its batch have the rest of the time-out for themselves.
PATIENCE_S: Final = 0.25


class Rebuilder:
    """Makes snapshots of wallets, a few statements of each in turn, and hands them to `keep`.

    One connection is used at a time, so that bets are not kept from theirs.
    """

    def __init__(
        self, pool: asyncpg.Pool, keep: Callable[[int, int, bytes], Awaitable[None]]
    ) -> None:
        self._pool = pool
        self._keep = keep
        self._begun = asyncio.Semaphore(TAKE_TURNS)
        self._turn = asyncio.Lock()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def rebuild(self, wallet_ids: Iterable[int]) -> None:
        """Begin with those that are not under way, and wait for them for a moment.

        What was made by then is kept, as is later what was not: a read that finds no snapshot
        afterwards is to be tried again.
        """
        room = MAX_REBUILDS - len(self._tasks)
        new = [wallet_id for wallet_id in wallet_ids if wallet_id not in self._tasks]
        begun = [self._begin(wallet_id) for wallet_id in new[:room]]
        if begun:
            await asyncio.wait(begun, timeout=PATIENCE_S)

    def _begin(self, wallet_id: int) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._rebuild(wallet_id))
        self._tasks[wallet_id] = task
        return task

    async def _rebuild(self, wallet_id: int) -> None:
        try:
            async with self._begun:
                seq, snapshot = await rebuild_snapshot(self._in_turn, wallet_id)
            await self._keep(wallet_id, seq, snapshot)
        except (Failure, asyncpg.PostgresError) as error:
            # Who asks for it again begins it again.
            log.warning("wallet %d could not be rebuilt: %r", wallet_id, error)
        except Exception:
            log.exception("wallet %d does not fit its own rows", wallet_id)
        finally:
            del self._tasks[wallet_id]

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        async with self._turn, borrow(self._pool) as connection:
            yield connection

    def close(self) -> None:
        """Leave off. What is not made yet can be made again."""
        for task in self._tasks.values():
            task.cancel()
