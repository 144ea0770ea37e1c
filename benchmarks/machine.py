"""On what a figure was measured."""

import os
import platform
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import NamedTemporaryFile
from textwrap import fill
from typing import Any, Final

import asyncpg
import psutil

_PACKAGES: Final = ("picows", "uvloop", "msgspec", "asyncpg", "aiohttp", "python-socketio")
_STEPS: Final = 1_000_000
_SYNCS: Final = 100
_PAGE: Final = b"\0" * 8_192


async def describe(database_url: str | None, data_dir: Path | None) -> dict[str, Any]:
    """The machine, its versions, and what its disk takes to sync, by name."""
    found: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "loop_ms": round(_loop_ms(), 1),
        **_versions(),
    }
    if database_url is not None:
        found |= await _postgres(database_url)
    if data_dir is not None:
        found["sync_ms"] = round(_sync_ms(data_dir), 2)
    return found


def _versions() -> dict[str, str]:
    """Of the packages that are here: a server is installed without those of its peers."""
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def line(machine: dict[str, Any]) -> str:
    """All of it, folded as text is."""
    return fill("Machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()), 99)


def _loop_ms() -> float:
    """What a million steps of a plain loop take: machines that are shared vary by the minute."""
    began = time.process_time()
    total = 0
    for number in range(_STEPS):
        total += number & 7
    return (time.process_time() - began) * 1_000


def _cpu_model() -> str:
    for entry in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = entry.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor()


async def _postgres(database_url: str) -> dict[str, str]:
    connection = await asyncpg.connect(database_url)
    try:
        names = ("server_version", "fsync", "synchronous_commit")
        values = [await connection.fetchval("select current_setting($1)", name) for name in names]
    finally:
        await connection.close()
    return dict(zip(("postgresql", *names[1:]), values, strict=True))


def _sync_ms(folder: Path) -> float:
    """Mean time to write one page and have it on the disk: below this no commit can be."""
    with NamedTemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(_PAGE)
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - began) / _SYNCS * 1_000
