"""What is done again and again beside the commands."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from protocol.errors import Failure

log = logging.getLogger(__name__)

# A job that fails is tried again at its next time; its failure is logged, and never ends others.
STOP_TIMEOUT_S: Final = 2.0


class Jobs:
    """The node's background tasks. There are as many as the wiring names."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that goes on until cancelled."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def every(self, seconds: float, job: Callable[[], Awaitable[object] | object]) -> None:
        """Do `job` again and again, `seconds` after it last ended."""
        self.run(_again(seconds, job))

    async def stop(self) -> None:
        """Cancel all and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)
        self._tasks.clear()


async def _again(seconds: float, job: Callable[[], Awaitable[object] | object]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            result = job()
            if isinstance(result, Awaitable):
                await result
        except Failure as failure:
            log.warning("a job waits for better times: %s", failure)
        except Exception:
            log.exception("a job failed")
