"""A client in one namespace, as the application sees it, and the acknowledgement of an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from protocol import disconnects, outgoing
from protocol.disconnects import DisconnectReason
from protocol.outgoing import Kept, Outgoing, Parser, keep
from server.sockets.history import History

if TYPE_CHECKING:
    from server.hub import Hub
    from server.sockets.client import Client
    from server.sockets.connection import Connection

# Packets for a socket whose `connect` is still running: its own greeting, and what its rooms are
# told meanwhile. Past this it ends as `connect_backlog`.
MAX_EARLY_PACKETS: Final = 256


class _Absence:
    """Stands where a connection was, for a socket that may come back: it takes nothing."""

    address = ""
    writable = False

    def send(self, packets: tuple[bytes, ...]) -> None:
        """Nobody is here."""

    def flush(self) -> None:
        """Nothing waits."""

    def close(self, reason: DisconnectReason) -> None:
        """It has ended already."""


_ABSENCE: Final = cast("Connection", _Absence())


class Socket:
    """One namespace of one connection. `session` is the application's own.

    While the application's `connect` runs, what is emitted waits until the client has been told
    that it is connected. After the end everything here is harmless and does nothing. With a
    `history` the client may lose its connection and come back; `owner` is whoever the application
    says it is, and only the same may.
    """

    __slots__ = (
        "_client",
        "_early",
        "_form",
        "connected",
        "connection",
        "history",
        "hub",
        "id",
        "namespace",
        "owed",
        "owner",
        "parser",
        "pid",
        "rooms",
        "session",
    )

    def __init__(
        self, client: Client, namespace: str, sid: str, *, recoverable: bool = False
    ) -> None:
        self._client: Client | None = client
        self.connection: Connection = client.connection
        self.hub: Hub = client.server.hub
        self.parser: Parser = client.parser
        self.namespace = namespace
        self.id = sid
        self.pid = ""
        self.owner: Hashable = None
        # How many events wait for their acknowledgement.
        self.owed = 0
        self.session: Any = None
        self.rooms: set[str] = set()
        self.connected = False
        self.history: History | None = None
        self._form = outgoing.form(client.parser, with_offset=recoverable)
        self._early: list[Outgoing] | None = []
        if recoverable:
            self.history = client.server.recovery.begin()

    @property
    def address(self) -> str:
        """The client's address."""
        return self.connection.address

    @property
    def transport(self) -> str:
        """`polling` or `websocket`."""
        return self.connection.transport.name

    @property
    def awaited(self) -> bool:
        """Whether its connection is lost, and its client may come back."""
        return self.connection is _ABSENCE

    def emit(self, event: str, *args: object) -> None:
        """Send an event to this client alone."""
        outgoing = self.hub.outgoing(self.namespace, event, args)
        if self.hub.event_log is not None and self.history is not None:
            self.hub.event_log.told_one(self, outgoing)
        self.deliver(outgoing)

    def deliver(self, event: Outgoing) -> None:
        """Send an event. A broadcast is encoded once and delivered to many."""
        if self.history is not None and event.number is not None:
            event.encoded(self._form)
            self.history.add(event)
        if self.connected:
            self.connection.send(event.encoded(self._form))
        elif self._early is not None:
            self._early.append(event)
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
        elif self._client is not None:
            self._client.dismiss(self, reason)

    # The layer's own.

    def opened(self, missed: Sequence[Outgoing] = ()) -> None:
        """The client may be told: it is connected, then what it missed and what was emitted since.

        After that come the newest states of its rooms, if it has been here before.
        """
        early, self._early = self._early or [], None
        self.connected = True
        recovering = self.pid or None
        self.connection.send(self.parser.encode_connect(self.namespace, self.id, recovering))
        sent = {event.number for event in missed}
        for event in missed:
            self.connection.send(event.encoded(self._form))
        for event in early:
            if event.number is None or event.number not in sent:
                self.connection.send(event.encoded(self._form))

    def resumed(self, pid: str) -> None:
        """It was connected at another node, as its client knows."""
        self._early = None
        self.connected = True
        self.pid = pid

    def tell_states(self) -> None:
        """Send the newest states of the rooms, to a client that may have missed them."""
        for event in self.hub.states(self):
            self.connection.send(event.encoded(self._form))

    def may_become(self, heir: Socket) -> bool:
        """Whether `heir` is the same client, come back."""
        return self.namespace == heir.namespace and self.owner == heir.owner

    def inherit(self, former: Socket) -> None:
        """Go on as the socket that the client had before."""
        assert former.history is not None
        assert self.history is not None
        self.history.clear()
        self.id, self.pid, self.history = former.id, former.pid, former.history
        early, self._early = self._early or [], []
        for event in early:
            if event.number is None or event in self.history:
                self._early.append(event)
            elif self.hub.event_log is None:
                self.history.add(event)
                self._early.append(event)
            else:
                self._early.append(self._number_anew(event.name, event.args))

    def begin_anew(
        self, history: History, missed: Iterable[Kept], repeated: Counter[tuple[bytes, ...]]
    ) -> list[Outgoing]:
        """Number what the client is told first, in that order: what it missed, and what is early.

        What is early and `repeated` in what it missed is left out. Nothing came before that.
        """
        assert self.history is not None
        self.history.clear()
        self.history = history
        events = [self._number_anew(*one) for one in missed]
        early, self._early = self._early or [], []
        for event in early:
            if event.number is None:
                self._early.append(event)
            elif repeated[packets := tuple(keep(event))]:
                repeated[packets] -= 1
            else:
                self._early.append(self._number_anew(event.name, event.args))
        return events

    def _number_anew(self, name: str, args: Sequence[object]) -> Outgoing:
        """An event that the client was to be told before, as one for it alone."""
        assert self.history is not None
        event = self.hub.outgoing(self.namespace, name, args)
        event.encoded(self._form)
        if self.hub.event_log is not None:
            self.hub.event_log.told_one(self, event)
        self.history.add(event)
        return event

    def left(self) -> None:
        """The connection is lost, but the client may come back: the socket stays in its rooms."""
        self.connected = False
        self._client = None
        self.connection = _ABSENCE
        self.hub.awaiting(self)

    def ended(self) -> None:
        """The socket has gone: it leaves its rooms and takes no more packets."""
        self.connected = False
        self._early = None
        self.hub.leave_all(self)
        if self.history is not None:
            self.history.clear()


class Ack:
    """The acknowledgement that one event waits for. Sent at most once, at any later time."""

    __slots__ = ("_id", "_socket", "sent")

    def __init__(self, socket: Socket, ack_id: int) -> None:
        self._socket = socket
        self._id = ack_id
        self.sent = False
        socket.owed += 1

    def send(self, *args: object) -> None:
        """Answer the event. Harmless if the socket has gone."""
        assert not self.sent, "an event is acknowledged once"
        self.sent = True
        socket = self._socket
        socket.owed -= 1
        if socket.connected:
            socket.connection.send(socket.parser.encode_ack(socket.namespace, self._id, args))
