"""A member that is announced in a registry for as long as a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.runtime.membership import Member
from storage.registry import RedisRegistry


@asynccontextmanager
async def announced(registry: RedisRegistry, member: Member) -> AsyncIterator[None]:
    """Announce it again and again, far sooner than any announcement expires."""

    async def keep_announcing() -> None:
        while True:
            await asyncio.sleep(0.01)
            await registry.announce(member)

    await registry.announce(member)
    announcing = asyncio.create_task(keep_announcing())
    try:
        yield
    finally:
        announcing.cancel()
        await asyncio.gather(announcing, return_exceptions=True)
