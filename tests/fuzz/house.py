"""The server for hostile peers: small bounds, short times, and an application that does much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Raw

from protocol.errors import TOKEN_INVALID, Failure
from protocol.socketio import Argument
from server.sockets.listener import Listener
from server.sockets.options import SocketOptions
from server.sockets.server import SocketServer
from server.sockets.socket import Ack, Socket
from tests.support.listening import listening

MAX_PAYLOAD_BYTES: Final = 20_000
# Everything that takes time ends within two seconds, so that a round is soon over; every bound is
# near enough to be reached by one peer.
OPTIONS: Final = SocketOptions(
    ping_interval_ms=400,
    ping_timeout_ms=800,
    max_payload_bytes=MAX_PAYLOAD_BYTES,
    request_timeout_ms=400,
    connect_timeout_ms=400,
    upgrade_timeout_ms=300,
    close_timeout_ms=200,
    recovery_ms=300,
    max_connections_per_ip=25,
    max_outbound_bytes=200_000,
    max_outbound_packets=1_000,
    max_packets_per_second=600,
)
_MAX_FLOOD: Final = 2_000


class HostileApplication:
    """Does what a client asks, and whatever that is it raises nothing."""

    namespaces = frozenset({"/", "/chat"})

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Let everybody in, after a while if they like, but those who ask not to be."""
        if auth.get("token") == "wrong":
            raise Failure(TOKEN_INVALID)
        await asyncio.sleep(0.05 if auth.get("wait") else 0)
        if not auth.get("quiet"):
            socket.join("everybody")

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Echo, join and leave rooms, speak to them, flood, and end."""
        if name == "echo" and ack is not None:
            ack.send(*args)
        elif name == "echo":
            socket.emit("echoed", *args)
        elif name == "flood":
            for _ in range(_MAX_FLOOD):
                socket.emit("flood", "x" * 500)
        elif name == "dismiss":
            socket.disconnect()
        elif name == "kick":
            socket.disconnect(close=True)
        elif name == "say" and args and isinstance(args[0], Raw):
            # Undecoded, to clients of both parsers.
            socket.hub.emit(socket.namespace, "everybody", "said", args[0])
        elif args:
            self._move(socket, name, str(_plain(args[0])))

    def _move(self, socket: Socket, name: str, room: str) -> None:
        with suppress(Failure):
            if name == "join":
                socket.join(room)
            elif name == "leave":
                socket.leave(room)

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Nothing is kept of a socket."""


def _plain(argument: Argument) -> object:
    try:
        return msgspec.json.decode(argument) if isinstance(argument, Raw) else argument
    except (msgspec.DecodeError, RecursionError):
        return None


@dataclass(frozen=True)
class House:
    """The running server, and what can be asked about it."""

    server: SocketServer
    listener: Listener
    port: int


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    """Serve on a free port, pages and sockets on the one port, as the program does."""
    server = SocketServer(OPTIONS, HostileApplication())
    http = web.Application()
    http.router.add_get("/", _page)
    async with listening(server.engine, http, keepalive_s=5.0) as (listener, port):
        try:
            yield House(server, listener, port)
        finally:
            server.close()


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text="a page")
