"""Clusters of real processes, in which each node has a bad network of its own."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import asyncpg

from actors.runtime.membership import Member, shards_of_bits, winner
from server.cluster.credential import bus_key
from storage.registry import RedisRegistry
from storage.writer import LOCK_CLASS
from tests.support.cutter import Cutter, cutting_socket, cutting_to
from tests.support.pitboss_process import PitbossProcess
from tests.support.redis_server import PrivateRedis, private_redis_running

NAMES: Final = ("north", "south", "west")
CLUSTER_NAME: Final = "floor"
SHARDS: Final = 64
# Far more than anything takes; only what never happens reaches it.
LIMIT_S: Final = 60.0
# A round takes two seconds at most: less than one of bets, and one until 1.05.
TABLE: Final = {
    "number": 1,
    "name": "Felt",
    "currency": "PLAY",
    "least_stake": 1,
    "most_stake": 10_000,
    "bankroll": 100_000_000,
    "betting_ms": 700,
    "pause_ms": 200,
    "most_multiplier": 105,
}
SETTINGS: Final = {
    "PITBOSS_CLUSTER_NAME": CLUSTER_NAME,
    "PITBOSS_SHARDS": str(SHARDS),
    "PITBOSS_JWT_SECRET": "jVq8Zr3nT5wYx2Lk9Pd4Hs7Mb1Cf6Ga0",
    "PITBOSS_SEED_ENCRYPTION_KEY": "q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0x1c=",
    "PITBOSS_CRASH_TABLES": json.dumps([TABLE]),
    "PITBOSS_BETS_PER_SECOND": "100000",
    "PITBOSS_COMMANDS_PER_SECOND": "100000",
    "PITBOSS_SIGN_INS_PER_MINUTE": "100000",
    "PITBOSS_DEMO_PLAYER": "false",
    "PITBOSS_DRAIN_SECONDS": "5",
    "PITBOSS_RECONNECT_AFTER_MILLISECONDS": "100",
}
_LOCKS: Final = """
    select lock.objid::int as shard, lock.pid, activity.application_name as name
    from pg_locks lock join pg_stat_activity activity using (pid)
    where lock.locktype = 'advisory' and lock.granted and lock.objsubid = 2
        and lock.classid = $1::int::oid
        and lock.database = (select oid from pg_database where datname = current_database())
