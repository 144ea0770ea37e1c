"""Looks at a server now and then, while something else goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from benchmarks.condition import Condition, condition
from benchmarks.server_process import Server

# A server that takes longer to tell how it is counts as one that does not.
_LIMIT: Final = aiohttp.ClientTimeout(total=10)


class Looks:
    """What was seen, in order, and how many looks the server did not answer.

    One is taken every `every_s` seconds, so a run's length is the bound of their number.
    """

    def __init__(self, server: Server, every_s: float) -> None:
        self.seen: list[Condition] = []
        self.missed = 0
        self._server = server
        self._every_s = every_s

    async def run(self) -> None:
        """Look until cancelled."""
        async with aiohttp.ClientSession(timeout=_LIMIT) as http:
            while True:
                try:
                    self.seen.append(await condition(http, self._server))
                except (aiohttp.ClientError, OSError):
                    # Busy or gone: the next look may tell, and whoever bets finds out anyway.
                    self.missed += 1
                await asyncio.sleep(self._every_s)


@asynccontextmanager
async def looking(server: Server, every_s: float) -> AsyncIterator[Looks]:
    """Look at the server until the block ends, which raises what broke the looks, if anything."""
    looks = Looks(server, every_s)
    task = asyncio.create_task(looks.run())
    try:
        yield looks
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
