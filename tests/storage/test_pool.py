"""The pools of a node keep out of each other's way."""

from contextlib import AsyncExitStack

from storage.borrow import borrow
from storage.locks import PostgresLocks
from storage.pool import open_pools


async def test_holders_of_locks_are_found_while_all_other_connections_are_busy(
    database_url: str,
) -> None:
    pools = await open_pools(database_url)
    try:
        async with AsyncExitStack() as lent:
            for pool in (pools.runtime, pools.people):
                for _ in range(pool.get_max_size()):
                    await lent.enter_async_context(borrow(pool))
            assert await PostgresLocks(pools.locks).holders([1]) == {}
    finally:
        pools.terminate()
