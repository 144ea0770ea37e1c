"""Work and memory grow with the size of the input and no faster."""

from __future__ import annotations

import sys
import time
import tracemalloc
from typing import Final

from protocol.bounds import MAX_CONTAINERS
from tests.fuzz.case import Case, Finding, Target, require

# Lines of ours that run for one case, and for each byte of it. A server is begun and ended in a few
# hundred lines, and a step of a connection takes as many. Of a byte that is a value in msgpack each
# walk takes a line: when it is read, written, and read again.
_STEPS_PER_CASE: Final = 2_000
_STEPS_PER_PART: Final = 600
_STEPS_PER_BYTE: Final = 4
# The same walks at each list and object, of which only so many are let in.
_STEPS_PER_CONTAINER: Final = 40
# Memory is measured for cases of this size and more: below it the constant part decides.
_MEASURED_BYTES: Final = 4_096
# What a byte of input may cost at most while it is read, written and read again. The worst are
# empty bytes in msgpack (2 bytes make three objects of 33, with their slots).
_MEMORY_PER_BYTE: Final = 200
# An empty list or object is a byte in msgpack, and makes as many objects of 64 with their slots.
_MEMORY_PER_CONTAINER: Final = 200
_MEMORY_PER_CASE: Final = 65_536
# CPU time: a hundred times what the slowest input takes, so that only another order of growth
# exceeds it, and then in each of three tries.
_CPU_S_PER_CASE: Final = 0.02
_CPU_S_PER_BYTE: Final = 20e-6
_TRIES: Final = 3


def check_growth(target: Target, case: Case, steps: int) -> None:
    """Raise `Finding` where a case costs more than its size allows."""
    size = sum(map(len, case))
    containers = min(size, MAX_CONTAINERS)
    bound = _STEPS_PER_CASE + _STEPS_PER_PART * len(case) + _STEPS_PER_BYTE * size
    bound += _STEPS_PER_CONTAINER * containers
    require(steps <= bound, "the lines that run grow with the input's size alone")
    if size < _MEASURED_BYTES:
        return
    allowed = _MEMORY_PER_CASE + _MEMORY_PER_BYTE * size + _MEMORY_PER_CONTAINER * containers
    require(_peak_bytes(target, case) <= allowed, "memory grows with the input's size alone")
    limit_s = _CPU_S_PER_CASE + _CPU_S_PER_BYTE * size
    if all(_cpu_s(target, case) > limit_s for _ in range(_TRIES)):
        raise Finding("time grows with the input's size alone")


def _peak_bytes(target: Target, case: Case) -> int:
    tracemalloc.start()
    try:
        target.run(case)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _cpu_s(target: Target, case: Case) -> float:
    before = sys.gettrace()
    sys.settrace(None)
    try:
        began_s = time.thread_time()
        target.run(case)
        return time.thread_time() - began_s
    finally:
        sys.settrace(before)
