"""Servers in this process, and the single requests and frames that the clauses are tried with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import aiohttp

from protocol.errors import FORBIDDEN, Failure
from protocol.socketio import Argument
from server.sockets.engine import Engine
from server.sockets.options import SocketOptions
from server.sockets.server import SocketServer
from server.sockets.socket import Ack, Socket
from tests.conformance.app import EchoHandler, SuiteApplication, listening
from tests.sockets.raw import RawSocket, raw, upgrade_request

OPENING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"
# Only a hang reaches it.
LIMIT_S = 10
# Long enough for any exchange of a test, so that no ping comes in between.
CALM = SocketOptions(path="/engine.io/", ping_interval_ms=60_000, max_payload_bytes=10_000)


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass
class Running:
    """A server, and a client's single steps."""

    engine: Engine
    port: int
    http: aiohttp.ClientSession

    async def ask(self, method: str, query: str, body: Any = None, **headers: str) -> Answer:
        """Send one request to the server's path."""
        url = f"http://127.0.0.1:{self.port}{self.engine.options.path}?{query}"
        async with self.http.request(method, url, data=body, headers=headers) as response:
            return Answer(response.status, await response.text(), dict(response.headers))

    async def open(self) -> str:
        """Open a session of long-polling. Its id."""
        answer = await self.ask("GET", OPENING)
        assert answer.status == 200, answer
        return str(json.loads(answer.text[1:])["sid"])

    async def poll(self, sid: str) -> tuple[int, str]:
        """One GET of a session."""
        answer = await self.ask("GET", f"{OPENING}&sid={sid}")
        return answer.status, answer.text

    async def post(self, sid: str, body: Any, **headers: str) -> tuple[int, str]:
        """One POST of a session."""
        answer = await self.ask("POST", f"{OPENING}&sid={sid}", body, **headers)
        return answer.status, answer.text

    async def waiting_poll(self, sid: str) -> asyncio.Task[tuple[int, str]]:
        """A GET that the server has and does not answer yet."""
        connection = self.engine.connections[sid]
        poll = asyncio.create_task(self.poll(sid))
        await self.until(lambda: connection.writable)
        return poll

    async def upgrade_status(self, query: str, path: str | None = None) -> int:
        """How a WebSocket handshake is answered."""
        async with raw(self.port) as socket:
            socket.send(upgrade_request(query, path=path or self.engine.options.path))
            return int((await socket.head()).split(b" ", 2)[1])

    async def unknown(self, sid: str) -> None:
        """The session is no longer known, however one asks."""
        assert sid not in self.engine.connections
        assert (await self.poll(sid))[0] == 400
        assert (await self.post(sid, "4x"))[0] == 400
        assert await self.upgrade_status(f"{WEBSOCKET}&sid={sid}") == 400

    @asynccontextmanager
    async def upgraded(self, query: str = WEBSOCKET) -> AsyncIterator[RawSocket]:
        """A WebSocket whose HTTP handshake is done."""
        async with raw(self.port) as socket:
            socket.send(upgrade_request(query, path=self.engine.options.path))
            head = await socket.head()
            assert head.startswith(b"HTTP/1.1 101 "), head
            yield socket

    @asynccontextmanager
    async def session(self) -> AsyncIterator[RawSocket]:
        """A WebSocket whose open packet was read."""
        async with self.upgraded() as socket:
            assert (await socket.packet()).startswith("0{")
            yield socket

    @asynccontextmanager
    async def joined(self, namespace: str = "") -> AsyncIterator[RawSocket]:
        """A WebSocket that is connected to a namespace and has read its greeting."""
        async with self.session() as socket:
            await join(socket, namespace)
            yield socket

    async def until(self, condition: Any) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                await asyncio.sleep(0.002)

    async def until_ended(self, reason: str) -> None:
        """Wait until a connection has ended for this reason."""
        await self.until(lambda: self.engine.counters.disconnects[reason])


async def join(socket: RawSocket, namespace: str = "") -> str:
    """Connect to a namespace and read the greeting. The socket's id."""
    prefix = f"{namespace}," if namespace else ""
    socket.text(f"40{prefix}")
    answer = await socket.packet()
    assert answer.startswith(f'40{prefix}{{"sid":"'), answer
    assert await socket.packet() == f'42{prefix}["auth",{{}}]'
    return str(json.loads(answer.removeprefix(f"40{prefix}"))["sid"])


class ClauseApplication(SuiteApplication):
    """What the suites expect, and the two things that only a server can begin."""

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Refuse who asks for it."""
        if auth.get("token") == "wrong":
            raise Failure(FORBIDDEN, hint="another token")
        await super().connect(socket, auth)

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """End the namespace of who asks for it."""
        if name == "dismiss-me":
            socket.disconnect()
        else:
            super().event(socket, name, args, ack)


@asynccontextmanager
async def engineio_server(
    *, fallback: bool, options: SocketOptions = CALM
) -> AsyncIterator[Running]:
    """A plain Engine.IO server that echoes."""
    async with _running(Engine(options, EchoHandler), fallback) as running:
        yield running


@asynccontextmanager
async def socketio_server(
    *, fallback: bool, options: SocketOptions = CALM
) -> AsyncIterator[Running]:
    """A Socket.IO server of the suites' application."""
    server = SocketServer(replace(options, path="/socket.io/"), ClauseApplication())
    try:
        async with _running(server.engine, fallback) as running:
            yield running
    finally:
        server.close()


@asynccontextmanager
async def _running(engine: Engine, fallback: bool) -> AsyncIterator[Running]:
    timeout = aiohttp.ClientTimeout(total=LIMIT_S)
    async with (
        listening(engine, 0, fallback=fallback) as port,
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        yield Running(engine, port, http)
