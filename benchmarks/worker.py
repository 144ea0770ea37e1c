"""Work in a process of its own: a plan goes in, marks of its progress and an outcome come out.

All of it is lines: the plan and the outcome as JSON, the marks as they are.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

_Plan = TypeVar("_Plan", bound=msgspec.Struct)
_Outcome = TypeVar("_Outcome", bound=msgspec.Struct)

# The ends of the window within which the server is measured.
BEGIN: Final = "begin"
END: Final = "end"

_ROOT: Final = Path(__file__).parents[1]
# Tokens of 10,000 players are the longest line; an outcome has two histograms of 4,352 buckets.
_LINE_LIMIT_BYTES: Final = 16_000_000


class WorkerError(Exception):
    """The work failed; what its process wrote to stderr says why."""


class Worker:
    """The end of whoever gave the plan."""

    def __init__(self, process: Process) -> None:
        self._process = process

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
        line = await self._process.stdout.readline()
        if not line:
            raise WorkerError("a generator failed; what it wrote to stderr says why")
        return line


@asynccontextmanager
async def worker(module: str, plan: msgspec.Struct) -> AsyncIterator[Worker]:
    """Run a module with a plan; its process is gone afterwards, whatever happened."""
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
        yield Worker(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# The end of whoever does the work.


def read_plan(kind: type[_Plan]) -> _Plan:
    """The plan, from stdin."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)


def say(mark: str) -> None:
    """Tell how far the work is."""
    sys.stdout.write(f"{mark}\n")
    sys.stdout.flush()


def tell(outcome: msgspec.Struct) -> None:
    """Tell what came of it."""
    say(msgspec.json.encode(outcome).decode())
