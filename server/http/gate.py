"""Before any request over HTTP: how many an address may send, and which pages may call the API."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from protocol import disconnects
from protocol.catalogue import API_PREFIX, COMMANDS
from protocol.errors import RATE_LIMITED, Failure
from server.sockets.engine import Engine
from server.sockets.handshake import error_response
from server.sockets.listener import peer_address

# A request costs the node several times what a packet does, but a poller has two for each.
PACKETS_PER_REQUEST: Final = 2
_METHODS: Final = ", ".join(
    sorted({entry.route.method for entry in COMMANDS.values() if entry.route is not None})
)

HttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gate:
    """A middleware. Its limits are those of the socket layer: one address, one bound."""

    def __init__(self, engine: Engine) -> None:
        self._admission = engine.admission
        self._counters = engine.counters
        self._clock_s = asyncio.get_running_loop().time

    def add_to(self, app: web.Application) -> None:
        """Stand before everything that was added before, and after."""
        app.middlewares.insert(0, self._pass)

    @web.middleware
    async def _pass(self, request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        address = self._admission.addresses.of(peer_address(request.transport), request.headers)
        if not self._admission.takes(address, PACKETS_PER_REQUEST, self._clock_s()):
            self._counters.disconnects[disconnects.ADDRESS_FLOODING.name] += 1
            response = error_response(Failure(RATE_LIMITED, retry_after_ms=1_000))
            # The next request costs a new connection, and those are bounded too.
            response.force_close()
            return response
        if request.path.startswith(API_PREFIX):
            return await self._judge_origin(request, handler)
        return await handler(request)

    async def _judge_origin(self, request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        """Let pages of allowed origins call, and read what they are answered."""
        origins, headers = self._admission.origins, request.headers
        if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in headers:
            return web.Response(status=204, headers=origins.preflight_headers(headers, _METHODS))
        response: web.StreamResponse
        try:
            origins.check(headers)
        except Failure as failure:
            self._counters.refused[failure.kind.code] += 1
            response = error_response(failure)
        else:
            response = await handler(request)
        for name, value in origins.answer_headers(headers).items():
            response.headers.add(name, value)
        return response
