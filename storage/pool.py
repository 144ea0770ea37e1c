"""The pool of connections for reads, accounts and what is written behind."""

from typing import Final

import asyncpg

# Enough for queries to overlap; the journal has its own connections, so bets never wait here.
_CONNECTIONS: Final = 8
# Callers are told within 2 seconds that the database does not answer.
_TIMEOUT_S: Final = 1.8


async def open_pool(dsn: str) -> asyncpg.Pool:
    """A pool that is ready. Raises what connecting raises."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=_CONNECTIONS,
        command_timeout=_TIMEOUT_S,
        timeout=_TIMEOUT_S,
        server_settings={"application_name": "pitboss"},
    )
