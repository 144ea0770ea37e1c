"""An event loop without a world: time jumps to the next timer as soon as nothing else is ready."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# Turns of the loop in one world; a hundred times what a world takes. More: something spins.
MAX_TURNS: Final = 2_000_000


class Stuck(Exception):  # noqa: N818 - it is a finding, not an error
    """Nothing will ever happen again, or the same thing happens for ever."""


class _Nothing:
    """In place of a selector: it waits by moving the clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.turns = 0

    def select(self, timeout_s: float | None) -> list[Any]:
        self.turns += 1
        if timeout_s is None:
            raise Stuck("nothing is ready and no timer is set")
        if self.turns > MAX_TURNS:
            raise Stuck("the loop turns without end")
        self.now_s += timeout_s
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs coroutines as fast as they compute, in an order that their timers alone decide."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Nothing()

    def time(self) -> float:
        """The virtual time in seconds, from 0."""
        return self._selector.now_s

    @property
    def turns(self) -> int:
        """How often the loop has turned."""
        return self._selector.turns

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no events."""

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""


def run_virtually(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a loop of its own. What it leaves behind is cancelled."""
    with closing(VirtualLoop()) as loop:
        try:
            return loop.run_until_complete(work)
        finally:
            loop.run_until_complete(_cancel_the_others())


async def _cancel_the_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def on_virtual_time(
    test: Callable[Parameters, Coroutine[Any, Any, None]],
) -> Callable[Parameters, None]:
    """Run a test's coroutine on a loop of its own, in which waiting takes no time."""

    @wraps(test)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        run_virtually(test(*args, **kwargs))

    return run
