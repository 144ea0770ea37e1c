"""An event loop without a world: time jumps to the next timer as soon as nothing else is ready."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import wraps
from typing import Any, Final, ParamSpec

Parameters = ParamSpec("Parameters")

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


def on_virtual_time(
    test: Callable[Parameters, Coroutine[Any, Any, None]],
) -> Callable[Parameters, None]:
    """Run a test's coroutine on a loop of its own, in which waiting takes no time."""

    @wraps(test)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        with closing(VirtualLoop()) as loop:
            loop.run_until_complete(test(*args, **kwargs))

    return run
