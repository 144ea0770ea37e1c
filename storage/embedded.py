"""The embedded PostgreSQL: a private server in the data folder, started by whoever needs it first.

It outlives a process that was killed: the next start finds it running and takes it over at once,
without a recovery. It ends when the last process that uses it stops it.
"""

import asyncio
import os
import pwd
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
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
from storage.shared_use import SharedUse
from storage.socket_folder import SocketFolder

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_MAJOR_VERSION = "18"
_SUPERUSER = "pitboss"
_PORT = "5432"  # part of the socket's file name; nothing listens on TCP
# Replaying the log after a crash takes as long as max_wal_size lets it: seconds, on a bad disk
# minutes. Giving up earlier would only make it begin again.
_READY_LIMIT_S = 600.0
_PROGRESS_EVERY_S = 2.0
_POLL_S = 0.01

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
        # in good order; here it is kept until `stop`, so that the next start has the same DSN. A
        # killed postmaster leaves its socket there, and its lock.
        self._folder = SocketFolder(self.data_dir / "postgres.socket", leftovers=".s.PGSQL.*")
        self._use = SharedUse(self.data_dir, "postgres", EmbeddedPostgresError)

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
        with self._use.changing():
            account = Account.for_cluster(self.cluster)
            postmaster = self._reusable() or self._launch(account)
            self._wait_until_ready(postmaster)
            self._use.begin()
        directory = socket_dir(self.cluster)
        return f"postgresql://{_SUPERUSER}@/postgres?host={quote(str(directory))}&port={_PORT}"

    def stop_blocking(self) -> None:
        """Do what `stop` does, without an event loop."""
        if not self._use.begun:
            return
        with self._use.changing():
            if self._use.alone():
                postmaster = Postmaster.find(self.cluster)
                if postmaster is not None:
                    postmaster.shut_down()
                self._folder.forget(Account.for_cluster(self.cluster))
            self._use.end()

    def _reusable(self) -> Postmaster | None:
        """The postmaster that runs already, if it is one that we would have started."""
        postmaster = Postmaster.find(self.cluster)
        if postmaster is None:
            return None
        alone = not self._use.begun and self._use.alone()
        leaving = postmaster.status() == "stopping"
        if leaving or (alone and not postmaster.was_started_with(self._settings)):
            postmaster.shut_down()
            return None
        return postmaster

    def _launch(self, account: Account) -> Postmaster:
        if not self.cluster.exists():
            self._create_cluster(account)
        found = (self.cluster / "PG_VERSION").read_text().strip()
        if found != _MAJOR_VERSION:
            raise EmbeddedPostgresError(
                f"{self.cluster} was made by PostgreSQL {found}, and this is {_MAJOR_VERSION}"
            )
        directory = self._folder.ready(account)
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
