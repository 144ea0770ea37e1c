"""The floor that this node shares with others: what its rooms and sockets need of them."""

from collections.abc import Collection

from server.cluster.cluster import Cluster
from server.cluster.rooms import FarRooms
from server.sockets.server import SocketServer


class SharedFloor:
    """The parts of a node's floor that know of other nodes. Made inside the running loop."""

    def __init__(self, cluster: Cluster, sockets: SocketServer) -> None:
        self.rooms = FarRooms(
            cluster.exchange,
            sockets.hub,
            lambda: cluster.membership.others,
            cluster.routes.origin_of,
        )

    def leaving(self, _shards: Collection[int]) -> None:
        """Shards are given up: what waits to be told is told before their new owner tells more."""
        self.rooms.telling.flush()

    def gone(self, member: str) -> None:
        """A member is seen no more."""
        self.rooms.gone(member)

    def close(self) -> None:
        """Say what waits to be said, before the bus is left."""
        self.rooms.close()
