"""How late the event loop is: what every bet waits for before anything else."""

import asyncio
from typing import Final

SAMPLE_S: Final = 0.1


class Lag:
    """Samples the loop's lateness; keeps the newest and the worst since the last reading."""

    def __init__(self) -> None:
        self.newest_s = 0.0
        self._worst_s = 0.0

    async def watch(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self.newest_s = max(0.0, loop.time() - due)
            self._worst_s = max(self._worst_s, self.newest_s)

    def worst_s(self) -> float:
        """The worst lateness since this was last asked."""
        worst_s, self._worst_s = self._worst_s, self.newest_s
        return worst_s
