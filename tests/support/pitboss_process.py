"""A real Pitboss server in its own process, as an operator would start it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

_ADDRESS: Final = re.compile(r"sockets\s+(http://[\d.]+:\d+)")
_TOKEN: Final = re.compile(r"^\s{4}(ey[\w-]+\.[\w-]+\.[\w-]+)$", re.MULTILINE)
# A first start makes a database cluster, which on a busy machine takes its time.
_START_LIMIT_S: Final = 120.0
_STOP_LIMIT_S: Final = 60.0
_ROOT: Final = Path(__file__).resolve().parents[2]


class PitbossProcess:
    """`pitboss serve` on a free port, with its output in a file."""

    def __init__(self, folder: Path, *, workers: int = 1, **environment: str) -> None:
        self.folder = folder
        self._workers = workers
        self.output = folder / "serve.out"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not _is_setting(name)},
            "PITBOSS_DATA_DIR": str(folder / "data"),
            "PITBOSS_PORT": "0",
            "PITBOSS_CRASH_TABLES": "[]",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.token = ""

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes bets."""
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server", "serve", "--workers", str(self._workers)],
                cwd=_ROOT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self.log()}")
            address = _ADDRESS.search(self.log())
            if address and self._ready(address.group(1)):
                self.url = address.group(1)
                token = _TOKEN.search(self.log())
                self.token = token.group(1) if token else ""
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server did not get ready:\n{self.log()}")

    def _ready(self, url: str) -> bool:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def log(self) -> str:
        """All that it has said."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def kill(self) -> None:
        """End it without warning, as a power cut of the process would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(_STOP_LIMIT_S)

    def freeze(self) -> None:
        """Stop it where it stands, as a paused virtual machine would be."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on where it was stopped."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def terminate(self) -> None:
        """Ask it to drain."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code."""
        assert self._process is not None
        return self._process.wait(_STOP_LIMIT_S)

    def stop(self) -> int:
        """Drain it and return its exit code; harmless if it has ended."""
        assert self._process is not None
        if self._process.poll() is None:
            self.terminate()
        return self.wait()


def _is_setting(name: str) -> bool:
    return name.startswith("PITBOSS_") or name in {"DATABASE_URL", "REDIS_URL"}
