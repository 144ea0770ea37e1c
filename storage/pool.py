"""The pools of connections: for actors, for people's queries and accounts, and for locks."""

from contextlib import ExitStack
from typing import Final, NamedTuple

import asyncpg

# Enough for people's queries to overlap; who waits too long for one is told so by `borrow`.
_CONNECTIONS: Final = 8
# One for a batch of actors, and one each for look-ups, what is written behind and a wallet that is
# rebuilt meanwhile. The journal's lanes have connections of their own.
_RUNTIME_CONNECTIONS: Final = 4
# Whoever looks for holders of locks does one thing after the other.
_LOCKS_CONNECTIONS: Final = 1
# Connecting, and a single statement that nobody bounds otherwise.
_TIMEOUT_S: Final = 1.8
# When the server itself ends a statement, as nobody waits for it any more.
_STATEMENT_TIMEOUT_MS: Final = 2_000


class Pools(NamedTuple):
    """Three pools, so that nothing people ask for keeps a bet from its wallet."""

    runtime: asyncpg.Pool
    """Reads actors and rows of request ids; writes snapshots and the outbox."""
    people: asyncpg.Pool
    """Queries, accounts and sessions."""
    locks: asyncpg.Pool
    """Finds and ends the holders of locks: just when a crowd of actors has to be read."""

    def terminate(self) -> None:
        """End all connections at once."""
        for pool in self:
            pool.terminate()


async def open_pools(dsn: str) -> Pools:
    """The pools of a node, ready. Raises what connecting raises."""
    with ExitStack() as if_another_fails:
        runtime = await open_pool(dsn, _RUNTIME_CONNECTIONS)
        if_another_fails.callback(runtime.terminate)
        people = await open_pool(dsn)
        if_another_fails.callback(people.terminate)
        locks = await open_pool(dsn, _LOCKS_CONNECTIONS)
        if_another_fails.pop_all()
    return Pools(runtime, people, locks)


async def open_pool(dsn: str, connections: int = _CONNECTIONS) -> asyncpg.Pool:
    """A pool that is ready. Raises what connecting raises."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=connections,
        command_timeout=_TIMEOUT_S,
        timeout=_TIMEOUT_S,
        server_settings={
            "application_name": "pitboss",
            "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
        },
    )
