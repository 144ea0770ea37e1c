"""Sessions that come to the wrong node: polls are forwarded, and an upgrade takes the session over.

A session id begins with the id of the member that opened it. That member does its part in
`server/cluster/handoff.py`: it expects the upgrade when the probe has come here, and with the
client's word that it has moved, it lets the session go.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

import msgspec
from aiohttp import hdrs, web

from protocol import disconnects
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.errors import DRAINING, MALFORMED, UNREACHABLE, Failure
from server.cluster.arrivals import Positions
from server.cluster.crossing import Crossing, Upgrade
from server.cluster.handoff import Moved, client_of
from server.cluster.peers import POLL, PeerAnswer, Peers
from server.cluster.rooms import FarRooms
from server.encoding import refuse_compressed
from server.sockets import polling
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
# Headers of an answer that are the client's, too.
_PASSED_ON: Final = (hdrs.CONTENT_TYPE, hdrs.CACHE_CONTROL, hdrs.RETRY_AFTER)


class Takeovers:
    """This member's way to the sessions of others.

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
            moved = msgspec.msgpack.decode(answer.body, type=Moved)
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
        client = client_of(connection)
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

    async def close(self) -> None:
        """Forward and take over no more."""
        self._upgrades.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._peers.close()


def _answer(answer: PeerAnswer) -> web.Response:
    """What the client gets of a member's answer."""
    headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
