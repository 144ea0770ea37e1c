"""A real Redis for tests."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
            if _answers(process, port):
                yield f"redis://127.0.0.1:{port}/0"
                return
        finally:
            process.terminate()
            process.wait()
    raise RuntimeError(f"{program} does not start: {(folder / 'redis.log').read_text()}")


def _spawn(program: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    with (folder / "redis.log").open("ab") as log:
        return subprocess.Popen(
            [program, *options, *NOT_PERSISTING], stdout=log, stderr=subprocess.STDOUT
        )


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
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
