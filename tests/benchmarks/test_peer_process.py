"""An npm that does not do what it should."""

import shutil
from pathlib import Path

import psutil
import pytest

from benchmarks import peer_process
from benchmarks.peer_process import PeerError, install, node_trouble


def _npm(folder: Path, script: str) -> str:
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


async def test_one_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    npm = _npm(tmp_path, "sleep 3600 & echo $! > child; echo $$ > self; wait")
    with pytest.raises(PeerError, match="did not end within"):
        await install(npm, tmp_path, 1.0)
    pids = [int((tmp_path / name).read_text()) for name in ("self", "child")]
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _gone, alive = psutil.wait_procs(left, timeout=10)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


async def test_one_that_fails_is_quoted_with_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="exit code 7: no such registry"):
        await install(_npm(tmp_path, "echo no such registry >&2; exit 7"), tmp_path, 20.0)


async def test_one_that_installs_nothing_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="installed nothing"):
        await install(_npm(tmp_path, "exit 0"), tmp_path, 20.0)


async def test_node_is_left_out_where_it_cannot_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package-lock.json").write_text("{}")
    npm = _npm(tmp_path, "echo no network >&2; exit 1")
    monkeypatch.setattr(peer_process, "_NODE_FOLDER", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _name: npm)
    assert await node_trouble() == ("Node is left out: npm ci failed with exit code 1: no network.")
