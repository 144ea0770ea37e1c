"""The place of one worker: one process after the other, never two at once."""

import asyncio
import logging
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import msgspec

from server.worker import Ready

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 65_536

Start = Callable[[int], Awaitable[Process]]
"""Starts the worker of a number, its standard input and output being pipes to here."""


class Slot:
    """A worker's place. `on_ready` hears of each process that is ready.

    A process that was asked to end is killed after `grace_s`.
    """

    def __init__(
        self, number: int, start: Start, on_ready: Callable[["Slot", Ready], None], grace_s: float
    ) -> None:
        self.number = number
        self.ready = asyncio.Event()
        """The process in it takes players, and was not asked to end."""
        self.ending = False
        """The process in it was asked to end, or the place is closed."""
        self.killed = False
        """A process in it did not end by itself when it was asked to."""
        self._start = start
        self._on_ready = on_ready
        self._grace_s = grace_s
        self._closed = False
        self._process: Process | None = None
        self._deadline: asyncio.TimerHandle | None = None

    async def live(self) -> str:
        """Have one process from its start to its end. How it ended, in words."""
        self.ending = self._closed
        try:
            process = await self._start(self.number)
        except OSError as error:
            return f"could not be started ({error})"
        self._process = process
        hearing = asyncio.create_task(self._hear(process))
        try:
            if self._closed:
                self._ask_to_end()
            return _in_words(await process.wait())
        finally:
            hearing.cancel()
            self.ready.clear()
            self._process = None
            if self._deadline is not None:
                self._deadline.cancel()

    def end(self) -> None:
        """Ask the process in it to end in good order; the place stays."""
        if self._process is not None and not self.ending:
            self._ask_to_end()

    def close(self) -> None:
        """Ask the process in it to end in good order, and any that is just being started."""
        self._closed = True
        self.end()

    def kill(self) -> None:
        """End the process in it at once."""
        if self._process is not None:
            self.killed = True
            with suppress(ProcessLookupError):  # it has just ended
                self._process.kill()

    def _ask_to_end(self) -> None:
        assert self._process is not None
        self.ending = True
        self.ready.clear()
        self._deadline = asyncio.get_running_loop().call_later(self._grace_s, self._give_up)
        with suppress(ProcessLookupError):
            self._process.terminate()

    def _give_up(self) -> None:
        log.error("worker %d has not ended after %.0f s: killing it", self.number, self._grace_s)
        self.kill()

    async def _hear(self, process: Process) -> None:
        assert process.stdout is not None, "it is a pipe"
        line = await process.stdout.readline()
        if line and not self.ending:
            try:
                ready = msgspec.json.decode(line, type=Ready)
            except msgspec.DecodeError:
                log.exception("worker %d does not say that it is ready", self.number)
            else:
                self.ready.set()
                self._on_ready(self, ready)
        # Nothing else is said here; a full pipe would stop whoever says it anyway.
        while await process.stdout.read(_CHUNK_BYTES):
            pass


def _in_words(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
