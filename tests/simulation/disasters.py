"""What befalls the members of a cluster. Each disaster undoes itself, also when it is cut short."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

# How slow a slow bus is: announcements are late, and some answers too.
SLOW_S: Final = 2.0


async def strike(cluster: "Cluster", disaster: str) -> None:
    """Let a disaster take its course."""
    await _DISASTERS[disaster](cluster)


async def _kill(cluster: "Cluster") -> None:
    if len(cluster.live) == 1:
        cluster.start()
    cluster.victim().kill()
    await asyncio.sleep(cluster.lasts_s())
    if len(cluster.live) < cluster.cluster_plan.members:
        cluster.start()


async def _restart(cluster: "Cluster") -> None:
    leaver = cluster.victim()
    cluster.start()
    await leaver.stop()


async def _join(cluster: "Cluster") -> None:
    if len(cluster.live) < cluster.cluster_plan.most:
        cluster.start()


async def _leave(cluster: "Cluster") -> None:
    if len(cluster.live) > 1:
        await cluster.victim().stop()


async def _pause(cluster: "Cluster") -> None:
    member = cluster.victim()
    member.pause()
    try:
        await asyncio.sleep(cluster.lasts_s())
    finally:
        member.go_on()


async def _sever(cluster: "Cluster") -> None:
    cluster.victim().sever()


async def _end_backend(cluster: "Cluster") -> None:
    backends = sorted(set(cluster.database.locks.values()), key=lambda one: one.number)
    if backends:
        cluster.database.end(backends[int(cluster.lasts_s() * 1_000) % len(backends)])


async def _outage(cluster: "Cluster") -> None:
    cluster.storm.outage = True
    cluster.database.end_all()
    try:
        await asyncio.sleep(cluster.lasts_s())
    finally:
        cluster.storm.outage = False


async def _cut_database(cluster: "Cluster") -> None:
    member = cluster.victim()
    member.cut_from_database(at_once=cluster.chance())
    try:
        await asyncio.sleep(cluster.lasts_s())
    finally:
        member.line.cut = False


async def _cut_redis(cluster: "Cluster") -> None:
    member = cluster.victim()
    both = cluster.chance()
    up = both or cluster.chance()
    cluster.hub.cut(member.id, up=up, down=both or not up)
    try:
        await asyncio.sleep(cluster.lasts_s())
    finally:
        cluster.hub.heal(member.id)


async def _cut_both(cluster: "Cluster") -> None:
    member = cluster.victim()
    cluster.hub.cut(member.id)
    member.cut_from_database(at_once=cluster.chance())
    try:
        await asyncio.sleep(cluster.lasts_s())
    finally:
        cluster.hub.heal(member.id)
        member.line.cut = False


async def _break_bus(cluster: "Cluster") -> None:
    cluster.hub.break_off(cluster.victim().id)


async def _redis_down(cluster: "Cluster") -> None:
    cluster.hub.go_down()
    try:
        await asyncio.sleep(cluster.lasts_s())
    finally:
        cluster.hub.come_up()


async def _redis_flush(cluster: "Cluster") -> None:
    cluster.hub.forget()


async def _slow_bus(cluster: "Cluster") -> None:
    cluster.slow_s = SLOW_S
    try:
        await asyncio.sleep(cluster.lasts_s())
    finally:
        cluster.slow_s = 0.0


_DISASTERS: Final[dict[str, Callable[["Cluster"], Awaitable[None]]]] = {
    "kill": _kill,
    "restart": _restart,
    "join": _join,
    "leave": _leave,
    "pause": _pause,
    "sever": _sever,
    "end_backend": _end_backend,
    "outage": _outage,
    "cut_database": _cut_database,
    "cut_redis": _cut_redis,
    "cut_both": _cut_both,
    "break_bus": _break_bus,
    "redis_down": _redis_down,
    "redis_flush": _redis_flush,
    "slow_bus": _slow_bus,
}
