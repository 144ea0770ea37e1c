"""Borrowing a connection for an account's transaction, with one bound and one way to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from protocol.errors import STORAGE_UNAVAILABLE, Failure

# All that is done with one borrowed connection, waiting for it included. These are a handful of
# statements on indexed rows; when PostgreSQL does not answer, the caller is told within 2 seconds.
# Longer: `storage_unavailable`.
_BORROW_TIMEOUT_S: Final = 1.8

# What goes away by itself: no connection, one that broke, a server that starts, stops, cancels or
# is short of something, and transactions that it asks to have tried again.
_TEMPORARY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
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
        async with (
            asyncio.timeout(_BORROW_TIMEOUT_S),
            pool.acquire(timeout=_BORROW_TIMEOUT_S) as connection,
        ):
            yield connection
    except ValueError:
        # asyncpg's complaints about arguments are interface errors too, but they are our mistakes.
        raise
    except _TEMPORARY as error:
        raise Failure(STORAGE_UNAVAILABLE) from error
