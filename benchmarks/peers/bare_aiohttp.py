"""A bare aiohttp WebSocket: what any Socket.IO server on it could reach at most.

It knows one event and no protocol: an acknowledgement is cut out of its request.
"""

import uvloop
from aiohttp import web

from benchmarks.peers.listening import serve_app

_OPEN = (
    '0{"sid":"bare","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
)
_CONNECTED = '40{"sid":"bare"}'
_EVENT = '["echo",'


async def answer(request: web.Request) -> web.WebSocketResponse:
    """Open a session, and answer each echo on it."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(_OPEN)
    async for message in socket:
        packet: str = message.data
        if packet.startswith("42"):
            head, _, arguments = packet.partition(_EVENT)
            await socket.send_str(f"43{head[2:]}[{arguments}")
        elif packet.startswith("40"):
            await socket.send_str(_CONNECTED)
    return socket


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/socket.io/", answer)
    uvloop.run(serve_app(app))
