"""Socket.IO over one Engine.IO connection: packets in, namespaces joined and left."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from protocol import disconnects, msgpack_parser, outgoing, socketio
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.errors import INTERNAL, INVALID_NAMESPACE, OVERLOADED, Failure, body
from protocol.outgoing import Outgoing, Parser
from protocol.socketio import Connect, Disconnect, Event, Packet, Partial
from server.sockets.event_log import Former
from server.sockets.moved import Movable, MovedSession, MovedSocket, wired
from server.sockets.socket import Ack, Socket

if TYPE_CHECKING:
    from server.sockets.connection import Connection
    from server.sockets.recovery import Recovery
    from server.sockets.server import SocketServer

_LOG = logging.getLogger(__name__)

# 120 bits: other clients may get to know a socket's id, but cannot guess one.
_SID_BYTES: Final = 15


class Client:
    """One connection's namespaces. The Engine.IO layer calls it with every message, in order.

    A client speaks through the parser of its first message: text is the default one's, and binary,
    which none of its packets begins with, the msgpack one's.
    """

    __slots__ = ("_connecting", "_partial", "_session", "connection", "parser", "server")

    def __init__(self, server: SocketServer, connection: Connection) -> None:
        self.server = server
        self.connection = connection
        self._session: socketio.Session[Socket] = socketio.Session()
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._partial: Partial | None = None
        self.parser: Parser = outgoing.JSON

    # Messages in.

    def opened(self) -> None:
        """Start the time within which a namespace must be joined."""
        self.server.unjoined.add(self)

    def text(self, message: bytes) -> None:
        """Take a text message. Raises `ProtocolViolation`."""
        if self._partial is not None:
            raise ProtocolViolation(disconnects.ATTACHMENT_MISSING)
        if self.parser is not outgoing.JSON:
            raise ProtocolViolation(disconnects.MALFORMED_PACKET)
        packet = socketio.decode(message, self._session)
        if isinstance(packet, Event):
            self._event(packet)
        elif isinstance(packet, Partial):
            self._partial = packet
        else:
            self._take(packet)

    def binary(self, message: bytes) -> None:
        """Take an attachment, or a packet of the msgpack parser. Raises `ProtocolViolation`."""
        if self._speaks_msgpack():
            self._take(msgpack_parser.decode(message, self._session))
            return
        if self._partial is None:
            raise ProtocolViolation(disconnects.ATTACHMENT_UNEXPECTED)
        packet = self._partial.add(message)
        if packet is not None:
            self._partial = None
            self._take(packet)

    def _speaks_msgpack(self) -> bool:
        if self.parser is outgoing.JSON and self._session.untouched and self._partial is None:
            self.parser = outgoing.MSGPACK
        return self.parser is outgoing.MSGPACK

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, Event):
            self._event(packet)
        elif isinstance(packet, Connect):
            self._connect(packet)
        elif isinstance(packet, Disconnect):
            self._leave(packet.namespace)
        # Nothing of ours asks for acknowledgements yet; the reference ignores unknown ones too.

    def _event(self, packet: Event) -> None:
        socket = self._session.member(packet.namespace)
        if socket is None:
            return
        ack = None if packet.ack_id is None else Ack(socket, packet.ack_id)
        try:
            self.server.application.event(socket, packet.name, packet.args, ack)
        except Exception:  # noqa: BLE001 - a fault of one event is logged and ends nothing
            _LOG.exception("the application failed on the event %s", packet.name)

    # Joining a namespace.

    def _connect(self, packet: Connect) -> None:
        if packet.namespace not in self.server.application.namespaces:
            self._refuse(packet.namespace, Failure(INVALID_NAMESPACE))
            return
        if not self._session.ask(packet.namespace):
            return
        recoverable = packet.auth.get("recover") is True
        sid = secrets.token_urlsafe(_SID_BYTES)
        socket = Socket(self, packet.namespace, sid, recoverable=recoverable)
        self._connecting[packet.namespace] = asyncio.get_running_loop().create_task(
            self._join(socket, packet)
        )

    async def _join(self, socket: Socket, packet: Connect) -> None:
        """Ask the application, which may take a while; the outcome goes to the client."""
        try:
            async with asyncio.timeout(self.server.options.connect_timeout_ms / 1000):
                await self.server.application.connect(socket, packet.auth)
        except Failure as failure:
            self._turned_away(socket, failure)
        except TimeoutError:
            self._turned_away(socket, Failure(OVERLOADED))
        except asyncio.CancelledError:
            socket.ended()
            raise
        except Exception:  # noqa: BLE001 - the client is told that it is our fault
            _LOG.exception("the application failed to connect a socket")
            self._turned_away(socket, Failure(INTERNAL))
        else:
            await self._let_in(socket, packet)

    async def _let_in(self, socket: Socket, packet: Connect) -> None:
        """The application has agreed: see what the client missed elsewhere, and let it join."""
        try:
            former = await self.server.recovery.fetch(socket, packet.auth)
        except asyncio.CancelledError:
            socket.ended()
            self._tell_end(socket, disconnects.CLIENT_CLOSED)
            raise
        del self._connecting[packet.namespace]
        self._joined(socket, packet, former)

    def _turned_away(self, socket: Socket, failure: Failure) -> None:
        del self._connecting[socket.namespace]
        self._session.refuse(socket.namespace)
        socket.ended()
        self._refuse(socket.namespace, failure)

    def _joined(self, socket: Socket, packet: Connect, former: Former | None) -> None:
        recovery = self.server.recovery
        missed: Sequence[Outgoing] = ()
        if socket.history is not None:
            missed = recovery.admit(socket, packet.auth, former)
        self._session.join(packet.namespace, socket)
        self.server.unjoined.discard(self)
        self.server.joined[packet.namespace] += 1
        socket.opened(missed)
        if socket.pid and socket.pid == packet.auth.get("pid"):
            socket.tell_states()
            if former is not None and recovery.formers is not None:
                recovery.formers.welcome(socket, former)

    def _refuse(self, namespace: str, failure: Failure) -> None:
        self.connection.counters.connects_refused[failure.kind.code] += 1
        # The reference server says no more than this of an unknown namespace.
        data = None if failure.kind is INVALID_NAMESPACE else msgspec.to_builtins(body(failure))
        message = failure.kind.message
        self.connection.send(self.parser.encode_connect_error(namespace, message, data))

    # Leaving.

    def dismiss(self, socket: Socket, reason: DisconnectReason) -> None:
        """The server ends a socket: the client is told."""
        if socket.connected:
            self.connection.send(self.parser.encode_disconnect(socket.namespace))
            self._session.dismiss(socket.namespace)
            self._end(socket, reason)

    def _leave(self, namespace: str) -> None:
        """The client leaves a namespace, or takes back that it asked for one."""
        if namespace in self._connecting:
            self._connecting.pop(namespace).cancel()
        socket = self._session.leave(namespace)
        if socket is not None:
            self._end(socket, disconnects.CLIENT_LEFT)

    def _end(self, socket: Socket, reason: DisconnectReason) -> None:
        if self._session.idle and self.connection.ended is None:
            self.server.unjoined.add(self)
        if self.server.recovery.keep(socket, reason):
            socket.left()
        else:
            socket.ended()
        self.server.joined[socket.namespace] -= 1
        self._tell_end(socket, reason)

    def _tell_end(self, socket: Socket, reason: DisconnectReason) -> None:
        try:
            self.server.application.disconnected(socket, reason.name)
        except Exception:  # noqa: BLE001 - the other sockets still have to end
            _LOG.exception("the application failed on the end of a socket")
        # It may know its socket in turn: they would stay until a garbage collection.
        socket.session = None

    def heartbeat(self) -> None:
        """Let go of what is too old to be sent again."""
        for socket in self._session.members():
            self.server.recovery.heartbeat(socket)

    def closed(self, reason: DisconnectReason) -> None:
        """The connection has ended, and with it every namespace."""
        self.server.unjoined.discard(self)
        self._partial = None
        for task in self._connecting.values():
            task.cancel()
        self._connecting.clear()
        for socket in self._session.members():
            self._session.leave(socket.namespace)
            self._end(socket, reason)

    def sockets(self) -> list[Socket]:
        """The sockets of the namespaces joined."""
        return list(self._session.members())

    # From one node to another.

    @property
    def settled(self) -> bool:
        """Whether nothing is under way: no joining, no packet in parts, no answer that is owed."""
        return (
            not self._connecting
            and self._partial is None
            and not any(socket.owed for socket in self._session.members())
        )

    def exported(self, application: Movable) -> MovedSession:
        """All that another node needs to go on, what was not sent included. The end comes next."""
        return MovedSession(
            self.connection.address,
            self.parser is outgoing.MSGPACK,
            self._session.dismissed,
            [
                _moved(socket, application.state_of(socket), self.server.recovery)
                for socket in self.sockets()
            ],
            wired(self.connection.take_unsent()),
        )

    def resume(self, moved: MovedSession, application: Movable) -> None:
        """Go on as the client that another node has let go."""
        if moved.speaks_msgpack:
            self.parser = outgoing.MSGPACK
        sockets = {
            one.namespace: Socket(self, one.namespace, one.id, recoverable=bool(one.pid))
            for one in moved.sockets
        }
        self._session.resume(sockets, moved.dismissed)
        if not sockets:
            self.server.unjoined.add(self)
        for one in moved.sockets:
            socket = sockets[one.namespace]
            self.server.joined[one.namespace] += 1
            socket.resumed(one.pid)
            application.take_up(socket, one.state)
            for room in one.rooms:
                # Those inside are told before it comes what it has been told at the other node.
                self.server.hub.hasten(one.namespace, room)
                socket.join(room)
            if one.pid and socket.connected:
                self.server.recovery.take_up(socket, one.newest)


def _moved(socket: Socket, state: object, recovery: Recovery) -> MovedSocket:
    return MovedSocket(
        socket.namespace,
        socket.id,
        socket.pid,
        recovery.newest(socket) if socket.pid else None,
        sorted(socket.rooms),
        msgspec.Raw(msgspec.msgpack.encode(state)),
    )
