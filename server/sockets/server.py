"""The Socket.IO server: an application behind a port, its hub, and everything that listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from protocol import disconnects
from protocol.commands.node import ServerDraining
from protocol.outgoing import Outgoing
from protocol.socketio import Argument
from server.hub import Hub
from server.sockets.client import Client
from server.sockets.connection import Connection
from server.sockets.counters import Counters
from server.sockets.deadlines import Deadlines
from server.sockets.engine import Engine
from server.sockets.options import SocketOptions
from server.sockets.recovery import Recovery
from server.sockets.socket import Ack, Socket


class SocketApplication(Protocol):
    """What the layer serves. `event` is the hot path: it is synchronous and must not block."""

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that exist."""

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Let a client in, or raise the `Failure` it is told. Cancelled if the client goes."""

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Take an event. Arguments are undecoded JSON, or objects where they came as such."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Called once for each socket that `connect` let in.

        It has left its rooms already, unless its client may come back: `connect` is asked again
        then, for a new socket.
        """


class SocketServer:
    """Serves one application. Made inside the running loop; `engine` takes the transports.

    In a cluster, session ids begin with `member`.
    """

    __slots__ = ("application", "engine", "hub", "joined", "options", "recovery", "unjoined")

    def __init__(
        self, options: SocketOptions, application: SocketApplication, member: str = ""
    ) -> None:
        self.options = options
        self.application = application
        self.hub = Hub()
        self.recovery = Recovery(options, self.hub)
        # Sockets by namespace.
        self.joined: Counter[str] = Counter()
        self.engine = Engine(options, self._make_client, member)
        self.unjoined: Deadlines[Client] = Deadlines(
            options.connect_timeout_ms / 1000,
            lambda client, _: client.connection.close(disconnects.CONNECT_TIMEOUT),
        )

    @property
    def counters(self) -> Counters:
        """What this layer has done."""
        return self.engine.counters

    @property
    def sockets(self) -> int:
        """How many namespaces are joined, over all connections."""
        return self.joined.total()

    def _make_client(self, connection: Connection) -> Client:
        return Client(self, connection)

    async def drain(self, timeout_s: float, retry_after_ms: int) -> None:
        """Refuse new sessions, tell every client to reconnect, and close; within `timeout_s`."""
        told = ServerDraining(retry_after_ms=retry_after_ms)
        goodbyes = {
            namespace: Outgoing(namespace, "server:draining", (told,))
            for namespace in self.application.namespaces
        }

        def say_goodbye(connection: Connection) -> None:
            assert isinstance(connection.handler, Client)
            for socket in connection.handler.sockets():
                socket.deliver(goodbyes[socket.namespace])

        await self.engine.drain(timeout_s, say_goodbye)

    def close(self) -> None:
        """End everything at once."""
        self.engine.close()
        self.unjoined.close()
        self.recovery.close()
        self.hub.close()
