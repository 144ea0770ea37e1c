"""A crowd in a process of its own: it joins, stays until its stdin ends, and tells what it saw."""

import gc
import select
import sys
from time import perf_counter_ns, process_time
from typing import Final

import msgspec

from benchmarks.crowd import Crowd
from benchmarks.deliveries import Deliveries, Publication, Watcher
from benchmarks.worker import read_plan, say, tell

JOINED: Final = "joined"

# How often it looks whether it is enough.
_LOOK_NS: Final = 50_000_000


class WatchPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A connection for each `auth` of the handshake."""

    url: str
    auths: list[dict[str, str]]


class WatchOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """What the crowd saw.

    `join_s` is how long it took all to join, a few at a time; `least_pings` the heartbeats of the
    connection that had fewest; `cpu_s` the CPU time of this process since all had joined.
    """

    join_s: float
    least_pings: int
    cpu_s: float
    publications: list[Publication]


def run(plan: WatchPlan) -> WatchOutcome:
    """Join, watch until stdin ends, and leave.

    Raises:
        LineError: A connection was refused or lost, or a broadcast did not come in order.
    """
    deliveries = Deliveries()
    watchers = [Watcher(auth, deliveries) for auth in plan.auths]
    crowd = Crowd(watchers)
    began_ns = perf_counter_ns()
    crowd.join(plan.url)
    join_s = (perf_counter_ns() - began_ns) / 1e9
    say(JOINED)
    cpu_s = process_time()
    while not select.select([sys.stdin], [], [], 0)[0]:
        crowd.turn(perf_counter_ns() + _LOOK_NS)
    cpu_s = process_time() - cpu_s
    crowd.close()
    least_pings = min(watcher.pings for watcher in watchers)
    return WatchOutcome(join_s, least_pings, cpu_s, deliveries.publications())


if __name__ == "__main__":
    gc.disable()  # a pause to collect garbage would look like the server's; a run makes little
    tell(run(read_plan(WatchPlan)))
