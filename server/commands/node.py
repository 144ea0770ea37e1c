"""What operators see of this node: its numbers, its connections and its rooms."""

from collections.abc import Callable
from functools import partial
from typing import Final

from protocol import outgoing
from protocol.bounds import MAX_ROOMS_SHOWN
from protocol.commands.node import (
    ConnectionEntry,
    Connections,
    GetConnections,
    GetRooms,
    GetStats,
    Parser,
    RoomEntry,
    Rooms,
    SocketEntry,
    Stats,
    Transport,
)
from protocol.errors import INVALID_NAMESPACE, Failure
from server.caller import Caller
from server.newest import newest
from server.pulse import MINUTE, Pulse
from server.rooms.room import Room
from server.router import Handler
from server.sockets.client import Client
from server.sockets.connection import Connection
from server.sockets.server import SocketServer
from server.sockets.socket import Socket
from server.work import Work

_PARSERS: Final = {outgoing.JSON: Parser.JSON, outgoing.MSGPACK: Parser.MSGPACK}


class NodeCommands:
    """Handlers of `node:*`. Nothing here tells a session id or a `pid`: they give access."""

    def __init__(self, sockets: SocketServer, pulse: Pulse, now_ms: Callable[[], int]) -> None:
        self._sockets = sockets
        self._pulse = pulse
        self._now_ms = now_ms
        self._started_at_ms = now_ms()

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        return {
            "node:stats": work.answering(self._stats),
            "node:connections": work.answering(self._connections),
            "node:rooms": work.answering(self._rooms),
        }

    async def _stats(self, _caller: Caller, _command: GetStats) -> Stats:
        sockets, counters = self._sockets, self._sockets.counters
        return Stats(
            started_at_ms=self._started_at_ms,
            connections=dict(counters.open_by_transport),
            sockets=dict(sockets.joined),
            sockets_awaited=sockets.recovery.absent,
            rooms=sockets.hub.rooms,
            handshakes_waiting=len(sockets.engine.admission.turnstile),
            disconnects=dict(counters.disconnects),
            handshakes_refused=dict(counters.refused),
            connects_refused=dict(counters.connects_refused),
            recoveries=dict(sockets.recovery.outcomes),
            last_second=self._pulse.traffic(1),
            last_minute=self._pulse.traffic(MINUTE),
        )

    async def _connections(self, _caller: Caller, command: GetConnections) -> Connections:
        engine = self._sockets.engine
        if command.address is not None:
            command.address = engine.admission.addresses.of(command.address, {})
        # Ten thousand references are copied in a tenth of a millisecond.
        connections = list(engine.connections.values())
        show = partial(self._connection, command)
        found, next_before = await newest(connections, command.before, command.limit, show)
        return Connections(found, next_before)

    def _connection(self, asked: GetConnections, connection: Connection) -> ConnectionEntry | None:
        """A connection's row, None if it is not asked for, or has ended since the page began."""
        if connection.ended is not None:
            return None
        client = connection.handler
        assert isinstance(client, Client)
        sockets = client.sockets()
        if not _is_asked_for(asked, connection, sockets):
            return None
        age_s = self._sockets.engine.now() - connection.opened_at_s
        return ConnectionEntry(
            number=connection.number,
            address=connection.address,
            transport=Transport(connection.transport.name),
            parser=_PARSERS[client.parser],
            connected_at_ms=self._now_ms() - int(age_s * 1_000),
            packets_counted=connection.counted_packets,
            waiting_bytes=connection.waiting_bytes,
            sockets=[_socket(socket) for socket in sockets],
        )

    async def _rooms(self, _caller: Caller, command: GetRooms) -> Rooms:
        if command.namespace not in self._sockets.application.namespaces:
            raise Failure(INVALID_NAMESPACE)
        rooms = self._sockets.hub.rooms_of(command.namespace)
        show = partial(_room, command)
        found, next_before = await newest(rooms, command.before, command.limit, show)
        return Rooms(found, next_before)


def _is_asked_for(asked: GetConnections, connection: Connection, sockets: list[Socket]) -> bool:
    """Whether a connection passes all filters, one of its sockets those on sockets."""
    address, transport, user_id, room = asked.address, asked.transport, asked.user_id, asked.room
    if address is not None and address != connection.address:
        return False
    if transport is not None and transport.value != connection.transport.name:
        return False
    if user_id is None and room is None:
        return True
    for socket in sockets:
        if user_id is not None and user_id != socket.session.user_id:
            continue
        if room is None or room in socket.rooms:
            return True
    return False


def _socket(socket: Socket) -> SocketEntry:
    identity = socket.session.identity
    return SocketEntry(
        id=socket.id,
        namespace=socket.namespace,
        user_id=identity.user_id,
        username=identity.username,
        role=identity.role,
        room_count=len(socket.rooms),
        rooms=sorted(socket.rooms)[:MAX_ROOMS_SHOWN],
    )


def _room(asked: GetRooms, room: Room) -> RoomEntry | None:
    """A room's row, None if it is not asked for, or has emptied since the page began."""
    if not room.members or not room.name.startswith(asked.prefix or ""):
        return None
    return RoomEntry(
        number=room.number,
        namespace=asked.namespace,
        room=room.name,
        members=len(room.members),
        members_awaited=room.awaited,
    )
