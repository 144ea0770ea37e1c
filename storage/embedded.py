"""The embedded PostgreSQL: a private server in the data folder, started by whoever needs it first.

It outlives a process that was killed: the next start finds it running and takes it over at once,
without a recovery. It ends when the last process that uses it stops it.
"""

import asyncio
import contextlib
import fcntl
import os
import pwd
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from storage.postmaster import (
    Account,
    EmbeddedPostgresError,
    Postmaster,
    binaries,
    clear_draft,
    clear_remains,
    data_argument,
    socket_dir,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_MAJOR_VERSION = "18"
_SUPERUSER = "pitboss"
_PORT = "5432"  # part of the socket's file name; nothing listens on TCP
_SOCKET_PREFIX = "pitboss-"
# The kernel keeps a socket's path in 108 bytes, of which "/.s.PGSQL.5432" and NUL take 15.
_MAX_SOCKET_DIR_BYTES = 90
# Replaying the log after a crash takes as long as max_wal_size lets it: seconds, on a bad disk
# minutes. Giving up earlier would only make it begin again.
_READY_LIMIT_S = 600.0
_PROGRESS_EVERY_S = 2.0
_POLL_S = 0.01
# Another process starts or stops the server under this lock; a stop takes a minute at most.
_LOCK_LIMIT_S = 700.0

# Files of the log that a new cluster has from the start, 16 MB each: half a minute of many bets.
# Making one delays a commit by 15 ms and more; later ones are old ones that are used again.
_LOG_FILES = 16
_TROUBLE = re.compile(r"\b(ERROR|FATAL|PANIC):")
_MAKE_LOG_FILE = "select pg_logical_emit_message(false, 'pitboss', ''); select pg_switch_wal();"

# For one node and its operators' commands; PostgreSQL's own default.
_CONNECTIONS = 100

_SETTINGS = {
    "listen_addresses": "",
    "port": _PORT,
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",  # fewer checkpoints while bets pour in; bounds the recovery too
    "min_wal_size": f"{16 * _LOG_FILES}MB",
    "checkpoint_timeout": "10min",
    "synchronous_commit": "on",
    "jit": "off",  # our queries are short: compiling one takes longer than running it
    "timezone": "UTC",
    "log_timezone": "UTC",
    # One file for each day of the week, begun anew when its day returns: a bounded log.
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_checkpoints": "off",
}


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class EmbeddedPostgres:
    """A PostgreSQL 18 cluster in `data_dir/postgres`, reached over a private Unix socket.

    Only the user who runs this process, and root, can connect: the kernel tells PostgreSQL who is
    at the other end (peer authentication), so there is no password to keep. Several processes may
    use one data folder; each starts and stops it, and the last stop is the one that counts.

    `fsync=False` risks the data when the machine loses power: for tests that do not kill anything.
    `connections` is how many there may be at a time; whoever starts the server decides.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        fsync: bool = True,
        connections: int = _CONNECTIONS,
        report: Callable[[str], None] = _to_stderr,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.cluster = self.data_dir / "postgres"
        self._settings = _SETTINGS | {
            "fsync": "on" if fsync else "off",
            "max_connections": str(max(connections, _CONNECTIONS)),
        }
        self._report = report
        self._start_log = self.data_dir / "postgres-start.log"
        # The socket's folder, by which clients know the server. PostgreSQL forgets it when it ends
        # in good order; here it is kept until `stop`, so that the next start has the same DSN.
        self._kept_socket_dir = self.data_dir / "postgres.socket"
        self._use: IO[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the server's process is there, ready or not."""
        return Postmaster.find(self.cluster) is not None

    async def start(self) -> str:
        """Start the server, or take over the one that runs, and return its DSN when it is ready.

        Called again while it runs, it returns the same DSN; after a crash, or an end that somebody
        else brought about, it starts the server again, under the same DSN. A recovery is waited
        for, with its progress on stderr.

        Raises:
            EmbeddedPostgresError: The server cannot run here; the message says why.
        """
        return await asyncio.to_thread(self.start_blocking)

    async def stop(self) -> None:
        """Give the server up; the last process that does shuts it down. Harmless if not started."""
        await asyncio.to_thread(self.stop_blocking)

    def start_blocking(self) -> str:
        """Do what `start` does, without an event loop."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._changing():
            account = Account.for_cluster(self.cluster)
            postmaster = self._reusable() or self._launch(account)
            self._wait_until_ready(postmaster)
            if self._use is None:
                self._use = (self.data_dir / "postgres.users").open("ab")
                fcntl.flock(self._use, fcntl.LOCK_SH)
        directory = socket_dir(self.cluster)
        return f"postgresql://{_SUPERUSER}@/postgres?host={quote(str(directory))}&port={_PORT}"

    def stop_blocking(self) -> None:
        """Do what `stop` does, without an event loop."""
        if self._use is None:
            return
        with self._changing():
            if _try_lock(self._use):  # nobody else holds it, so this is the last user
                postmaster = Postmaster.find(self.cluster)
                if postmaster is not None:
                    postmaster.shut_down()
                self._forget_socket_dir()
            self._use.close()
            self._use = None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock under which the server is started and stopped, one process at a time."""
        with (self.data_dir / "postgres.lock").open("ab") as lock:
            deadline = time.monotonic() + _LOCK_LIMIT_S
            while not _try_lock(lock):
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"another process has been starting PostgreSQL in {self.data_dir} for"
                        f" {_LOCK_LIMIT_S:.0f} s"
                    )
                time.sleep(_POLL_S)
            yield

    def _reusable(self) -> Postmaster | None:
        """The postmaster that runs already, if it is one that we would have started."""
        postmaster = Postmaster.find(self.cluster)
        if postmaster is None:
            return None
        with (self.data_dir / "postgres.users").open("ab") as users:
            alone = self._use is None and _try_lock(users)
        leaving = postmaster.status() == "stopping"
        if leaving or (alone and not postmaster.was_started_with(self._settings)):
            postmaster.shut_down()
            return None
        return postmaster

    def _forget_socket_dir(self) -> None:
        directory = self._known_socket_dir()
        if directory is not None and _is_private(directory, Account.for_cluster(self.cluster)):
            shutil.rmtree(directory, ignore_errors=True)
        self._kept_socket_dir.unlink(missing_ok=True)

    def _known_socket_dir(self) -> Path | None:
        try:
            return Path(self._kept_socket_dir.read_text())
        except FileNotFoundError:
            return None

    def _launch(self, account: Account) -> Postmaster:
        if not self.cluster.exists():
            self._create_cluster(account)
        found = (self.cluster / "PG_VERSION").read_text().strip()
        if found != _MAJOR_VERSION:
            raise EmbeddedPostgresError(
                f"{self.cluster} was made by PostgreSQL {found}, and this is {_MAJOR_VERSION}"
            )
        directory = self._private_socket_dir(account)
        clear_remains(self.cluster)
        self._write_access_rules(account)
        settings = self._settings | {"unix_socket_directories": str(directory)}
        postmaster = Postmaster.spawn(self.cluster, account, settings, log=self._start_log)
        while not postmaster.status():
            if not postmaster.alive():
                shutil.rmtree(directory)
                reason = postmaster.last_words(self._start_log)
                raise EmbeddedPostgresError(f"PostgreSQL does not start: {reason}")
            time.sleep(_POLL_S)
        return postmaster

    def _create_cluster(self, account: Account) -> None:
        # Made under another name: one that was cut short must not look like a cluster.
        draft = self.data_dir / "postgres.new"
        self._make_cluster(draft, account)
        if self._settings["fsync"] == "on":
            trouble = self._make_log_files(draft, account)
            if trouble:
                self._report(f"PostgreSQL starts without log files to spare: {trouble}")
                self._make_cluster(draft, account)
        draft.rename(self.cluster)

    def _make_cluster(self, draft: Path, account: Account) -> None:
        clear_draft(draft)
        draft.mkdir(mode=0o700)
        account.give(draft)
        arguments = [
            f"--pgdata={data_argument(draft, account)}",
            f"--username={_SUPERUSER}",
            "--auth=peer",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        if self._settings["fsync"] == "off":
            arguments.append("--no-sync")
        done = account.run([str(binaries(account) / "initdb"), *arguments], cwd=draft)
        if done.returncode != 0:
            clear_draft(draft)
            raise EmbeddedPostgresError(f"initdb failed: {done.stderr.strip() or done.stdout}")

    def _make_log_files(self, draft: Path, account: Account) -> str:
        """Fill log files, and have the checkpoint keep them. What went wrong; empty if nothing."""
        postgres = [str(binaries(account) / "postgres"), "--single"]
        where = ["-D", data_argument(draft, account)]
        keep = ["-c", f"min_wal_size={self._settings['min_wal_size']}", "postgres"]
        told = f"{_MAKE_LOG_FILE}\n" * _LOG_FILES + "checkpoint;\n"
        done = account.run([*postgres, *where, *keep], cwd=draft, told=told)
        # A statement that fails is an ERROR in what it says, and no other exit code.
        said = [line for line in done.stderr.splitlines() if _TROUBLE.search(line)]
        if done.returncode != 0:
            said.append(f"exit code {done.returncode}")
        return said[0] if said else ""

    def _write_access_rules(self, account: Account) -> None:
        me = pwd.getpwuid(os.geteuid()).pw_name
        users = "".join(f"pitboss {name} {_SUPERUSER}\n" for name in sorted({me, "root"}))
        for name, text in {
            "pg_hba.conf": "local all all peer map=pitboss\n",
            "pg_ident.conf": users,
        }.items():
            path = self.cluster / name
            path.unlink(missing_ok=True)
            # As root: never through a link that the account may have put there.
            with path.open("x") as file:
                file.write(text)
            account.give(path)

    def _private_socket_dir(self, account: Account) -> Path:
        """A folder that nobody else can enter, with a path short enough for a socket."""
        known = self._known_socket_dir()
        if known is not None:
            with contextlib.suppress(OSError):  # it is there, or its place is not ours any more
                known.mkdir(mode=0o700)
                account.give(known)
        if known is not None and _is_private(known, account):
            for left in known.glob(".s.PGSQL.*"):  # the socket of a killed postmaster, and its lock
                left.unlink()
            return known
        base = Path("/run") if account.switched else Path(tempfile.gettempdir())
        if not os.access(base, os.W_OK) or len(os.fsencode(base)) > _MAX_SOCKET_DIR_BYTES - 20:
            base = Path("/tmp")  # noqa: S108 - mkdtemp makes a private folder with an unused name
        directory = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=base))
        account.give(directory)
        self._kept_socket_dir.write_text(str(directory))
        return directory

    def _wait_until_ready(self, postmaster: Postmaster) -> None:
        started = time.monotonic()
        reported = started
        while postmaster.status() != "ready":
            now = time.monotonic()
            if not postmaster.alive():
                reason = postmaster.last_words(self._start_log)
                raise EmbeddedPostgresError(f"PostgreSQL ended while it recovered: {reason}")
            if now - started > _READY_LIMIT_S:
                raise EmbeddedPostgresError(
                    f"PostgreSQL is not ready after {_READY_LIMIT_S:.0f} s; its log is in"
                    f" {self.cluster / 'log'}"
                )
            if now - reported > _PROGRESS_EVERY_S:
                reported = now
                self._report(f"PostgreSQL is recovering ({now - started:.0f} s so far)")
            time.sleep(_POLL_S)


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_private(directory: Path, account: Account) -> bool:
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    return private and found.st_uid == account.uid and directory.name.startswith(_SOCKET_PREFIX)
