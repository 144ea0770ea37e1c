"""An alarm that a poll can wait for, exact to some ten microseconds.

A poll's own limit counts in milliseconds, which is as long as a commit takes. A timerfd of the
kernel does not, and Python has it from 3.13 on; until then it is called by ctypes.
"""

import ctypes
import os
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
    """Readable from a moment of `time.perf_counter_ns` on, which is Linux's monotonic clock."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def fileno(self) -> int:
        """The file to wait for."""
        return self._fd

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns`, at once if that is past; an earlier setting is forgotten."""
        spec = _Timerspec(0, 0, *divmod(at_ns, _NS))
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def hush(self) -> None:
        """Ring no more, until it is set again. It must have rung."""
        os.read(self._fd, 8)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)
