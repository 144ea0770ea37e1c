"""A worker's ties to its supervisor: it says when it is ready, and ends when nobody is there."""

import asyncio
import os
import sys
from typing import Final

import msgspec

_STDIN: Final = 0
# The supervisor says nothing there: what is read is its end.
_CHUNK_BYTES: Final = 4_096


class Ready(msgspec.Struct, frozen=True):
    """What a worker writes on its standard output, in one line, when it takes players."""

    token: str | None = None
    """The demo player's, where the worker was to make one."""


def say_ready(token: str | None) -> None:
    """Tell the supervisor that this worker takes players."""
    sys.stdout.write(f"{msgspec.json.encode(Ready(token)).decode()}\n")
    sys.stdout.flush()


def end_with_supervisor(stopping: asyncio.Event) -> None:
    """Have `stopping` set once the supervisor has gone, however that happened.

    It holds the other end of this process' standard input, which the kernel closes for it even
    when it is killed.
    """
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(_STDIN, _CHUNK_BYTES):
            loop.remove_reader(_STDIN)
            stopping.set()

    loop.add_reader(_STDIN, look)
