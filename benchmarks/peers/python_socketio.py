"""python-socketio as it comes, on aiohttp and uvloop, as its documentation has it."""

from typing import Any

import socketio
import uvloop
from aiohttp import web

from benchmarks.peers.listening import serve_app

server = socketio.AsyncServer(async_mode="aiohttp", transports=["websocket"])


@server.event  # type: ignore[untyped-decorator]  # the package annotates nothing here
async def echo(_sid: str, *args: Any) -> tuple[Any, ...]:
    """Acknowledge with the same arguments."""
    return args


if __name__ == "__main__":
    app = web.Application()
    server.attach(app)
    uvloop.run(serve_app(app))
