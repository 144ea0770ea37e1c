"""An alarm for an event loop, exact to some ten microseconds.

The timers of uvloop, as of asyncio, count in milliseconds, which is as long as a commit takes. A
timerfd of the kernel does not, and Python has it from 3.13 on; until then it is called by ctypes.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from typing import Final

_CLOCK_MONOTONIC: Final = 1
_ABSOLUTE: Final = 1
_NS: Final = 1_000_000_000


class _Timerspec(ctypes.Structure):
    """`struct itimerspec` of Linux: no interval, and the time to ring."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("at_s", ctypes.c_long),
        ("at_ns", ctypes.c_long),
    )


class Alarm:
    """Calls `ring` at a moment of `time.perf_counter_ns`, which is Linux's monotonic clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._loop = loop
        self._ring = ring
        loop.add_reader(self._fd, self._rang)

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns`, at once if that is past; an earlier setting is forgotten."""
        spec = _Timerspec(0, 0, *divmod(at_ns, _NS))
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def _rang(self) -> None:
        os.read(self._fd, 8)
        self._ring()

    def close(self) -> None:
        """Never ring again."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
