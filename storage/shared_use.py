"""A server that several processes use: one at a time starts or ends it, the last to go ends it."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_POLL_S = 0.01
# Another process starts or stops the server under this lock; a recovery takes minutes at most.
_LOCK_LIMIT_S = 700.0


class SharedUse:
    """This process's use of the server called `name` in a data folder, which must exist by then.

    The kernel keeps the locks: a process that is killed uses nothing any more.
    """

    def __init__(self, data_dir: Path, name: str, error: type[Exception]) -> None:
        self._data_dir = data_dir
        self._name = name
        self._error = error
        self._users: IO[bytes] | None = None

    @property
    def begun(self) -> bool:
        """Whether this process uses the server."""
        return self._users is not None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Start or end the server meanwhile: nobody else does. Raises `error` if somebody hangs."""
        with (self._data_dir / f"{self._name}.lock").open("ab") as lock:
            deadline = time.monotonic() + _LOCK_LIMIT_S
            while not _try_lock(lock):
                if time.monotonic() > deadline:
                    raise self._error(
                        f"another process has been starting {self._name} in {self._data_dir} for"
                        f" {_LOCK_LIMIT_S:.0f} s"
                    )
                time.sleep(_POLL_S)
            yield

    def begin(self) -> None:
        """Use the server from now on. Harmless if begun."""
        if self._users is None:
            self._users = self._open()
            fcntl.flock(self._users, fcntl.LOCK_SH)

    def alone(self) -> bool:
        """Whether no other process uses it. Call it while `changing`."""
        if self._users is None:
            with self._open() as users:
                return _try_lock(users)
        found = _try_lock(self._users)
        fcntl.flock(self._users, fcntl.LOCK_SH)
        return found

    def end(self) -> None:
        """Use it no more. Harmless if not begun."""
        if self._users is not None:
            self._users.close()
            self._users = None

    def _open(self) -> IO[bytes]:
        return (self._data_dir / f"{self._name}.users").open("ab")


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
