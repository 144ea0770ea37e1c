"""This node as one member of a cluster: how it speaks with others, and its place among them."""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from hashlib import blake2b
from typing import Final, Protocol

import asyncpg
import msgspec

from actors.crash.commands import Join
from actors.runtime.exchange import Exchange
from actors.runtime.keeper import Keeper, Load
from actors.runtime.membership import ANNOUNCE_S, Member, Membership
from actors.runtime.node import Node
from actors.runtime.ports import Unreachable
from actors.runtime.routes import Routes
from server.cluster.credential import bus_key
from server.settings import Settings
from storage.bus import RedisBus
from storage.journal import Journal
from storage.locks import PostgresLocks
from storage.registry import RedisRegistry
from storage.resp import address_of

log = logging.getLogger(__name__)

# 32 bits tell the processes of a cluster apart.
_ID_BYTES: Final = 4
# How long a node that starts waits for all shards that should be its, which others may have to hand
# over first. Longer: it opens without them, and commands for them take the way over the bus.
SETTLE_S: Final = 5.0
_SETTLE_LOOK_S: Final = 0.01
# How long a node that starts does without Redis before it tells its operators what it waits for.
_WARN_S: Final = 1.0


def new_member_id() -> str:
    """An id that no other process has: a node that starts again is another member."""
    return secrets.token_hex(_ID_BYTES)


def settings_digest(settings: Settings) -> str:
    """What has to be the same on every node, in a few letters: the rules of bets."""
    rules = (
        settings.shards,
        settings.crash_tables,
        [
            sorted(limits.items())
            for limits in (
                settings.dice_limits,
                settings.limbo_limits,
                settings.plinko_limits,
                settings.mines_limits,
            )
        ],
    )
    return blake2b(msgspec.json.encode(rules), digest_size=8).hexdigest()


class Company(Protocol):
    """Who minds what others do: the parts of a floor that are shared with them."""

    def leaving(self, shards: Collection[int]) -> None:
        """These shards are given up."""

    def gone(self, member: str) -> None:
        """This member is seen no more."""


class Cluster:
    """What one node has of its cluster. Made inside the running loop; `bind` comes next."""

    keeper: Keeper

    def __init__(
        self,
        settings: Settings,
        url: str,
        member: str,
        journal: Journal,
        pool: asyncpg.Pool,
        now_ms: int,
    ) -> None:
        self.member = member
        self.redis = address_of(url)
        self.bus = RedisBus(url, settings.cluster_name, member)
        key = bus_key(settings.jwt_secret_value(), settings.cluster_name)
        self.registry = RedisRegistry(url, settings.cluster_name, key)
        self.exchange = Exchange(member, self.bus, key)
        self.routes = Routes(self.exchange, journal, settings.shards)
        self.membership = Membership(member, settings.shards, time.monotonic)
        self._journal = journal
        self._locks = PostgresLocks(pool)
        self._tasks: list[asyncio.Task[None]] = []
        self._wait_told = False
        self._me = Member(
            id=member,
            name=settings.node_name or f"{socket.gethostname()}-{os.getpid()}",
            started_at_ms=now_ms,
            settings=settings_digest(settings),
        )

    def bind(
        self,
        node: Node,
        load: Callable[[], Load],
        claimed: Callable[[Collection[int]], None],
        company: Company,
    ) -> None:
        """Say whose cluster this is, what it carries, and who is told of shards and of members."""
        self.routes.bind(node.take, node.kinds, (Join,))
        self.keeper = Keeper(
            self._me,
            self.membership,
            self._journal,
            self._locks,
            self.registry,
            self.exchange,
            self.routes,
            node,
            load,
            claimed,
            company.leaving,
            company.gone,
        )

    @property
    def in_sight(self) -> bool:
        """Whether Redis is there: others can be heard, and were seen a moment ago."""
        return self.bus.connected and self.membership.sighted

    async def start(self, address: str) -> None:
        """Join: from here on shards come. Returns when all are there that should be, or late.

        `address` is where other members reach this one's sessions. Without Redis it waits for it.
        Raises WrongSecretError, before anybody has seen this one.
        """
        self.keeper.reached_at(address)
        self._tasks = [asyncio.create_task(self.bus.run())]
        await self._see_redis()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while not self.keeper.settled:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(_SETTLE_LOOK_S)

    async def _see_redis(self) -> None:
        """Wait for Redis without a limit, saying so if it takes long, and announce this member."""
        await self._check_secret()
        self._tasks.append(asyncio.create_task(self.keeper.run()))
        began_s = asyncio.get_running_loop().time()
        while not self.in_sight:
            self._tell_wait(began_s, "this node cannot announce itself, or cannot hear others")
            await asyncio.sleep(_SETTLE_LOOK_S)

    async def _check_secret(self) -> None:
        """See that all who are announced have our secret, as soon as Redis can say so."""
        began_s = asyncio.get_running_loop().time()
        while True:
            try:
                return await self.registry.check_secret()
            except Unreachable as error:
                self._tell_wait(began_s, str(error))
            await asyncio.sleep(ANNOUNCE_S)

    def _tell_wait(self, began_s: float, reason: str) -> None:
        """Tell operators once why this node waits, if it has waited for long."""
        if not self._wait_told and asyncio.get_running_loop().time() - began_s >= _WARN_S:
            self._wait_told = True
            words = "this node does not listen yet: it waits for Redis at %s: %s"
            log.warning(words, self.redis, reason)

    async def hand_over(self, timeout_s: float) -> bool:
        """Have others take over what this node owns; whether they did. It goes on passing on."""
        return await self.keeper.drain(timeout_s)

    async def stop(self) -> None:
        """Leave: nothing is said or heard any more."""
        keeper = self._tasks[1:]
        for task in keeper:
            task.cancel()
        await asyncio.gather(*keeper, return_exceptions=True)
        if keeper:
            await self.keeper.withdraw()
        self.routes.close()
        self.bus.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.registry.close()
