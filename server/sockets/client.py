"""Socket.IO over one Engine.IO connection: packets in, namespaces joined and left."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

import msgspec

from protocol import disconnects, socketio
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.errors import INTERNAL, INVALID_NAMESPACE, OVERLOADED, Failure, body
from protocol.socketio import Connect, Disconnect, Event, Packet, Partial
from server.sockets.socket import Ack, Socket

if TYPE_CHECKING:
    from server.sockets.connection import Connection
    from server.sockets.server import SocketServer

_LOG = logging.getLogger(__name__)


class Client:
    """One connection's namespaces. The Engine.IO layer calls it with every message, in order."""

    __slots__ = ("_connecting", "_partial", "_session", "connection", "server")

    def __init__(self, server: SocketServer, connection: Connection) -> None:
        self.server = server
        self.connection = connection
        self._session: socketio.Session[Socket] = socketio.Session()
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._partial: Partial | None = None

    # Messages in.

    def opened(self) -> None:
        """Start the time within which a namespace must be joined."""
        self.server.unjoined.add(self)

    def text(self, message: bytes) -> None:
        """Take a text message. Raises `ProtocolViolation`."""
        if self._partial is not None:
            raise ProtocolViolation(disconnects.ATTACHMENT_MISSING)
        packet = socketio.decode(message)
        if isinstance(packet, Event):
            self._event(packet)
        elif isinstance(packet, Partial):
            # Its namespace is judged now, so that strangers cannot make attachments pile up.
            self._session.member(packet.namespace)
            self._partial = packet
        else:
            self._take(packet)

    def binary(self, message: bytes) -> None:
        """Take an attachment. Raises `ProtocolViolation`."""
        if self._partial is None:
            raise ProtocolViolation(disconnects.ATTACHMENT_UNEXPECTED)
        packet = self._partial.add(message)
        if packet is not None:
            self._partial = None
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, Event):
            self._event(packet)
        elif isinstance(packet, Connect):
            self._connect(packet)
        elif isinstance(packet, Disconnect):
            self._leave(packet.namespace)
        else:
            # Nothing of ours asks for acknowledgements yet; the reference ignores unknown ones too.
            self._session.member(packet.namespace)

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
        socket = Socket(self, packet.namespace, secrets.token_urlsafe(15))
        self._connecting[packet.namespace] = asyncio.get_running_loop().create_task(
            self._join(socket, packet)
        )

    async def _join(self, socket: Socket, packet: Connect) -> None:
        """Ask the application, which may take a while; the outcome goes to the client."""
        failure: Failure | None = None
        try:
            async with asyncio.timeout(self.server.options.connect_timeout_ms / 1000):
                await self.server.application.connect(socket, packet.auth)
        except Failure as refused:
            failure = refused
        except TimeoutError:
            failure = Failure(OVERLOADED)
        except asyncio.CancelledError:
            socket.ended()
            raise
        except Exception:  # noqa: BLE001 - the client is told that it is our fault
            _LOG.exception("the application failed to connect a socket")
            failure = Failure(INTERNAL)
        del self._connecting[packet.namespace]
        if failure is None:
            self._session.join(packet.namespace, socket)
            self.server.unjoined.discard(self)
            self.server.sockets += 1
            socket.opened()
        else:
            self._session.refuse(packet.namespace)
            socket.ended()
            self._refuse(packet.namespace, failure)

    def _refuse(self, namespace: str, failure: Failure) -> None:
        # The reference server says no more than this of an unknown namespace.
        data = None if failure.kind is INVALID_NAMESPACE else msgspec.to_builtins(body(failure))
        self.connection.send(socketio.encode_connect_error(namespace, failure.kind.message, data))

    # Leaving.

    def dismiss(self, socket: Socket, reason: DisconnectReason) -> None:
        """The server ends a socket: the client is told."""
        if socket.connected:
            self.connection.send(socketio.encode_disconnect(socket.namespace))
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
        socket.ended()
        self.server.sockets -= 1
        try:
            self.server.application.disconnected(socket, reason.name)
        except Exception:  # noqa: BLE001 - the other sockets still have to end
            _LOG.exception("the application failed on the end of a socket")

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
