"""A process that works for another does not outlive it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil

_ROOT: Final = Path(__file__).parents[2]
_WORKER: Final = (
    "import time, msgspec;"
    "from benchmarks import worker;"
    "Plan = msgspec.defstruct('Plan', []);"
    "worker.work(Plan, lambda _: (worker.say('begin'), {then}, Plan())[-1], ())"
)
# Longer than any test waits.
_ASLEEP: Final = "time.sleep(3600)"
_LIMIT_S: Final = 20.0


def _worker(then: str) -> list[str]:
    return [sys.executable, "-c", _WORKER.format(then=then)]


def test_it_ends_when_its_parent_was_killed() -> None:
    # The parent tells who works for it, and hands the plan and the answers through.
    parent = (
        "import subprocess, sys;"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE);"
        "child.stdin.write(b'{}\\n'); child.stdin.flush();"
        "child.stdout.readline(); print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, *_worker(_ASLEEP)], cwd=_ROOT, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        worker = psutil.Process(int(running.stdout.readline()))
        os.kill(running.pid, signal.SIGKILL)
    _gone, alive = psutil.wait_procs([worker], timeout=_LIMIT_S)
    for process in alive:
        process.kill()
    assert not alive


def test_it_says_nothing_when_nobody_listens_any_more() -> None:
    with subprocess.Popen(
        _worker("input()"),
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdin.write(b"{}\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"begin\n"
        running.stdout.close()
        running.stdin.write(b"enough\n")
        running.stdin.close()
        assert running.stderr.read() == b""
        assert running.wait(_LIMIT_S) == 1


def test_it_ends_when_nobody_gives_a_plan() -> None:
    done = subprocess.run(
        _worker(_ASLEEP),
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
