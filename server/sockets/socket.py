"""A client in one namespace, as the application sees it, and the acknowledgement of an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol import disconnects, socketio
from protocol.disconnects import DisconnectReason
from protocol.socketio import Encoded

if TYPE_CHECKING:
    from server.hub import Hub
    from server.sockets.client import Client
    from server.sockets.connection import Connection

# Packets for a socket whose `connect` is still running: its own greeting, and what its rooms are
# told meanwhile. Past this it ends as `connect_backlog`.
MAX_EARLY_PACKETS: Final = 256


class Socket:
    """One namespace of one connection. `session` is the application's own.

    While the application's `connect` runs, what is emitted waits until the client has been told
    that it is connected. After the end everything here is harmless and does nothing.
    """

    __slots__ = (
        "_early",
        "client",
        "connected",
        "connection",
        "id",
        "namespace",
        "rooms",
        "session",
    )

    def __init__(self, client: Client, namespace: str, sid: str) -> None:
        self.client = client
        self.connection: Connection = client.connection
        self.namespace = namespace
        self.id = sid
        self.session: Any = None
        self.rooms: set[str] = set()
        self.connected = False
        self._early: list[Encoded] | None = []

    @property
    def address(self) -> str:
        """The client's address."""
        return self.connection.address

    @property
    def transport(self) -> str:
        """`polling` or `websocket`."""
        return self.connection.transport.name

    @property
    def hub(self) -> Hub:
        """The rooms of this server."""
        return self.client.server.hub

    def emit(self, event: str, *args: object) -> None:
        """Send an event to this client alone."""
        self.deliver(socketio.encode_event(self.namespace, event, args))

    def deliver(self, packets: Encoded) -> None:
        """Send an encoded packet. Broadcasts encode once and deliver to many."""
        if self.connected:
            self.connection.send(packets)
        elif self._early is not None:
            self._early.append(packets)
            if len(self._early) > MAX_EARLY_PACKETS:
                self.connection.close(disconnects.CONNECT_BACKLOG)

    def join(self, room: str) -> None:
        """Enter a room of this namespace. Harmless if inside, or after the end."""
        if self.connected or self._early is not None:
            self.hub.join(self, room)

    def leave(self, room: str) -> None:
        """Leave a room. Harmless if outside."""
        self.hub.leave(self, room)

    def disconnect(
        self, reason: DisconnectReason = disconnects.SERVER_CLOSED, close: bool = False
    ) -> None:
        """End this namespace, or with `close` the whole connection.

        Clients reconnect by themselves after the latter, not after the former.
        """
        if close:
            self.connection.close(reason)
        else:
            self.client.dismiss(self, reason)

    def opened(self) -> None:
        """The client may be told: it is connected, then what was emitted while it was not."""
        early, self._early = self._early, None
        self.connected = True
        self.connection.send(socketio.encode_connect(self.namespace, self.id))
        for packets in early or ():
            self.connection.send(packets)

    def ended(self) -> None:
        """The socket has gone: it leaves its rooms and takes no more packets."""
        self.connected = False
        self._early = None
        self.hub.leave_all(self)


class Ack:
    """The acknowledgement that one event waits for. Sent at most once, at any later time."""

    __slots__ = ("_id", "_socket", "sent")

    def __init__(self, socket: Socket, ack_id: int) -> None:
        self._socket = socket
        self._id = ack_id
        self.sent = False

    def send(self, *args: object) -> None:
        """Answer the event. Harmless if the socket has gone."""
        assert not self.sent, "an event is acknowledged once"
        self.sent = True
        socket = self._socket
        if socket.connected:
            socket.connection.send(socketio.encode_ack(socket.namespace, self._id, args))
