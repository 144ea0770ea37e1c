"""An event loop whose clock stands still unless everyone waits: timers without waiting."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs ready callbacks at one moment, and jumps to the next timer when there are none."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self._now_s = 0.0

    def time(self) -> float:
        """Seconds since the loop was made, as it sees them."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass, as work that takes time does."""
        self._now_s += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; time passes instead of being waited for."""
        assert timeout is not None, "nothing is left to wait for"
        self._loop.advance(timeout)
        return super().select(0)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(test)


def virtual_loop() -> VirtualLoop:
    """The running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
