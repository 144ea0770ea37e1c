"""A small application that remembers what happened to it, and a server of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Raw

from protocol.errors import TOKEN_INVALID, Failure
from protocol.socketio import Argument
from server.http.compression import compress_answers
from server.sockets.deadlines import Deadlines
from server.sockets.listener import Listener
from server.sockets.options import SocketOptions
from server.sockets.server import SocketServer
from server.sockets.socket import Ack, Socket
from tests.support.listening import listening


def decoded(args: Sequence[Argument]) -> list[Any]:
    return [msgspec.json.decode(arg) if isinstance(arg, Raw) else arg for arg in args]


@dataclass
class RecordingApplication:
    """Acknowledges, joins rooms, broadcasts, dismisses and fails, as a client asks."""

    namespaces: frozenset[str] = frozenset({"/", "/chat"})
    sockets: list[Socket] = field(default_factory=list)
    events: list[tuple[str, list[Any]]] = field(default_factory=list)
    ends: list[tuple[str, str]] = field(default_factory=list)
    kept_acks: list[Ack] = field(default_factory=list)
    asked: int = 0
    cancelled: int = 0

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        self.asked += 1
        if auth.get("token") == "wrong":
            raise Failure(TOKEN_INVALID, hint="try another")
        if auth.get("token") == "fault":
            raise RuntimeError("the application is broken")
        try:
            await asyncio.sleep(float(auth.get("wait_s", 0)))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for room in auth.get("rooms", []):
            socket.join(room)
        socket.owner = auth.get("owner")
        if "linger_s" in auth:
            await asyncio.sleep(auth["linger_s"])
        if "fail_late" in auth:
            raise Failure(TOKEN_INVALID)
        self.sockets.append(socket)
        if not auth.get("quiet"):
            socket.emit("welcome", {"namespace": socket.namespace, "auth": auth})

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        values = decoded(args)
        self.events.append((name, values))
        match name:
            case "echo" if ack is not None:
                ack.send(*args)
            case "echo":
                socket.emit("echoed", *args)
            case "later" if ack is not None:
                self.kept_acks.append(ack)
            case "join":
                socket.join(values[0])
            case "leave":
                socket.leave(values[0])
            case "say":
                socket.hub.emit(socket.namespace, values[0], "said", values[1], skip=socket)
            case "dismiss":
                socket.disconnect()
            case "kick":
                socket.disconnect(close=True)
            case "fail":
                raise RuntimeError("the application is broken")

    def state_of(self, socket: Socket) -> Any:
        return {"owner": socket.owner}

    def take_up(self, socket: Socket, state: Raw) -> None:
        socket.owner = msgspec.msgpack.decode(state)["owner"]
        self.sockets.append(socket)

    def disconnected(self, socket: Socket, reason: str) -> None:
        assert socket.history is not None or not socket.rooms
        self.ends.append((socket.namespace, reason))


@dataclass
class Served:
    """A running server."""

    server: SocketServer
    application: RecordingApplication
    listener: Listener
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self.server.engine.connections)

    async def until(self, condition: Any) -> None:
        """Wait until a condition holds; a test that waits in vain fails by its own limit."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def until_ended(self, reason: str, count: int = 1) -> None:
        """Wait until connections have ended for this reason."""
        counters = self.server.counters
        try:
            await self.until(lambda: counters.disconnects[reason] >= count)
        except TimeoutError:
            raise AssertionError(f"no {reason}, but {dict(counters.disconnects)}") from None


def fall_due(deadlines: Deadlines[Any]) -> None:
    """Let the time of all that wait be over: now, however fast or busy this machine is."""
    for key in deadlines.running():
        deadlines._due_at[key] = deadlines._loop.time()
    deadlines.run_due()


async def page(_request: web.Request) -> web.Response:
    return web.Response(text="a page")


async def large(_request: web.Request) -> web.Response:
    """More than all buffers on the way to a client hold."""
    return web.Response(body=bytes(30_000_000))


@asynccontextmanager
async def serve(options: SocketOptions | None = None) -> AsyncIterator[Served]:
    """Serve a fresh application on a free port, pages and sockets on the one port."""
    application = RecordingApplication()
    server = SocketServer(options or SocketOptions(), application)
    http = web.Application(middlewares=[compress_answers])
    http.router.add_get("/", page)
    http.router.add_get("/large", large)
    async with listening(server.engine, http) as (listener, port):
        try:
            yield Served(server, application, listener, port)
        finally:
            server.close()
