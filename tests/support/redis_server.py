"""A real Redis for tests."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from storage.redis_server import NOT_PERSISTING

_START_LIMIT_S = 10.0
# Between choosing a free port and binding it somebody else may take it; rarely, and never often.
_ATTEMPTS = 5


@contextmanager
def redis_running(program: str, folder: Path) -> Iterator[str]:
    """Run a Redis that keeps nothing on disk, on a free loopback port, and yield its URL."""
    for _ in range(_ATTEMPTS):
        port = _free_port()
        process = _spawn(program, port, folder)
        try:
            where = ("127.0.0.1", port)
            if _answers(process, partial(socket.create_connection, where, timeout=1)):
                yield f"redis://127.0.0.1:{port}/0"
                return
        finally:
            process.terminate()
            process.wait()
    raise RuntimeError(f"{program} does not start: {(folder / 'redis.log').read_text()}")


class PrivateRedis:
    """A Redis of one test, on a Unix socket: it can be frozen, ended and started again, empty."""

    def __init__(self, program: str, folder: Path) -> None:
        self._path = folder / "redis.sock"
        self._disk = folder / "disk"
        self._command = [program, "--port", "0", "--unixsocket", str(self._path)]
        self._command += ["--dir", str(self._disk), *NOT_PERSISTING]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._path}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._disk.mkdir(exist_ok=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        if not _answers(self._process, self._connect):
            raise RuntimeError(f"{self._command[0]} does not start")

    def stop(self) -> None:
        """End it as a crash does. Harmless if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it answer nobody."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def lose_disk(self) -> None:
        """Leave it nowhere to write to."""
        shutil.rmtree(self._disk)

    def _signal(self, number: int) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(1)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection


@contextmanager
def private_redis_running(program: str) -> Iterator[PrivateRedis]:
    """Run a Redis of one's own."""
    with tempfile.TemporaryDirectory(prefix="pitboss-redis-") as folder:
        redis = PrivateRedis(program, Path(folder))
        redis.start()
        try:
            yield redis
        finally:
            redis.stop()


def _spawn(program: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    with (folder / "redis.log").open("ab") as log:
        return subprocess.Popen(
            [program, *options, *NOT_PERSISTING], stdout=log, stderr=subprocess.STDOUT
        )


def _answers(process: subprocess.Popen[bytes], connect: Callable[[], socket.socket]) -> bool:
    deadline = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with connect() as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            time.sleep(0.02)
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
