"""SIGTERM does what Ctrl-C does: what was started ends, and what was made is removed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM as SIGINT within: under asyncio it cancels, elsewhere KeyboardInterrupt comes.

    For the main thread, around whatever leaves processes or folders behind if it is cut off. A
    shell starts what runs in its background with SIGINT ignored: that is undone within, too.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
