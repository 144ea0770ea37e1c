"""A process's own loop inside of the world's: it stands still while the world goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, TypeVar, TypeVarTuple, Unpack

from actors.runtime.ports import BusListener

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class _Timer(asyncio.TimerHandle):
    """A process's timer, and the world's timer that lets it fire."""

    __slots__ = ("outer",)

    outer: asyncio.TimerHandle


class ProcessLoop(asyncio.BaseEventLoop):
    """Runs what one process does, on the clock and in the order of the world's loop.

    While it is paused, as by SIGSTOP, nothing of the process runs; what was due by then runs first
    when it goes on. Once it is dead its timers are void: its tasks unwind, and nobody hears them.
    """

    def __init__(self, world: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.dead = False
        self._world = world
        self._held: list[asyncio.Handle] | None = None
        # Tasks in the order in which they were made, so that a killed process ends the same way
        # each time.
        self._own: dict[asyncio.Task[Any], None] = {}
        self._abroad: dict[asyncio.Future[Any], None] = {}

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._held is not None

    @property
    def busy(self) -> bool:
        """Whether any of its tasks has not ended."""
        return bool(self._own)

    def time(self) -> float:
        """The world's time, which does not stand still."""
        return self._world.time()

    def call_soon(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.is_closed():
            self._world.call_soon(self._turn, handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        timer.outer = self._world.call_at(when, self._turn, timer)
        return timer

    def _timer_handle_cancelled(self, handle: _Timer) -> None:
        handle.outer.cancel()

    def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = super().create_task(coro, **kwargs)
        self._own[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._own.pop(task, None)

    def call_exception_handler(self, context: Any) -> None:
        if not self.dead:
            self._world.call_exception_handler(context)

    def _turn(self, handle: asyncio.Handle) -> None:
        if handle.cancelled() or self.is_closed():
            return
        if self.dead and isinstance(handle, _Timer):
            return
        if self._held is not None:
            self._held.append(handle)
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(before)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be the loop that runs: what is started meanwhile belongs to the process."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def take(self, callback: Callable[..., object], *args: Any) -> None:
        """Have something come in: at once, or when the process goes on."""
        self._turn(asyncio.Handle(callback, args, self, None))

    def pause(self) -> None:
        """Stand still from here on."""
        if self._held is None:
            self._held = []

    def go_on(self) -> None:
        """Do all that was due meanwhile, in its order, and go on."""
        held, self._held = self._held or [], None
        for handle in held:
            self._turn(handle)

    def kill(self) -> None:
        """End at once. What is left unwinds unheard."""
        self.dead = True
        self.go_on()
        for work in (*self._abroad, *self._own):
            work.cancel()

    # What the process does outside.

    def leave(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call something of the world's."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._world)
        try:
            return function(*args)
        finally:
            asyncio._set_running_loop(before)

    async def outside(self, work: Awaitable[Result]) -> Result:
        """Wait for something that happens in the world, whether this process stands still or not.

        What comes of it is heard when the process goes on.
        """
        heard: asyncio.Future[Result] = self.create_future()
        task = asyncio.ensure_future(work, loop=self._world)
        self._abroad[task] = None
        task.add_done_callback(partial(self._hear, heard))
        if self.dead:
            task.cancel()
        try:
            return await heard
        finally:
            task.cancel()

    def _hear(self, heard: "asyncio.Future[Any]", task: "asyncio.Future[Any]") -> None:
        del self._abroad[task]
        if task.cancelled():
            heard.cancel()
        elif heard.done():
            task.exception()  # looked at here, as nobody waits for it any more
        elif (error := task.exception()) is not None:
            heard.set_exception(error)
        else:
            heard.set_result(task.result())


class Abroad:
    """Something outside of a process, as the process has it: it lives on the world's loop."""

    def __init__(self, loop: ProcessLoop, thing: Any) -> None:
        self._loop = loop
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        return partial(self._call, found) if callable(found) else found

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        loop = self._loop
        if loop.dead and not iscoroutinefunction(function):
            return None
        done = loop.leave(function, *args)
        return loop.outside(done) if isawaitable(done) else done


class Connecting:
    """Opens what is outside of a process, as the process has it."""

    def __init__(self, loop: ProcessLoop, connect: Callable[..., Awaitable[Any]]) -> None:
        self._loop = loop
        self._connect = connect

    async def __call__(self, *args: Any) -> Any:
        """What connecting returns, or raises."""
        thing = await self._loop.outside(self._connect(*args))
        if self._loop.dead:
            # It was killed between being connected and going on.
            raise asyncio.CancelledError
        return Abroad(self._loop, thing)


class Wire:
    """A process's loop as its connections have it.

    What they do by themselves is done outside, but only when the process gets to it.
    """

    def __init__(self, loop: ProcessLoop) -> None:
        self._loop = loop

    def call_soon(self, action: Callable[[], None]) -> None:
        """Do it when the process gets to it."""
        self._loop.call_soon(self._loop.leave, action)

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do it so much later, when the process gets to it."""
        self._loop.call_later(delay_s, self._loop.leave, action)


class Hearing:
    """The listener of a process: what is said while it stands still is heard when it goes on."""

    def __init__(self, loop: ProcessLoop, listener: BusListener) -> None:
        self._loop = loop
        self._listener = listener

    def heard(self, frame: bytes) -> None:
        self._loop.take(self._listener.heard, frame)

    def heard_room(self, room: str, frame: bytes) -> None:
        self._loop.take(self._listener.heard_room, room, frame)

    def joined(self) -> None:
        self._loop.take(self._listener.joined)

    def parted(self) -> None:
        self._loop.take(self._listener.parted)
