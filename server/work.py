"""Commands that take their time: queries and services, each in a task, boundedly many."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from typing import Any, Final

from protocol.errors import DRAINING, INTERNAL, OVERLOADED, STORAGE_UNAVAILABLE, Failure
from server.caller import Caller
from server.reply import Answer
from server.router import Handler
from server.turns import Turns

log = logging.getLogger(__name__)

# Tasks at once. Queries share a pool of a few connections, so more would only wait longer there.
MAX_TASKS: Final = 1_000
# How long those that are cut off at the end get to answer.
CUT_OFF_S: Final = 1.0


class Work:
    """All slow commands under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._closing = False

    @property
    def under_way(self) -> int:
        """How many tasks run."""
        return len(self._tasks)

    def answering(self, function: Callable[[Caller, Any], Awaitable[Any]]) -> Handler:
        """A handler that answers with what `function` returns.

        Of one user a few run at a time, see `Turns`. Strangers have no user; the budget of their
        address is small.
        """

        async def act(caller: Caller, command: Any, answer: Answer) -> None:
            async with self._turns.of(caller.user_id) if caller.user_id else nullcontext():
                answer.resolve(await function(caller, command))

        return self.acting(act)

    def acting(self, function: Callable[[Caller, Any, Answer], Awaitable[None]]) -> Handler:
        """A handler that leaves the answer to `function`, except for what that raises."""

        def handle(caller: Caller, command: Any, answer: Answer) -> None:
            if self._admits(answer):
                self._start(_guarded(function(caller, command, answer), answer))

        return handle

    def preparing(self, function: Callable[[Caller, Any, Answer], Awaitable[None]]) -> Handler:
        """Like `acting`, for a command that looks something up on its way to an actor.

        What the same caller sends to actors meanwhile waits behind it, so that order is kept.
        """

        async def act(caller: Caller, command: Any, answer: Answer) -> None:
            try:
                await function(caller, command, answer)
            finally:
                caller.release()

        def handle(caller: Caller, command: Any, answer: Answer) -> None:
            if self._admits(answer):
                caller.hold()
                self._start(_guarded(act(caller, command, answer), answer))

        return handle

    def _admits(self, answer: Answer) -> bool:
        if self._closing:
            answer.reject(Failure(DRAINING))
        elif len(self._tasks) >= MAX_TASKS:
            answer.reject(Failure(OVERLOADED, retry_after_ms=1_000))
        else:
            return True
        return False

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, timeout_s: float) -> None:
        """Take nothing new, and wait for what is under way; in the end cut it off, answered."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            log.warning("%d commands are cut off", len(self._tasks))
            await asyncio.wait(self._tasks, timeout=CUT_OFF_S)


async def _guarded(work: Awaitable[None], answer: Answer) -> None:
    try:
        await work
    except Failure as failure:
        answer.reject(failure)
    except asyncio.CancelledError:
        # It may have been done or not, and that is what this says.
        answer.reject(Failure(STORAGE_UNAVAILABLE))
        raise
    except Exception:
        log.exception("a command failed")
        answer.reject(Failure(INTERNAL))
