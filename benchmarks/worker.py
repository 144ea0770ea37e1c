"""Work in a process of its own: a plan goes in, marks of its progress and an outcome come out.

All of it is lines: the plan and the outcome as JSON, the marks as they are.
"""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

_Plan = TypeVar("_Plan", bound=msgspec.Struct)
_Outcome = TypeVar("_Outcome", bound=msgspec.Struct)

# The ends of the window within which the server is measured.
BEGIN: Final = "begin"
END: Final = "end"

# What comes before the JSON of how it goes, and before what went wrong.
_PROGRESS: Final = "progress "
_FAILED: Final = "failed "

_ROOT: Final = Path(__file__).parents[1]
# Tokens of 10,000 players are the longest line; an outcome has two histograms of 4,352 buckets.
_LINE_LIMIT_BYTES: Final = 16_000_000
_SET_PARENT_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of Linux's prctl


class WorkerError(Exception):
    """The work failed; the message says why, or what its process wrote to stderr does."""


class Worker:
    """The end of whoever gave the plan."""

    def __init__(self, process: Process, progress: Callable[[bytes], None] | None) -> None:
        self._process = process
        self._progress = progress

    async def expect(self, mark: str) -> None:
        """Wait for a mark. Raises WorkerError."""
        line = await self._line()
        if line.strip() != mark.encode():
            raise WorkerError(f"the process said {line!r} instead of {mark}")

    async def outcome(self, kind: type[_Outcome]) -> _Outcome:
        """Say that it is enough, and wait for the outcome. Raises WorkerError."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return msgspec.json.decode(await self._line(), type=kind)

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if line.startswith(_FAILED.encode()):
                raise WorkerError(line.removeprefix(_FAILED.encode()).decode().strip())
            if not line.startswith(_PROGRESS.encode()):
                return line
            if self._progress is not None:
                self._progress(line.removeprefix(_PROGRESS.encode()))
        raise WorkerError("a generator failed; what it wrote to stderr says why")


@asynccontextmanager
async def worker(
    module: str, plan: msgspec.Struct, progress: Callable[[bytes], None] | None = None
) -> AsyncIterator[Worker]:
    """Run a module with a plan; its process is gone afterwards, whatever happened.

    `progress` gets the JSON of what it tells on the way.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        cwd=_ROOT,
        stdin=PIPE,
        stdout=PIPE,
        limit=_LINE_LIMIT_BYTES,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(plan) + b"\n")
        yield Worker(process, progress)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# The end of whoever does the work.


def read_plan(kind: type[_Plan]) -> _Plan:
    """The plan, from stdin. This process ends if nobody gives one."""
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(1)
    return msgspec.json.decode(line, type=kind)


def say(mark: str) -> None:
    """Tell how far the work is. This process ends if nobody listens any more."""
    try:
        sys.stdout.write(f"{mark}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What could not be written is tried again at the end, and must not fail there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def tell(outcome: msgspec.Struct) -> None:
    """Tell what came of it."""
    say(msgspec.json.encode(outcome).decode())


def tell_progress(progress: msgspec.Struct) -> None:
    """Tell how it goes."""
    say(_PROGRESS + msgspec.json.encode(progress).decode())


def work(
    kind: type[_Plan],
    function: Callable[[_Plan], msgspec.Struct],
    failures: tuple[type[Exception], ...],
) -> None:
    """Do what the plan on stdin says, and tell what came of it.

    Of these failures the message is told, of others the traceback goes to stderr. It ends when its
    parent does, however that came about.
    """
    _end_with_parent()
    try:
        tell(function(read_plan(kind)))
    except failures as error:
        say(_FAILED + str(error).replace("\n", " "))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # 128 and the signal's number, as shells have it; nobody waits any more


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM when whoever gave the plan is gone: a killed one tells nobody.

    Where there is no such thing, the first mark that nobody reads ends the work.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
