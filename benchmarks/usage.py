"""What processes use: CPU time and memory, Pitboss and PostgreSQL apart."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Self

import asyncpg
import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """Cores kept busy on average: by Pitboss, by PostgreSQL, and by everything on the machine."""

    server: float
    postgres: float
    machine: float


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds used until a moment, which is in seconds too."""

    server_s: float
    postgres_s: float
    machine_s: float
    at_s: float

    def since(self, before: Self) -> Usage:
        """What was used between two readings."""
        elapsed_s = self.at_s - before.at_s
        return Usage(
            (self.server_s - before.server_s) / elapsed_s,
            (self.postgres_s - before.postgres_s) / elapsed_s,
            (self.machine_s - before.machine_s) / elapsed_s,
        )


class Meter:
    """Reads a server's processes: the one of `server_pid` with its workers, and a postmaster's."""

    def __init__(self, server_pid: int | None, postmaster_pid: int | None) -> None:
        self._server = server_pid
        self._postmaster = postmaster_pid

    def read(self) -> Reading:
        """What was used until now; a process that is not known counts as 0."""
        machine = psutil.cpu_times()
        waits = machine.idle + machine.iowait + machine.guest + machine.guest_nice
        return Reading(
            sum(map(_cpu_s, _family(self._server))),
            sum(map(_cpu_s, _family(self._postmaster))),
            sum(machine) - waits,
            perf_counter(),
        )

    def known(self, usage: Usage) -> Usage:
        """What was used, but NaN by a process that is not known."""
        if self._server is None:
            usage = replace(usage, server=math.nan)
        return usage if self._postmaster is not None else replace(usage, postgres=math.nan)

    def memory_mb(self) -> tuple[float, float]:
        """Megabytes of the server and of PostgreSQL; pages that are shared count once."""
        return _memory_mb(_family(self._server)), _memory_mb(_family(self._postmaster))


@dataclass(frozen=True, slots=True)
class Resident:
    """What a process has in memory: all of it, and without the files that it shares with others."""

    rss_bytes: int
    heap_bytes: int


def resident(pid: int) -> Resident:
    """The memory of one process now.

    Not USS: a page of a library is a process's own until anybody else loads that library.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return Resident(_kb(fields["VmRSS"]), _kb(fields["RssAnon"]))


def _kb(field: str) -> int:
    return int(field.removesuffix("kB")) * 1_024


async def postmaster_pid(database_url: str) -> int:
    """The main process of a PostgreSQL on this machine: the parent of whoever serves us."""
    connection = await asyncpg.connect(database_url)
    try:
        backend = psutil.Process(await connection.fetchval("select pg_backend_pid()"))
        return int(backend.ppid())
    finally:
        await connection.close()


def _family(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process, with those of its children that have ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _memory_mb(processes: Iterable[psutil.Process]) -> float:
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
