"""Rows of a query as they come, never all of them at once."""

from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg

# Rows in memory of each query: enough that the round trips do not count.
FETCH_ROWS: Final = 1_000


def stream(connection: asyncpg.Connection, query: str) -> AsyncIterator[Any]:
    """The rows of `query` through a cursor of the open transaction."""
    rows: AsyncIterator[Any] = aiter(connection.cursor(query, prefetch=FETCH_ROWS))
    return rows
