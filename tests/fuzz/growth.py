"""Work and memory grow with the size of the input and no faster."""

from __future__ import annotations

import sys
import time
import tracemalloc
from typing import Final

from tests.fuzz.case import Case, Finding, Target, require

# Lines of ours that run for one case, and for each byte of it. A server is begun and ended in a few
# hundred lines, and a step of a connection takes as many; the walk to the placeholders takes seven
# for two bytes (`1,`).
_STEPS_PER_CASE: Final = 2_000
_STEPS_PER_PART: Final = 600
_STEPS_PER_BYTE: Final = 8
# Memory is measured for cases of this size and more: below it the constant part decides.
_MEASURED_BYTES: Final = 4_096
# What a byte of input may cost at most while it is read. The worst are maps of one entry in msgpack
# (3 bytes make a dict of 232) and empty lists in JSON (`[],` makes one of 64, with its slot).
_MEMORY_PER_BYTE: Final = 130
_MEMORY_PER_CASE: Final = 65_536
# CPU time: a hundred times what the slowest input takes, so that only another order of growth
# exceeds it, and then in the best of three.
_CPU_S_PER_CASE: Final = 0.02
_CPU_S_PER_BYTE: Final = 20e-6


def check_growth(target: Target, case: Case, steps: int) -> None:
    """Raise `Finding` where a case costs more than its size allows."""
    size = sum(map(len, case))
    bound = _STEPS_PER_CASE + _STEPS_PER_PART * len(case) + _STEPS_PER_BYTE * size
    require(steps <= bound, "the lines that run grow with the input's size alone")
    if size < _MEASURED_BYTES:
        return
    allowed = _MEMORY_PER_CASE + _MEMORY_PER_BYTE * size
    require(_peak_bytes(target, case) <= allowed, "memory grows with the input's size alone")
    if _cpu_s(target, case) > _CPU_S_PER_CASE + _CPU_S_PER_BYTE * size:
        raise Finding("time grows with the input's size alone")


def _peak_bytes(target: Target, case: Case) -> int:
    tracemalloc.start()
    try:
        target.run(case)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _cpu_s(target: Target, case: Case) -> float:
    before, best_s = sys.gettrace(), float("inf")
    sys.settrace(None)
    try:
        for _ in range(3):
            began_s = time.thread_time()
            target.run(case)
            best_s = min(best_s, time.thread_time() - began_s)
    finally:
        sys.settrace(before)
    return best_s
