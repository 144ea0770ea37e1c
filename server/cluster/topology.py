"""A node as one of a cluster: everything that it has of the others, put together."""

from collections.abc import Callable, Sequence
from random import Random
from uuid import UUID

import asyncpg
from prometheus_client.registry import Collector

from actors.runtime.keeper import Load
from actors.runtime.node import Node
from actors.runtime.ports import Elsewhere, Publisher
from server.activity import Activity
from server.clock import now_ms
from server.cluster.activity import FarActivity
from server.cluster.address import reached_at
from server.cluster.cluster import Cluster
from server.cluster.door import InnerDoor
from server.cluster.floor import SharedFloor
from server.cluster.handoff import Handoffs
from server.cluster.peers import Peers
from server.cluster.recovery import FarRecovery, RecoveryCollector
from server.cluster.survey import DRAIN
from server.cluster.takeover import Takeovers
from server.feed import LiveFeed
from server.metrics import ClusterCollector
from server.pulse import Pulse
from server.settings import Settings
from server.sockets.moved import Movable
from server.sockets.server import SocketServer
from server.tables import Tables
from storage.journal import Journal


class Clustered:
    """A node that shares the floor with others, over the Redis of its settings.

    `end_session` is called with sessions that were revoked on another node. The order in which all
    this starts and stops is `Topology`'s.
    """

    _recovery: FarRecovery

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        locks: asyncpg.Pool,
        sockets: SocketServer,
        application: Movable,
        activity: Activity,
        feed: LiveFeed,
        chance: Random,
        end_session: Callable[[UUID], None],
    ) -> None:
        assert settings.redis_url is not None, "there are others"
        self._settings = settings
        self._url = settings.redis_url
        self._journal = journal
        self._sockets = sockets
        engine = sockets.engine
        cluster = Cluster(settings, self._url, engine.member, journal, locks, now_ms())
        self._cluster = cluster
        self._shared = SharedFloor(cluster, sockets, activity, feed, chance, end_session)
        secret = settings.jwt_secret_value()
        peers = Peers(cluster.member, cluster.membership.address_of, secret)
        rooms = self._shared.rooms
        self._takeovers = Takeovers(sockets, peers, application, rooms)
        engine.elsewhere = self._takeovers
        self._door = InnerDoor(engine, Handoffs(sockets, application, rooms), secret)
        self.publisher: Publisher = rooms
        self.elsewhere: Elsewhere = cluster.routes
        self.activity: FarActivity | None = self._shared.activity

    def bind(self, node: Node, tables: Tables, pulse: Pulse) -> None:
        """Say which node this is, whose tables are told of shards, and how busy it is."""

        def load() -> Load:
            second = pulse.traffic(1)
            return Load(
                actors=node.live,
                connections=len(self._sockets.engine.connections),
                lag_ms=second.loop_lag_ms,
                bets=second.bets_per_second,
            )

        # The outbox of shards that come is swept once a second.
        self._cluster.bind(node, load, lambda _shards: tables.claimed(), self._shared)
        name = self._settings.cluster_name
        self._recovery = FarRecovery(self._url, name, self._cluster, self._sockets, node)

    @property
    def asked(self) -> int:
        """How many commands were passed on that have no answer yet."""
        return self._cluster.routes.asked

    def collectors(self) -> Sequence[Collector]:
        """What is measured of the cluster, of its rooms, and of clients that come back."""
        return (
            ClusterCollector(self._cluster, self._journal),
            self._shared.metrics,
            RecoveryCollector(self._recovery),
        )

    def checks(self) -> dict[str, bool]:
        """Redis, where the others are met, and that no stranger to them has all our shards."""
        return {
            "redis": self._cluster.in_sight,
            "shards": not self._cluster.keeper.shut_out,
        }

    def revoked(self, session_id: UUID) -> None:
        """A session was revoked here: it ends on every node."""
        self._shared.sessions.revoked(session_id)

    def on_drain(self, drain: Callable[[], None]) -> None:
        """Say what is done if an operator asks this node to leave the others."""
        self._cluster.exchange.listen(DRAIN, lambda _sender, _body: drain())

    async def own(self) -> None:
        """Own nothing: shards come from others, once they know of this node."""

    async def begin_log(self) -> None:
        """Have what clients are told written down, before anybody comes."""
        await self._recovery.start()

    async def join(self) -> None:
        """Be there for others, and wait for the shards that should be ours, though not for long.

        The lanes come first, as shards are claimed on their connections; then the inner door, as
        others are told where it is.
        """
        self._journal.start()
        host, port = self._settings.cluster_host, self._settings.cluster_port
        known_as = await reached_at(host, self._cluster.redis)
        await self._cluster.start(await self._door.start(host, port, known_as))

    async def hand_over(self, timeout_s: float) -> bool:
        """Have others take what this node owns; whether they did. It goes on passing on."""
        return await self._cluster.hand_over(timeout_s)

    async def leave(self) -> None:
        """Write down and say what is left, and then nothing any more.

        The recovery log ends first, then what rooms elsewhere are still to be told goes out, and
        the bus is left last.
        """
        await self._recovery.close()
        self._shared.close()
        await self._cluster.stop()

    async def close(self) -> None:
        """Ask for no sessions of others any more, then serve none for them."""
        await self._takeovers.close()
        await self._door.close()
