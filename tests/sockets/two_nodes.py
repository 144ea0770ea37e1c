"""Two servers of the socket layer that know of each other, on a bus in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from actors.decision import Notice
from actors.runtime.exchange import Exchange
from protocol.socketio import Argument
from server.cluster.door import InnerDoor
from server.cluster.handoff import Handoffs
from server.cluster.peers import Peers
from server.cluster.rooms import FarRooms
from server.cluster.takeover import Takeovers
from server.sockets.options import SocketOptions
from server.sockets.server import SocketServer
from server.sockets.socket import Ack, Socket
from tests.sockets.application import RecordingApplication, Served, decoded, page
from tests.support.listening import listening
from tests.support.memory_bus import MemoryBus, MemoryHub

ONE, TWO = "aaaaaaaa", "bbbbbbbb"
SECRET = "a secret of the cluster"


@dataclass
class Application(RecordingApplication):
    """Tells rooms on every node what a client says."""

    rooms: FarRooms | None = None

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        if name == "say" and self.rooms is not None:
            room, words = decoded(args)
            self.rooms.publish(Notice(room, "said", words), None)
        else:
            super().event(socket, name, args, ack)


@dataclass
class Member(Served):
    """A running server that is one of several."""

    name: str
    rooms: FarRooms
    bus: MemoryBus
    takeovers: Takeovers
    handoffs: Handoffs
    door: InnerDoor
    inner: str
    """Where its inner door is, as host:port."""


@asynccontextmanager
async def member(
    name: str, redis: MemoryHub, addresses: dict[str, str], options: SocketOptions
) -> AsyncIterator[Member]:
    """Serve as one of several."""
    application = Application()
    server = SocketServer(options, application, name)
    bus = MemoryBus(redis, name)
    rooms = FarRooms(Exchange(name, bus), server.hub, lambda: True)
    application.rooms = rooms
    takeovers = Takeovers(server, Peers(name, addresses.get, SECRET), application, rooms)
    server.engine.elsewhere = takeovers
    handoffs = Handoffs(server, application, rooms)
    door = InnerDoor(server.engine, handoffs, SECRET)
    bus.start()
    http = web.Application()
    http.router.add_get("/", page)
    inner = addresses[name] = await door.start("127.0.0.1", 0)
    async with listening(server.engine, http) as (listener, port):
        try:
            yield Member(
                server,
                application,
                listener,
                port,
                name,
                rooms,
                bus,
                takeovers,
                handoffs,
                door,
                inner,
            )
        finally:
            rooms.close()
            bus.close()
            await takeovers.close()
            await door.close()
            server.close()


@asynccontextmanager
async def two_nodes(
    options: SocketOptions | None = None, delay_s: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[tuple[Member, Member]]:
    """Two servers; whatever they say to each other's rooms takes `delay_s()` to Redis, and back."""
    redis, addresses = MemoryHub(delay_s), dict[str, str]()
    options = options or SocketOptions()
    async with (
        member(ONE, redis, addresses, options) as one,
        member(TWO, redis, addresses, options) as two,
    ):
        await one.until(lambda: one.bus.connected and two.bus.connected)
        yield one, two
