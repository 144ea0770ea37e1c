"""Before any request over HTTP: how many an address may send, and which pages may call the API."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from protocol.catalogue import API_PREFIX, COMMANDS
from protocol.errors import Failure
from server.sockets.addresses import peer_address
from server.sockets.admission import PACKETS_PER_REQUEST
from server.sockets.engine import Engine
from server.sockets.handshake import error_response

_METHODS: Final = ", ".join(
    sorted({entry.route.method for entry in COMMANDS.values() if entry.route is not None})
)

HttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gate:
    """A middleware. Its limits are those of the socket layer: one address, one bound."""

    def __init__(self, engine: Engine) -> None:
        self._admission = engine.admission
        self._counters = engine.counters

    def add_to(self, app: web.Application) -> None:
        """Stand before everything that was added before, and after."""
        app.middlewares.insert(0, self._pass)

    @web.middleware
    async def _pass(self, request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        address = self._admission.addresses.of(peer_address(request.transport), request.headers)
        try:
            self._admission.charge(address, PACKETS_PER_REQUEST)
        except Failure as failure:
            response = self._refuse(request, failure)
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
        try:
            origins.check(headers)
        except Failure as failure:
            return self._refuse(request, failure)
        return self._readable(request, await handler(request))

    def _refuse(self, request: web.Request, failure: Failure) -> web.StreamResponse:
        self._counters.refused[failure.kind.code] += 1
        return self._readable(request, error_response(failure))

    def _readable(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Let the page that asked read the answer, if it may."""
        for name, value in self._admission.origins.answer_headers(request.headers).items():
            response.headers.add(name, value)
        return response
