"""What processes use: CPU time and memory, Pitboss and PostgreSQL apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since each process began, and since the machine did."""

    server_s: float
    postgres_s: float
    machine_s: float

    def __sub__(self, before: Self) -> "Usage":
        return Usage(
            self.server_s - before.server_s,
            self.postgres_s - before.postgres_s,
            self.machine_s - before.machine_s,
        )


class Meter:
    """Reads a server's processes: the one of `server_pid` with its workers, and a postmaster's."""

    def __init__(self, server_pid: int | None, postmaster_pid: int | None) -> None:
        self._server = server_pid
        self._postmaster = postmaster_pid

    def usage(self) -> Usage:
        """What was used until now; a process that is not known counts as 0."""
        machine = psutil.cpu_times()
        waits = machine.idle + machine.iowait + machine.guest + machine.guest_nice
        return Usage(
            sum(map(_cpu_s, _family(self._server))),
            sum(map(_cpu_s, _family(self._postmaster))),
            sum(machine) - waits,
        )

    def memory_mb(self) -> tuple[float, float]:
        """Megabytes of the server and of PostgreSQL; pages that are shared count once."""
        return _memory_mb(_family(self._server)), _memory_mb(_family(self._postmaster))


def postmaster_pid(data_dir: Path) -> int:
    """The postmaster of the embedded PostgreSQL in `data_dir`."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


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
