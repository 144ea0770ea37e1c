"""The floor that this node shares with others: what its rooms and sockets need of them."""

from collections.abc import Callable, Collection, Iterable
from random import Random
from uuid import UUID

from server.activity import Activity
from server.cluster.activity import FarActivity
from server.cluster.cluster import Cluster
from server.cluster.feed import FarFeed
from server.cluster.rooms import FarRooms
from server.cluster.sessions import FarSessions
from server.feed import LiveFeed
from server.sockets.server import SocketServer


class SharedFloor:
    """The parts of a node's floor that know of other nodes. Made inside the running loop.

    `end_session` makes a session useless here that was revoked on another node.
    """

    def __init__(
        self, cluster: Cluster, sockets: SocketServer, end_session: Callable[[UUID], None]
    ) -> None:
        self._cluster = cluster
        self.rooms = FarRooms(
            cluster.exchange,
            sockets.hub,
            lambda: cluster.membership.others,
            cluster.routes.origin_of,
        )
        self.sessions = FarSessions(cluster.exchange, end_session)

    def share_feed(self, feed: LiveFeed) -> None:
        """Have all nodes show one feed."""
        FarFeed(self._cluster.exchange, feed)

    def share_activity(self, activity: Activity, chance: Random) -> FarActivity:
        """Who is active on any node."""
        return FarActivity(self._cluster.exchange, activity, chance, self._members)

    def _members(self) -> Iterable[str]:
        return self._cluster.membership.members

    def leaving(self, _shards: Collection[int]) -> None:
        """Shards are given up: what waits to be told is told before their new owner tells more."""
        self.rooms.telling.flush()

    def gone(self, member: str) -> None:
        """A member is seen no more."""
        self.rooms.gone(member)

    def close(self) -> None:
        """Say what waits to be said, before the bus is left."""
        self.rooms.close()
