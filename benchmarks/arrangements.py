"""One process, a cluster of one and two workers, and one run of bets against any of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.contenders import ContenderMeter
from benchmarks.contest import Run
from benchmarks.ledger import check_rows
from benchmarks.measurement import measure
from benchmarks.nodes import CLUSTER_NAME, SECRET, Node, Nodes, until_seen
from benchmarks.plan import Plan
from benchmarks.players import BET, Player
from benchmarks.redis_process import redis_running
from benchmarks.server_process import SERVE, Storage, own_storage, serving
from benchmarks.usage import Meter, Reading, postmaster_pid
from storage.redis_server import NOT_PERSISTING

SOLO: Final = "1 process, without Redis"
ALONE: Final = "1 process, a cluster of one"
WORKERS: Final = "2 workers"
# What one has passed on, and what the other one has.
_REMOTE: Final = ("pitboss_remote_commands", "pitboss_remote_commands_served")
WORKERS_OF: Final = {SOLO: 1, ALONE: 1, WORKERS: 2}


class Load(NamedTuple):
    """How many players bet, how, and for how long."""

    connections: int
    depth: int
    warm_up_s: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Some processes on fresh data, and what reads their CPU."""

    name: str
    url: str
    storage: Storage
    meter: ContenderMeter


class NodesMeter(ContenderMeter):
    """Reads several nodes as if they were one server."""

    def __init__(self, nodes: Sequence[Node], postmaster: int, redis: int) -> None:
        super().__init__(nodes[0].pid, postmaster, redis)
        self._others = [Meter(node.pid, None) for node in nodes[1:]]

    def read(self) -> Reading:
        """What all of them used until now."""
        found = super().read()
        others_s = sum(other.read().server_s for other in self._others)
        return replace(found, server_s=found.server_s + others_s)


async def meter_of_nodes(nodes: Nodes) -> NodesMeter:
    """The meter of a whole cluster, its PostgreSQL and its Redis."""
    postmaster = await postmaster_pid(nodes.storage.database_url)
    return NodesMeter(nodes.nodes, postmaster, nodes.redis.pid)


@asynccontextmanager
async def arranged(name: str) -> AsyncIterator[Arrangement]:
    """Start one of WORKERS_OF with a PostgreSQL and a Redis of its own, and remove it afterwards.

    Raises:
        ServerError: It does not start.
        RedisStartError: There is no Redis here.
    """
    workers = WORKERS_OF[name]
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(own_storage())
        settings, redis_pid, redis_url = {}, None, ""
        if name != SOLO:
            redis = await stack.enter_async_context(redis_running(NOT_PERSISTING))
            redis_pid, redis_url = redis.pid, f"unix://{redis.path}"
            settings = {
                "REDIS_URL": redis_url,
                "PITBOSS_CLUSTER_NAME": CLUSTER_NAME,
                "PITBOSS_JWT_SECRET": SECRET,
            }
        command = (*SERVE, "--workers", str(workers))
        server = await stack.enter_async_context(serving(storage, settings, command))
        if name != SOLO:
            await until_seen(redis_url, workers)
        postmaster = await postmaster_pid(storage.database_url)
        meter = ContenderMeter(server.pid, postmaster, redis_pid)
        yield Arrangement(name, server.url, storage, meter)


async def once(
    where: Arrangement, players: Sequence[Player], load: Load, offered: float | None, seed: int
) -> Run:
    """One run of bets of these players, whose rows are counted afterwards.

    What PostgreSQL puts off for later is done before the next run.

    Raises:
        LedgerError: The ledger does not have what was acknowledged.
        MeasurementError: Bets were refused.
    """
    plan = Plan(
        url=where.url,
        tokens=[player.token for player in players],
        bet=BET,
        bets_per_message=1,
        depth=load.depth,
        messages_per_second=offered,
        warm_up_s=load.warm_up_s,
        window_s=load.window_s,
        seed=seed,
    )
    measured = await measure(plan, where.meter, commits=False)
    run = Run(measured, where.meter.redis_cores)
    user_ids = [player.user_id for player in players]
    await check_rows(where.storage.database_url, user_ids, measured.outcome.acknowledged)
    connection = await asyncpg.connect(where.storage.database_url)
    try:
        await connection.execute("vacuum analyze")
        await connection.execute("checkpoint")
    finally:
        await connection.close()
    return run


async def remote_commands(url: str) -> int:
    """How many commands two workers have passed on to each other, as either of them tells."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as response:
        text = await response.text()
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        if family.name in _REMOTE
        for sample in family.samples
        if sample.name.endswith("_total")
    )
