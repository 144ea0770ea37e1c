"""The servers that are compared: how each is started, gets its players, and is checked afterwards.

Every one has a PostgreSQL of its own, embedded, with `fsync` on and with Pitboss's tables.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncpg
import msgspec

from benchmarks.ledger import audit, check_rows
from benchmarks.peer_process import has_node, node_command, python_command, started
from benchmarks.peers.peer_plan import PeerPlan
from benchmarks.players import Player, enlist
from benchmarks.redis_process import SYNCED, redis_running
from benchmarks.redis_wallets import RedisWallets
from benchmarks.server_process import SERVE, own_storage, serving
from benchmarks.usage import Meter, Reading, postmaster_pid
from storage.migrate import migrate
from storage.redis_server import NOT_PERSISTING, redis_program

PITBOSS: Final = "Pitboss"
NODE: Final = "Node, Redis not persisting"
NODE_SYNCED: Final = "Node, Redis `appendfsync always`"
PYTHON_SOCKETIO: Final = "python-socketio, Redis not persisting"
ONE_BY_ONE: Final = "Pitboss, one transaction a bet"

_ONE_BY_ONE: Final = ("-m", "benchmarks.peers.one_by_one")


class ContenderMeter(Meter):
    """Reads a Redis besides, if there is one."""

    def __init__(self, server_pid: int | None, postmaster_pid: int, redis_pid: int | None) -> None:
        super().__init__(server_pid, postmaster_pid)
        self._redis = Meter(redis_pid, None)
        self._newest: list[Reading] = []

    def read(self) -> Reading:
        """What was used until now; Redis's part is kept for `redis_cores`."""
        self._newest = [*self._newest[-1:], self._redis.read()]
        return super().read()

    @property
    def redis_cores(self) -> float:
        """Cores that Redis kept busy between the last two readings."""
        before, after = self._newest
        return after.since(before).server


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that listens. `check` raises LedgerError unless it did what it acknowledged.

    `audit` goes over the whole ledger, and raises LedgerError if it finds something; None where
    the ledger is not Pitboss's.
    """

    name: str
    url: str
    database_url: str
    meter: ContenderMeter
    enlist: Callable[[int], Awaitable[list[Player]]]
    check: Callable[[Sequence[Player], int], Awaitable[None]]
    audit: Callable[[], Awaitable[str]] | None = None

    async def put_in_order(self) -> None:
        """Have its PostgreSQL do now what it would do some time during the others' runs."""
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute("vacuum analyze")
            await connection.execute("checkpoint")
        finally:
            await connection.close()


Starter = Callable[[], AbstractAsyncContextManager[Contender]]


@asynccontextmanager
async def _pitboss(name: str, command: Sequence[str]) -> AsyncIterator[Contender]:
    async with own_storage() as storage, serving(storage, command=command) as server:
        postmaster = await postmaster_pid(storage.database_url)

        async def check(players: Sequence[Player], acknowledged: int) -> None:
            user_ids = [player.user_id for player in players]
            await check_rows(storage.database_url, user_ids, acknowledged)

        yield Contender(
            name,
            server.url,
            storage.database_url,
            ContenderMeter(server.pid, postmaster, None),
            partial(enlist, server.url),
            check,
            partial(audit, server.environment),
        )


@asynccontextmanager
async def _on_redis(
    name: str, keeping: Sequence[str], command: Callable[[], Awaitable[Sequence[str]]]
) -> AsyncIterator[Contender]:
    async with (
        own_storage() as storage,
        redis_running(keeping) as redis,
        redis.client() as client,
    ):
        await migrate(storage.database_url)
        plan = msgspec.json.encode(PeerPlan(redis.path, storage.database_url)).decode()
        async with started(name, *await command(), plan) as server:
            postmaster = await postmaster_pid(storage.database_url)
            wallets = RedisWallets(client, storage.database_url)
            meter = ContenderMeter(server.pid, postmaster, redis.pid)
            yield Contender(
                name, server.url, storage.database_url, meter, wallets.enlist, wallets.check
            )


async def _node() -> Sequence[str]:
    return await node_command("bets.js")


async def _python() -> Sequence[str]:
    return python_command("benchmarks.peers.python_socketio_bets")


STARTERS: Final[dict[str, Starter]] = {
    PITBOSS: partial(_pitboss, PITBOSS, SERVE),
    NODE: partial(_on_redis, NODE, NOT_PERSISTING, _node),
    NODE_SYNCED: partial(_on_redis, NODE_SYNCED, SYNCED, _node),
    PYTHON_SOCKETIO: partial(_on_redis, PYTHON_SOCKETIO, NOT_PERSISTING, _python),
    ONE_BY_ONE: partial(_pitboss, ONE_BY_ONE, _ONE_BY_ONE),
}
"""By name, what starts each; `available` says which of them can be started here."""


def available() -> tuple[str, ...]:
    """Those that can be started: some need Node, some a Redis."""
    absent: set[str] = set()
    if not has_node():
        absent |= {NODE, NODE_SYNCED}
    if redis_program() is None:
        absent |= {NODE, NODE_SYNCED, PYTHON_SOCKETIO}
    return tuple(name for name in STARTERS if name not in absent)
