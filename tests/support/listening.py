"""A web application and the sockets beside it on one port, as the program serves them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from server.sockets.engine import Engine
from server.sockets.listener import Listener
from server.sockets.routes import SocketRoutes


@asynccontextmanager
async def listening(
    engine: Engine, app: web.Application, *, keepalive_s: float = 75.0
) -> AsyncIterator[tuple[Listener, int]]:
    """Serve on a free port of this machine. The listener, and the port."""
    SocketRoutes(engine).add_to(app)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=1,
        keepalive_timeout=keepalive_s,
        auto_decompress=False,
        handler_cancellation=True,
    )
    await runner.setup()
    assert runner.server is not None
    listener = Listener(engine, runner.server)
    try:
        yield listener, await listener.listen("127.0.0.1", 0)
    finally:
        listener.close()
        engine.close()
        await runner.cleanup()
        # The loop needs a turn to see off the connections that were just closed.
        await asyncio.sleep(0.01)
