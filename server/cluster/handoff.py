"""Sessions of ours that go on at another member, and what it tells of them as long as they do not.

Where a WebSocket has come there for one, its upgrade is expected here (`expect`). With the client's
word that it has moved, what is under way is finished first (`settle`), so that every command has
its one answer. Then the session is let go (`let_go`): what waits to be sent, the namespaces with
their socket ids, the rooms, and who the player is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from protocol import disconnects, engineio
from protocol.disconnects import REASONS, DisconnectReason, ProtocolViolation
from protocol.errors import MALFORMED, STORAGE_UNAVAILABLE, Failure
from server.cluster.arrivals import Positions
from server.cluster.room_event import channel_of
from server.cluster.rooms import FarRooms
from server.sockets import polling
from server.sockets.client import Client
from server.sockets.connection import Connection
from server.sockets.moved import Movable, MovedSession
from server.sockets.server import SocketServer

# How long a session that is to move may go on with what is under way; commands take milliseconds.
# Past it, when storage is away, its client has to connect anew. Who asks waits longer.
SETTLE_S: Final = 3.0
_SETTLE_LOOK_S: Final = 0.002


class Moved(msgspec.Struct, frozen=True):
    """What a member answers that lets a session go."""

    session: MovedSession
    positions: Positions
    """How far it was told in each of its rooms; empty if that is not known."""


class _Abroad:
    """Stands for the WebSocket at another member that is to carry on a session of ours."""

    __slots__ = ("_on_close", "key")

    name = engineio.WEBSOCKET
    writable = False
    max_packets = 0

    def __init__(self, key: str, on_close: Callable[[], object]) -> None:
        self.key = key
        self._on_close = on_close

    def write(self, _packets: list[bytes]) -> int:
        """The other member answers the probe by itself."""
        return 0

    def close(self, reason: DisconnectReason) -> None:
        """Nothing comes of it; the other member finds out when it asks."""
        del reason
        self._on_close()

    def abort(self) -> None:
        """There is nothing to cut."""


class Handoffs:
    """This member's sessions, for other members: each of them names one by its id."""

    def __init__(self, server: SocketServer, application: Movable, rooms: FarRooms) -> None:
        self._server = server
        self._application = application
        self._rooms = rooms
        # Our sessions that are expected to move, each by its stand-in; no more than there are.
        self._abroad: dict[str, _Abroad] = {}

    def session(self, sid: str) -> Connection:
        """A session of ours. Raises the Failure that says there is none."""
        connection = self._server.engine.connections.get(sid)
        if connection is None:
            raise Failure(MALFORMED, reason="unknown sid")
        return connection

    def expect(self, sid: str, key: str) -> None:
        """A WebSocket at another member has sent the probe for a session. Raises Failure."""
        connection = self.session(sid)
        abroad = _Abroad(key, lambda: self._abroad.pop(sid, None))
        try:
            connection.open_candidate(abroad)
        except ProtocolViolation as violation:
            raise Failure(MALFORMED, reason=violation.reason.name) from None
        self._abroad[sid] = abroad
        connection.receive_on_candidate(abroad, engineio.PROBE_PING)

    def expect_no_more(self, sid: str, key: str) -> None:
        """The WebSocket at another member has gone."""
        connection, abroad = self._expected(sid, key)
        connection.transport_lost(abroad, disconnects.TRANSPORT_CLOSED)

    def _expected(self, sid: str, key: str) -> tuple[Connection, _Abroad]:
        """A session of ours that expects this upgrade, and its stand-in. Raises Failure."""
        connection, abroad = self.session(sid), self._abroad.get(sid)
        if abroad is None or abroad.key != key:
            raise Failure(MALFORMED, reason="this upgrade is not expected")
        return connection, abroad

    async def settle(self, sid: str, key: str) -> bytes:
        """The client has moved to another member: end what is under way. The rooms it is in.

        Raises Failure: the session is not expected to move, or does not come to rest.
        """
        connection, abroad = self._expected(sid, key)
        connection.receive_on_candidate(abroad, engineio.UPGRADE)
        if connection.transport is not abroad:
            raise Failure(MALFORMED, reason="the upgrade was given up")
        try:
            await self._come_to_rest(connection)
        except TimeoutError:
            connection.close(disconnects.TRANSPORT_CLOSED)
            raise Failure(STORAGE_UNAVAILABLE) from None
        except asyncio.CancelledError:
            connection.close(disconnects.TRANSPORT_CLOSED)
            raise
        return msgspec.msgpack.encode(_channels(self._settled(sid, key)))

    async def let_go(self, sid: str, key: str) -> bytes:
        """All that this member has of a session that has settled, which ends here.

        Raises Failure if it has not.
        """
        self._settled(sid, key)
        # What was said before the other member heard the rooms is told here, and the rest there.
        known = await self._rooms.arrivals.echo()
        for socket in client_of(self._settled(sid, key)).sockets():
            self._server.hub.settle(socket)
        # Unless that was more than may wait for it.
        connection = self._settled(sid, key)
        moved = client_of(connection).exported(self._application)
        positions = {channel: self._rooms.position(channel) for channel in _channels(connection)}
        connection.close(disconnects.MOVED)
        # What we told the rooms ourselves has to be heard there before the socket comes.
        if not (await self._rooms.arrivals.echo() and known):
            positions = {}
        return msgspec.msgpack.encode(Moved(moved, positions))

    def _settled(self, sid: str, key: str) -> Connection:
        """A session of ours that has settled, to move. Raises Failure."""
        connection, abroad = self._expected(sid, key)
        if connection.transport is not abroad or not _rests(connection):
            raise Failure(MALFORMED, reason="this session does not move")
        return connection

    async def _come_to_rest(self, connection: Connection) -> None:
        """Wait until nothing is under way on a session. Nothing new comes: its client has moved."""
        async with asyncio.timeout(SETTLE_S):
            while not _rests(connection):  # noqa: ASYNC110 - once in the life of a session
                await asyncio.sleep(_SETTLE_LOOK_S)

    def lost(self, sid: str, poll: str) -> None:
        """The answer to a poll may not have arrived: unless the client has polled since, it ends.

        A client that asks again by itself does not know that anything is missing.
        """
        connection = self.session(sid)
        transport = connection.transport
        if isinstance(transport, polling.Polling) and str(transport.polls) == poll:
            connection.close(disconnects.TRANSPORT_CLOSED)

    def end(self, sid: str, reason: str) -> None:
        """A client did at another member what ends its session."""
        self.session(sid).close(REASONS.get(reason, disconnects.TRANSPORT_CLOSED))


def _rests(connection: Connection) -> bool:
    """Whether nothing is under way, or the session has ended meanwhile."""
    return connection.ended is not None or (
        not connection.session.posting and client_of(connection).settled
    )


def _channels(connection: Connection) -> list[str]:
    """The rooms of all namespaces, as they are called on the bus."""
    sockets = client_of(connection).sockets()
    return sorted(
        {channel_of(room, socket.namespace) for socket in sockets for room in socket.rooms}
    )


def client_of(connection: Connection) -> Client:
    """Who a session is of; it must not have ended."""
    handler = connection.handler
    assert isinstance(handler, Client), "it is open, and Socket.IO"
    return handler
