"""Sessions that come to the wrong node: polls are forwarded, and an upgrade takes the session over.

A session id begins with the id of the member that opened it. The node that a WebSocket comes to
has that member expect the upgrade (`expect`) and answers the probe. With the client's word that it
has moved, the member first finishes what is under way (`settle`), so that every command has its one
answer, and then lets the session go (`let_go`): what waits to be sent, the namespaces with their
socket ids, the rooms, and who the player is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from aiohttp import hdrs, web

from protocol import disconnects, engineio
from protocol.disconnects import REASONS, DisconnectReason, ProtocolViolation
from protocol.errors import DRAINING, MALFORMED, STORAGE_UNAVAILABLE, UNREACHABLE, Failure
from server.cluster.arrivals import Positions
from server.cluster.crossing import Crossing, Upgrade
from server.cluster.peers import POLL, PeerAnswer, Peers
from server.cluster.rooms import FarRooms
from server.cluster.told import channel_of
from server.encoding import refuse_compressed
from server.sockets import polling
from server.sockets.client import Client
from server.sockets.connection import Connection, Transport
from server.sockets.deadlines import Deadlines
from server.sockets.elsewhere import Far
from server.sockets.moved import Movable, MovedSession, unwired
from server.sockets.server import SocketServer

_LOG = logging.getLogger(__name__)

# How long a member may take for anything but a poll.
ASK_S: Final = 5.0
# A poll is answered with a ping at the latest, and this much later if the member is busy.
POLL_SLACK_S: Final = 5.0
# How long a session that is to move may go on with what is under way; commands take milliseconds.
# Past it, when storage is away, its client has to connect anew. It is less than who asks waits.
SETTLE_S: Final = 3.0
_SETTLE_LOOK_S: Final = 0.002
# Headers of an answer that are the client's, too.
_PASSED_ON: Final = (hdrs.CONTENT_TYPE, hdrs.CACHE_CONTROL, hdrs.RETRY_AFTER)


class _Moved(msgspec.Struct, frozen=True):
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


class Takeovers:
    """This member's way to the sessions of others, and theirs to its own.

    The budgets of a player who moves are those of the new node: they begin afresh.
    """

    def __init__(
        self, server: SocketServer, peers: Peers, application: Movable, rooms: FarRooms
    ) -> None:
        self._server = server
        self._rooms = rooms
        self._engine = server.engine
        self._peers = peers
        self._application = application
        options = server.options
        self._poll_s = options.ping_interval_ms / 1000 + POLL_SLACK_S
        # Our sessions that are expected to move, each by its stand-in; no more than there are.
        self._abroad: dict[str, _Abroad] = {}
        self._upgrades: Deadlines[Crossing] = Deadlines(
            options.upgrade_timeout_ms / 1000,
            lambda stuck, _: stuck.drop_candidate(disconnects.UPGRADE_TIMEOUT),
        )
        # One for a WebSocket or a request that is here, at most, and those are bounded.
        self._tasks: set[asyncio.Task[None]] = set()

    # Requests for sessions of others.

    def find(self, sid: str) -> Far | None:
        """The session `sid`, if it is one of a member that is there now."""
        return self._peers.find(sid)

    async def forward(self, far: Far, request: web.Request, address: str) -> web.Response:
        """What the session's member answers a poll or a post. Raises the Failure of the request."""
        if request.method == hdrs.METH_GET:
            answer = await self._peers.ask(far, "poll", self._poll_s, client=address)
            self._watch(far, request, answer)
            return _answer(answer)
        if request.method != hdrs.METH_POST:
            raise Failure(MALFORMED, reason="polling is done with GET and POST")
        refuse_compressed(request)
        try:
            body = await polling.read_body(self._server.options, request)
        except ProtocolViolation as violation:
            self._end(far, violation.reason)
            return polling.refused(violation.reason)
        except asyncio.CancelledError:
            self._end(far, disconnects.TRANSPORT_CLOSED)
            raise
        return _answer(await self._peers.ask(far, "post", ASK_S, body, address))

    def _watch(self, far: Far, request: web.Request, answer: PeerAnswer) -> None:
        """Have the session know if what it said last may not have reached its client."""
        carrier, poll = polling.carrier_of(request), answer.headers.get(POLL)
        if carrier is not None and poll is not None:
            carrier.on_broken = partial(self._tell, far, "lost", poll.encode())

    def _end(self, far: Far, reason: DisconnectReason) -> None:
        """Have a session end for what only this node has seen."""
        self._tell(far, "end", reason.name.encode())

    def _tell(self, far: Far, what: str, body: bytes) -> None:
        """Ask, and do without the answer: where it fails the session ends by itself."""
        self.begin(asyncio.get_running_loop().create_task(self._told(far, what, body)))

    async def _told(self, far: Far, what: str, body: bytes) -> None:
        try:
            await self._peers.ask(far, what, ASK_S, body)
        except Failure:
            _LOG.info("member %s could not be told: %s", far.member, what)

    # Upgrades here, of sessions of others.

    def crossing(self, far: Far) -> Crossing:
        """The session, for a WebSocket here that is to carry it on."""
        return Crossing(far, self, self._server.options.max_packets_per_second)

    def waits(self, crossing: Crossing) -> None:
        """Its time for the upgrade runs from now on."""
        self._upgrades.add(crossing)

    def waits_no_more(self, crossing: Crossing) -> None:
        """The upgrade has been asked for, or is over."""
        self._upgrades.discard(crossing)

    def begin(self, task: asyncio.Task[None]) -> None:
        """Keep a task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def probe(self, upgrade: Upgrade) -> None:
        """Have its member expect the upgrade. Raises Failure."""
        admission = self._engine.admission
        if admission.draining:
            raise Failure(DRAINING)
        # Of its address it is one already.
        admission.sessions.check(None)
        await self._must(upgrade, "probe")

    def drop(self, upgrade: Upgrade) -> None:
        """Tell its member that nothing comes of the upgrade."""
        self._tell(upgrade.far, "drop", upgrade.key.encode())

    async def take(self, upgrade: Upgrade, transport: Transport) -> Connection:
        """Have its member let go of a session, and make it one of ours. Raises Failure."""
        answer = await self._must(upgrade, "settle")
        channels = msgspec.msgpack.decode(answer.body, type=list[str])
        rooms = self._rooms
        rooms.arrivals.follow(channels)
        try:
            followed = await rooms.arrivals.echo()
            answer = await self._must(upgrade, "take")
            moved = msgspec.msgpack.decode(answer.body, type=_Moved)
            # What its member had heard is heard here then, and not told once more.
            known = followed and moved.positions and await rooms.arrivals.echo()
            positions = moved.positions if known else {}
            return self._arrived(upgrade.far.sid, transport, moved.session, positions)
        finally:
            rooms.unfollow(channels)

    async def _must(self, upgrade: Upgrade, what: str) -> PeerAnswer:
        """What the session's member says to an upgrade. Raises Failure unless it says yes."""
        answer = await self._peers.ask(upgrade.far, what, ASK_S, upgrade.key.encode())
        if answer.status != web.HTTPOk.status_code:
            raise Failure(UNREACHABLE)
        return answer

    def _arrived(
        self, sid: str, transport: Transport, moved: MovedSession, positions: Positions
    ) -> Connection:
        engine = self._engine
        connection = engine.take_over(sid, moved.address, transport)
        client = _client(connection)
        try:
            connection.send(tuple(unwired(moved.packets)))
            client.resume(moved, self._application)
            for socket in client.sockets():
                self._rooms.arrivals.catch_up(socket, positions)
        except Exception:
            connection.close(disconnects.INTERNAL)
            raise
        if engine.admission.draining:
            connection.close(disconnects.DRAINING)
        return connection

    # Sessions here, for other members.

    def session(self, sid: str) -> Connection:
        """A session of ours. Raises the Failure that says there is none."""
        connection = self._engine.connections.get(sid)
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
        for socket in _client(self._settled(sid, key)).sockets():
            self._server.hub.settle(socket)
        # Unless that was more than may wait for it.
        connection = self._settled(sid, key)
        moved = _client(connection).exported(self._application)
        positions = {channel: self._rooms.position(channel) for channel in _channels(connection)}
        connection.close(disconnects.MOVED)
        # What we told the rooms ourselves has to be heard there before the socket comes.
        if not (await self._rooms.arrivals.echo() and known):
            positions = {}
        return msgspec.msgpack.encode(_Moved(moved, positions))

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

    async def close(self) -> None:
        """Forward and take over no more."""
        self._upgrades.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._peers.close()


def _rests(connection: Connection) -> bool:
    """Whether nothing is under way, or the session has ended meanwhile."""
    return connection.ended is not None or (
        not connection.session.posting and _client(connection).settled
    )


def _channels(connection: Connection) -> list[str]:
    """The rooms of all namespaces, as they are called on the bus."""
    sockets = _client(connection).sockets()
    return sorted(
        {channel_of(room, socket.namespace) for socket in sockets for room in socket.rooms}
    )


def _client(connection: Connection) -> Client:
    handler = connection.handler
    assert isinstance(handler, Client), "it is open, and Socket.IO"
    return handler


def _answer(answer: PeerAnswer) -> web.Response:
    """What the client gets of a member's answer."""
    headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
