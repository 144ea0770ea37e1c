"""Borrowing a connection for a few statements, with one bound and one way to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from protocol.errors import STORAGE_UNAVAILABLE, Failure

# All that is done with one borrowed connection, waiting for it and giving it back included. These
# are a handful of statements on indexed rows; when PostgreSQL does not answer, the caller is told
# within 2 seconds. Longer: the connection is ended, and the caller gets `storage_unavailable`.
BORROW_TIMEOUT_S: Final = 1.5

# What goes away by itself: no connection, one that broke, a server that starts, stops, cancels or
# is short of something, and transactions that it asks to have tried again.
_TEMPORARY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg says when its connection broke between two steps of a protocol.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)


@asynccontextmanager
async def borrow(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    """Lend a connection of the pool.

    Raises:
        Failure: `storage_unavailable`, when the database cannot be asked; a transaction that was
            open then may or may not have been committed.
    """
    try:
        async with _lent(pool, asyncio.get_running_loop().time() + BORROW_TIMEOUT_S) as connection:
            yield connection
    except ValueError:
        # asyncpg's complaints about arguments are interface errors too, but they are our mistakes.
        raise
    except _TEMPORARY as error:
        raise Failure(STORAGE_UNAVAILABLE) from error


@asynccontextmanager
async def _lent(
    pool: asyncpg.Pool, deadline_s: float
) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    async with asyncio.timeout_at(deadline_s):
        connection = await pool.acquire()
    # Not a cancellation: after one, a transaction's rollback and the pool's own clean-up ask the
    # server again that just did not answer. On a connection that has ended both fail at once.
    late = asyncio.get_running_loop().call_at(deadline_s, _end, connection)
    try:
        yield connection
    except AttributeError as error:
        # So asyncpg stumbles over a connection that was ended before it is used.
        if asyncio.get_running_loop().time() < deadline_s:
            raise
        raise TimeoutError("ended before it was used") from error
    finally:
        try:
            await pool.release(connection)
        finally:
            late.cancel()


def _end(connection: asyncpg.pool.PoolConnectionProxy) -> None:
    with suppress(
        asyncpg.InterfaceError, asyncpg.InternalClientError
    ):  # it was given back at this very moment
        connection.terminate()
