"""Nodes of one cluster, each a process of its own that can be killed, sent away and started again.

They share a PostgreSQL that syncs to disk and a Redis, both of a benchmark's own.
"""

import asyncio
import secrets
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from zlib import crc32

import asyncpg

from actors.runtime.membership import Member, shards_of_bits, winner
from actors.runtime.ports import Unreachable
from actors.wallet.rules import WALLET
from benchmarks.redis_process import RedisProcess, redis_running
from benchmarks.server_process import (
    ROOT,
    SERVE,
    SETTINGS,
    ServerError,
    Storage,
    ended,
    foreign_environment,
    free_port,
    own_storage,
    until_ready,
)
from server.cluster.credential import bus_key
from storage.locks import PostgresLocks
from storage.redis_server import NOT_PERSISTING
from storage.registry import RedisRegistry

CLUSTER_NAME: Final = "bench"
SECRET: Final = secrets.token_hex(32)
"""The JWT secret of all nodes of a benchmark."""
SHARDS: Final = 64
# Longer than any take-over takes: a member has to be silent for seconds first.
_PLACED_LIMIT_S: Final = 60.0
_LOOK_S: Final = 0.02


class Node:
    """One node, on the same port whenever it runs."""

    def __init__(self, name: str, settings: dict[str, str]) -> None:
        self.name = name
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        own = {"PITBOSS_NODE_NAME": name, "PITBOSS_PORT": str(port)}
        self._environment = {**foreign_environment(), **SETTINGS, **settings, **own}
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Its process, or the last one."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, and wait until it takes bets. Raises ServerError."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *SERVE),
            cwd=ROOT,
            env=self._environment,
            stdin=DEVNULL,
            stdout=DEVNULL,
        )
        await until_ready(self.url, self._process)

    async def kill(self) -> None:
        """End it without warning."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def leave(self) -> None:
        """Have it hand everything over and end. Raises ServerError unless it is in good order."""
        assert self._process is not None
        code = await ended(self._process)
        if code != 0:
            raise ServerError(f"node {self.name} ended with exit code {code}")

    async def clear_away(self) -> None:
        """End it if it runs, in whatever order."""
        if self._process is not None:
            await ended(self._process)


class Nodes:
    """A cluster, its storage and its Redis."""

    def __init__(
        self,
        nodes: Sequence[Node],
        storage: Storage,
        redis: RedisProcess,
        registry: RedisRegistry,
        pool: asyncpg.Pool,
    ) -> None:
        self.nodes = nodes
        self.storage = storage
        self.redis = redis
        self._registry = registry
        self._locks = PostgresLocks(pool)

    async def owners(self) -> dict[int, str]:
        """The name of the node that owns each shard: by its lock, and by its own words."""
        members = {member.id: member for member in await self._registry.look()}
        holders = await self._locks.holders(range(SHARDS))
        return {
            shard: members[holder.member].name
            for shard, holder in holders.items()
            if _says_so(members.get(holder.member), shard)
        }

    async def placed(self) -> dict[int, str]:
        """The owners, once every shard is where it should be. Raises ServerError."""
        names = {node.name for node in self.nodes if node.running}
        try:
            async with asyncio.timeout(_PLACED_LIMIT_S):
                while True:
                    with suppress(Unreachable):
                        if await self._eligible() == names:
                            owners = await self.owners()
                            if owners == await self._wanted():
                                return owners
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise ServerError(f"shards are not placed after {_PLACED_LIMIT_S:.0f} s") from None

    async def _able(self) -> dict[str, str]:
        """Names of members that may own shards, by their ids."""
        seen = await self._registry.look()
        return {one.id: one.name for one in seen if one.able and not one.draining}

    async def _eligible(self) -> set[str]:
        return set((await self._able()).values())

    async def _wanted(self) -> dict[int, str]:
        able = await self._able()
        places = ((shard, winner(shard, able)) for shard in range(SHARDS))
        return {shard: able[member] for shard, member in places if member is not None}


def _says_so(member: Member | None, shard: int) -> bool:
    return member is not None and shard in shards_of_bits(member.shards)


def shard_of(user_id: int) -> int:
    """The shard of a player's wallet."""
    return (user_id + crc32(WALLET.encode())) % SHARDS


async def until_seen(redis_url: str, members: int) -> None:
    """Wait until so many members can own shards, and own them all. Raises ServerError."""
    registry = RedisRegistry(redis_url, CLUSTER_NAME, bus_key(SECRET, CLUSTER_NAME))
    try:
        async with asyncio.timeout(_PLACED_LIMIT_S):
            while True:
                with suppress(Unreachable):
                    able = [one for one in await registry.look() if one.able]
                    owned = [len(shards_of_bits(one.shards)) for one in able]
                    if len(able) == members and sum(owned) == SHARDS:
                        return
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise ServerError(f"there are not {members} members with all shards") from None
    finally:
        await registry.close()


@asynccontextmanager
async def clustered(names: Sequence[str]) -> AsyncIterator[Nodes]:
    """Nodes on fresh data, ready and each with its shards; all is removed afterwards.

    Raises:
        ServerError: One does not start.
        RedisStartError: There is no Redis here.
    """
    async with own_storage() as storage, redis_running(NOT_PERSISTING) as redis:
        url = f"unix://{redis.path}"
        settings = {
            **storage.environment,
            "REDIS_URL": url,
            "PITBOSS_CLUSTER_NAME": CLUSTER_NAME,
            "PITBOSS_JWT_SECRET": SECRET,
            "PITBOSS_SHARDS": str(SHARDS),
        }
        registry = RedisRegistry(url, CLUSTER_NAME, bus_key(SECRET, CLUSTER_NAME))
        nodes = [Node(name, settings) for name in names]
        try:
            # One after the other: the first makes the schema and the secrets.
            for node in nodes:
                await node.start()
            async with asyncpg.create_pool(storage.database_url, min_size=1, max_size=2) as pool:
                running = Nodes(nodes, storage, redis, registry, pool)
                await running.placed()
                yield running
        finally:
            await asyncio.gather(*(node.clear_away() for node in nodes))
            await registry.close()
