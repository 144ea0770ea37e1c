"""Servers of the socket layer that are members of one cluster, in memory, and may end any time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from actors.decision import Notice
from actors.runtime.exchange import Exchange
from protocol.outgoing import Outgoing
from server.cluster.recoveries import Recoveries
from server.cluster.recovery_log import RecoveryLog
from server.cluster.rooms import FarRooms
from server.sockets.options import SocketOptions
from server.sockets.socket import Socket
from tests.sockets.application import Served, serve
from tests.support.memory_bus import MemoryBus, MemoryHub
from tests.support.memory_streams import MemoryShelves, MemoryStreams


class Cluster:
    """What the nodes share."""

    def __init__(self) -> None:
        self.hub = MemoryHub()
        self.shelves = MemoryShelves()
        self.members: set[str] = set()


class Node:
    """One of them."""

    def __init__(self, cluster: Cluster, name: str, served: Served) -> None:
        hub, recovery = served.server.hub, served.server.recovery
        self.served = served
        self.name = name
        self.cluster = cluster
        self.bus = MemoryBus(cluster.hub, name)
        self.streams = MemoryStreams(cluster.shelves, hub.epoch)
        self.log = RecoveryLog(self.streams, hub, name, recovery.bounds.kept_s)
        exchange = Exchange(name, self.bus)
        self.recoveries = Recoveries(
            exchange, self.streams, recovery, cluster.members.__contains__, _tell_states
        )
        self.rooms = FarRooms(exchange, hub, lambda: len(cluster.members) > 1)
        hub.event_log = self.log
        recovery.formers = self.recoveries
        served.server.engine.before_write = self.log.flush
        cluster.members.add(name)
        self.bus.start()
        self.streams.connect()

    @property
    def outcomes(self) -> dict[str, int]:
        """How attempts to come back here ended."""
        return dict(self.served.server.recovery.outcomes)

    def say(self, *numbers: int) -> None:
        """Tell the room, as an actor of this node does."""
        for number in numbers:
            self.rooms.publish(Notice("table", "said", {"n": number}), None)

    def die(self, *, seen: bool = False) -> None:
        """End at once, as a killed process does; with `seen` it is still taken for a member."""
        if not seen:
            self.cluster.members.discard(self.name)
        self.streams.part()
        self.bus.kill()
        for connection in tuple(self.served.server.engine.connections.values()):
            connection.transport.abort()

    def close(self) -> None:
        """Leave."""
        self.rooms.close()
        self.bus.close()
        self.recoveries.close()


def _tell_states(socket: Socket) -> None:
    socket.deliver(Outgoing(socket.namespace, "state", ({"newest": True},)))


@asynccontextmanager
async def member(
    cluster: Cluster, name: str, options: SocketOptions | None = None
) -> AsyncIterator[Node]:
    """A node of the cluster."""
    async with serve(options) as served:
        node = Node(cluster, name, served)
        await served.until(lambda: node.bus.connected)
        try:
            yield node
        finally:
            node.close()


def heard(events: list[list[Any]], name: str = "said") -> list[int]:
    """What was said, of all that a client heard."""
    return [event[1]["n"] for event in events if event[0] == name]


async def passed() -> None:
    """Let what is on the bus arrive."""
    for _ in range(10):
        await asyncio.sleep(0)
