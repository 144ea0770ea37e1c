"""The server that the official Engine.IO and Socket.IO test suites expect.

python -m tests.conformance.app --port 3000            # Socket.IO, at /socket.io/
python -m tests.conformance.app --port 3000 --engine   # Engine.IO that echoes, at /engine.io/
... --fallback                                         # every WebSocket on aiohttp, none on picows
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import uvloop
from aiohttp import web

from protocol.disconnects import DisconnectReason
from protocol.engineio import Binary
from protocol.socketio import Argument
from server.http.compression import compress_answers
from server.logs import configure
from server.sockets.connection import Connection
from server.sockets.engine import Engine
from server.sockets.listener import Listener
from server.sockets.options import SocketOptions
from server.sockets.routes import SocketRoutes
from server.sockets.server import SocketServer
from server.sockets.socket import Ack, Socket

HOST: Final = "127.0.0.1"


class SuiteApplication:
    """What the Socket.IO suite asks of a server."""

    namespaces = frozenset({"/", "/custom"})

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Tell the client what it sent as its auth."""
        socket.emit("auth", auth)

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Send the arguments back, or acknowledge with them."""
        if name == "message":
            socket.emit("message-back", *args)
        elif name == "message-with-ack" and ack is not None:
            ack.send(*args)

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Nothing is kept of a socket."""


class EchoHandler:
    """What the Engine.IO suite asks of a server: every message comes back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def opened(self) -> None:
        """Nothing but the open packet is expected."""

    def text(self, message: bytes) -> None:
        """Echo."""
        self._connection.send((message,))

    def binary(self, message: bytes) -> None:
        """Echo."""
        self._connection.send((Binary(message),))

    def heartbeat(self) -> None:
        """There is nothing to do meanwhile."""

    def closed(self, reason: DisconnectReason) -> None:
        """Nothing is kept of a connection."""


def options(path: str, ping_timeout_ms: int) -> SocketOptions:
    """The configuration that both suites name."""
    return SocketOptions(
        path=path,
        ping_interval_ms=300,
        ping_timeout_ms=ping_timeout_ms,
        max_payload_bytes=1_000_000,
        connect_timeout_ms=1_000,
    )


@asynccontextmanager
async def listening(engine: Engine, port: int, *, fallback: bool) -> AsyncIterator[int]:
    """Serve an engine on the loopback address; port 0 takes a free one. The port, as it is."""
    app = web.Application(middlewares=[compress_answers])
    SocketRoutes(engine).add_to(app)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=1,
        handler_cancellation=True,
        auto_decompress=False,
    )
    await runner.setup()
    assert runner.server is not None
    listener = Listener(engine, runner.server)
    try:
        if fallback:
            await web.TCPSite(runner, HOST, port).start()
            yield int(runner.addresses[0][1])
        else:
            yield await listener.listen(HOST, port)
    finally:
        listener.close()
        engine.close()
        await runner.cleanup()


async def serve(arguments: argparse.Namespace) -> None:
    """Serve one of the suites until the process is ended."""
    if arguments.engine:
        engine = Engine(options("/engine.io/", arguments.ping_timeout), EchoHandler)
    else:
        chosen = options("/socket.io/", arguments.ping_timeout)
        engine = SocketServer(chosen, SuiteApplication()).engine
    async with listening(engine, arguments.port, fallback=arguments.fallback) as port:
        print(f"listening on {HOST}:{port}", flush=True)  # noqa: T201 - whoever started it waits for this
        await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--engine", action="store_true", help="plain Engine.IO that echoes")
    parser.add_argument("--fallback", action="store_true", help="aiohttp's WebSocket only")
    parser.add_argument("--ping-timeout", type=int, default=200, help="in ms; the suites want 200")
    arguments = parser.parse_args()
    # As Pitboss writes them: without a traceback for each request that is not HTTP.
    configure("warning", "text")
    uvloop.run(serve(arguments))


if __name__ == "__main__":
    main()