"""


class Lock(NamedTuple):
    """Who holds the lock of a shard, as PostgreSQL has it."""

    member: str
    pid: int


class ClusterNode:
    """One process, and the proxies through which it reaches PostgreSQL and Redis."""

    def __init__(
        self, name: str, process: PitbossProcess, to_postgres: Cutter, to_redis: Cutter
    ) -> None:
        self.name = name
        self.process = process
        self.to_postgres = to_postgres
        self.to_redis = to_redis

    @property
    def url(self) -> str:
        """Where its players find it; its last address while it does not run."""
        return self.process.url

    async def start(self) -> None:
        """Start it, and wait until it takes bets."""
        await asyncio.to_thread(self.process.start)

    async def stop(self) -> int:
        """Have it hand everything over and end. Its exit code."""
        return await asyncio.to_thread(self.process.stop)


class Cluster:
    """All nodes, the database that they share, and what it and Redis say of them."""

    def __init__(
        self, dsn: str, redis: PrivateRedis, nodes: Sequence[ClusterNode], view: asyncpg.Connection
    ) -> None:
        self.dsn = dsn
        self.redis = redis
        self.nodes = nodes
        self.view = view

    async def members(self) -> dict[str, Member]:
        """Those that are announced in Redis, by name."""
        key = bus_key(SETTINGS["PITBOSS_JWT_SECRET"], CLUSTER_NAME)
        registry = RedisRegistry(self.redis.url, CLUSTER_NAME, key)
        try:
            return {member.name: member for member in await registry.look()}
        finally:
            await registry.close()

    async def locks(self) -> dict[int, Lock]:
        """Who holds the lock of each shard."""
        rows = await self.view.fetch(_LOCKS, LOCK_CLASS)
        return {row["shard"]: Lock(_member_of(row["name"]), row["pid"]) for row in rows}

    async def backends(self, node: ClusterNode) -> set[int]:
        """The process ids of the connections by which a node holds its locks now."""
        member = (await self.members())[node.name]
        return {lock.pid for lock in (await self.locks()).values() if lock.member == member.id}

    async def whole(self, without: Collection[ClusterNode] = ()) -> None:
        """Wait until every shard is where it should be, among the nodes that run but for some."""
        nodes = {node.name for node in self.nodes if node.process.running and node not in without}
        problem = ""
        try:
            async with asyncio.timeout(LIMIT_S):
                while problem := await self._problem(nodes):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"not whole after {LIMIT_S:.0f} s: {problem}") from None

    async def _problem(self, nodes: set[str]) -> str:
        """What keeps the cluster from being whole; empty if nothing does."""
        members = await self.members()
        able = {one.id: name for name, one in members.items() if one.able and not one.draining}
        if set(able.values()) != nodes:
            return f"{sorted(able.values())} can own shards, not {sorted(nodes)}: {members}"
        owners = {shard: lock.member for shard, lock in (await self.locks()).items()}
        for shard in range(SHARDS):
            wanted = winner(shard, able)
            if owners.get(shard) != wanted:
                return f"shard {shard} is held by {owners.get(shard)}, not {wanted}: {members}"
        for member, name in able.items():
            owned = {shard for shard, owner in owners.items() if owner == member}
            said = shards_of_bits(members[name].shards)
            if said != owned:
                return f"{name} says it owns {said}, and owns {owned}"
        return ""


def _member_of(application_name: str) -> str:
    """The member in `pitboss-lane-{lane}-{member}`."""
    return application_name.split("-", 3)[-1]


@asynccontextmanager
async def cluster(
    database_url: str, redis_program: str, folder: Path, **settings: str
) -> AsyncIterator[Cluster]:
    """Three nodes on one database and one Redis, ready, each with a third of the shards or so."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(private_redis_running(redis_program))
        nodes = [
            await stack.enter_async_context(_node(name, database_url, redis, folder, settings))
            for name in NAMES
        ]
        await asyncio.gather(*(node.start() for node in nodes))
        view = await asyncpg.connect(database_url)
        stack.push_async_callback(view.close)
        floor = Cluster(database_url, redis, nodes, view)
        await floor.whole()
        yield floor


@asynccontextmanager
async def _node(
    name: str, database_url: str, redis: PrivateRedis, folder: Path, settings: Mapping[str, str]
) -> AsyncIterator[ClusterNode]:
    """A node that is still to be started, with its proxies; it is killed in the end."""
    address = urlsplit(database_url)
    where = parse_qs(address.query)
    socket = Path(where["host"][0]) / f".s.PGSQL.{where['port'][0]}"
    to_server = partial(asyncio.open_unix_connection, urlsplit(redis.url).path)
    own_folder = folder / name
    own_folder.mkdir()
    # A socket's path has to be short.
    with tempfile.TemporaryDirectory(prefix="pitboss-") as sockets:
        async with (
            cutting_socket(socket, Path(sockets)) as to_postgres,
            cutting_to(to_server) as to_redis,
        ):
            query = f"host={quote(sockets)}&port={where['port'][0]}"
            own = {
                "DATABASE_URL": urlunsplit(address._replace(query=query)),
                "REDIS_URL": f"redis://127.0.0.1:{to_redis.port}/0",
                "PITBOSS_NODE_NAME": name,
            }
            process = PitbossProcess(own_folder, workers=1, **{**SETTINGS, **own, **settings})
            try:
                yield ClusterNode(name, process, to_postgres, to_redis)
            finally:
                if process.running:
                    process.kill()
