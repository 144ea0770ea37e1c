"""How late the event loop is: what every bet waits for before anything else."""

import asyncio
from collections.abc import Callable
from typing import Final

SAMPLE_S: Final = 0.1


async def watch_lag(*observers: Callable[[float], None]) -> None:
    """Tell all `observers` ten times a second how late the loop is, in seconds; until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + SAMPLE_S
        await asyncio.sleep(SAMPLE_S)
        late_s = max(0.0, loop.time() - due)
        for observe in observers:
            observe(late_s)
