"""The floor that this node shares with others: what its rooms and players need of them."""

from collections.abc import Callable, Collection
from random import Random
from uuid import UUID

from server.activity import Activity
from server.cluster.activity import FarActivity
from server.cluster.cluster import Cluster
from server.cluster.feed import FarFeed
from server.cluster.metrics import RoomsCollector
from server.cluster.rooms import FarRooms
from server.cluster.sessions import FarSessions
from server.feed import LiveFeed
from server.sockets.server import SocketServer


class SharedFloor:
    """The parts of a node's floor that know of other nodes. Made inside the running loop.

    `end_session` is called with sessions that were revoked on another node.
    """

    def __init__(
        self,
        cluster: Cluster,
        sockets: SocketServer,
        activity: Activity,
        feed: LiveFeed,
        chance: Random,
        end_session: Callable[[UUID], None],
    ) -> None:
        exchange, membership = cluster.exchange, cluster.membership
        self.rooms = FarRooms(
            exchange, sockets.hub, lambda: membership.others, cluster.routes.origin_of
        )
        self.activity = FarActivity(exchange, activity, chance, lambda: membership.members)
        self.feed = FarFeed(exchange, feed)
        self.sessions = FarSessions(exchange, end_session)
        self.metrics = RoomsCollector(self.rooms)

    def leaving(self, _shards: Collection[int]) -> None:
        """Shards are given up: what waits to be told is told before their new owner tells more."""
        self.rooms.publisher.hurry()

    def gone(self, member: str) -> None:
        """A member is seen no more."""
        self.rooms.gone(member)

    def close(self) -> None:
        """Say what waits to be said, before the bus is left."""
        self.rooms.close()
