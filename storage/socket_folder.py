"""The folder of a server's Unix socket: private, short of path, and the same after a crash."""

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from storage.postmaster import Account

_PREFIX = "pitboss-"
# The kernel keeps a socket's path in 108 bytes, of which "/.s.PGSQL.5432" and NUL take 15.
_MAX_BYTES = 90


class SocketFolder:
    """A folder that nobody else can enter. Its path is remembered in the file `kept`.

    `leftovers` is a pattern of what a killed server leaves in it.
    """

    def __init__(self, kept: Path, leftovers: str) -> None:
        self._kept = kept
        self._leftovers = leftovers

    def known(self) -> Path | None:
        """The folder that was made last, whether it is still there or not."""
        try:
            return Path(self._kept.read_text())
        except FileNotFoundError:
            return None

    def ready(self, account: Account) -> Path:
        """The folder as before if possible, or a new one, empty of sockets. No server uses it."""
        known = self.known()
        if known is not None:
            with contextlib.suppress(OSError):  # it is there, or its place is not ours any more
                known.mkdir(mode=0o700)
                account.give(known)
        if known is not None and _is_private(known, account):
            for left in known.glob(self._leftovers):
                left.unlink()
            return known
        base = Path("/run") if account.switched else Path(tempfile.gettempdir())
        if not os.access(base, os.W_OK) or len(os.fsencode(base)) > _MAX_BYTES - 20:
            base = Path("/tmp")  # noqa: S108 - mkdtemp makes a private folder with an unused name
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        account.give(directory)
        self._kept.write_text(str(directory))
        return directory

    def forget(self, account: Account) -> None:
        """Remove the folder; the next one has another path."""
        directory = self.known()
        if directory is not None and _is_private(directory, account):
            shutil.rmtree(directory, ignore_errors=True)
        self._kept.unlink(missing_ok=True)


def _is_private(directory: Path, account: Account) -> bool:
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    return private and found.st_uid == account.uid and directory.name.startswith(_PREFIX)
