"""The socket layer's door in the aiohttp application: long-polling, and the other WebSockets."""

from __future__ import annotations

from aiohttp import WSCloseCode, hdrs, web

from protocol import engineio
from protocol.errors import MALFORMED, Failure
from server.sockets import polling
from server.sockets.addresses import peer_address
from server.sockets.connection import Connection
from server.sockets.elsewhere import Far
from server.sockets.engine import Engine
from server.sockets.fallback import FallbackResponse, FallbackWebSocket
from server.sockets.handshake import Handshake, carried, error_response, read_handshake


class SocketRoutes:
    """Handles every request for the Socket.IO path that is not picows' from its first byte."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_to(self, app: web.Application) -> None:
        """Register the path in an application."""
        app.router.add_route("*", self._engine.options.path, self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, refusals included."""
        try:
            response = await self._dispatch(request)
        except Failure as failure:
            self._engine.counters.refused[failure.kind.code] += 1
            response = error_response(failure)
        except ConnectionError:
            # The client has left, which is no error of ours; this goes nowhere.
            response = web.Response()
        if not response.prepared:
            response.headers.update(self._engine.admission.origins.answer_headers(request.headers))
        return response

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        if request.method == hdrs.METH_OPTIONS:
            return self._preflight(request)
        polls = request.query.get("transport") == engineio.POLLING
        if polls and request.method == hdrs.METH_GET:
            last_words = self._engine.take_last_words(request.query.get("sid", ""))
            if last_words is not None:
                return polling.poll_response(last_words, engineio.encode_payload(last_words))
        peer = peer_address(request.transport)
        handshake = read_handshake(self._engine, request.query, request.headers, peer)
        connection = handshake.connection
        if handshake.transport == engineio.WEBSOCKET:
            if request.method != hdrs.METH_GET:
                raise Failure(MALFORMED, reason="a WebSocket begins with GET")
            return await self._serve_websocket(request, handshake)
        if handshake.far is not None:
            return await self._forward(request, handshake.far, handshake.address)
        if connection is None:
            if request.method != hdrs.METH_GET:
                raise Failure(MALFORMED, reason="a session is opened with GET")
            await self._turn(request, handshake.address)
            return await polling.open_session(self._engine, handshake.address, request)
        return await self._carry_on(request, connection)

    async def _carry_on(self, request: web.Request, connection: Connection) -> web.Response:
        if request.method == hdrs.METH_GET:
            return await polling.receive(connection, request)
        if request.method == hdrs.METH_POST:
            return await polling.send(connection, request)
        raise Failure(MALFORMED, reason="polling is done with GET and POST")

    async def _forward(self, request: web.Request, far: Far, address: str) -> web.StreamResponse:
        assert self._engine.elsewhere is not None, "it has found the session"
        self._engine.counters.forwarded += 1
        return await self._engine.elsewhere.forward(far, request, address)

    async def _serve_websocket(
        self, request: web.Request, handshake: Handshake
    ) -> web.StreamResponse:
        address = handshake.address
        upgrading = carried(self._engine, handshake)
        if upgrading is None:
            await self._turn(request, address)
        response = FallbackResponse(self._engine.options)
        try:
            await response.prepare(request)
        except ValueError:
            # aiohttp takes for granted that the key is ASCII.
            raise Failure(MALFORMED, reason="Sec-WebSocket-Key is not base64") from None
        if upgrading is None and not await self._still_may(address, response):
            return response
        await FallbackWebSocket(self._engine, request, response).serve(address, upgrading)
        return response

    async def _still_may(self, address: str, response: FallbackResponse) -> bool:
        """Whether a session may be opened that could be before the handshake was answered.

        If not, the WebSocket is closed: others came in meanwhile, or the server began to drain.
        """
        try:
            self._engine.admission.check(address)
        except Failure as failure:
            self._engine.counters.refused[failure.kind.code] += 1
            message = failure.kind.message.encode()
            await response.close(code=WSCloseCode.TRY_AGAIN_LATER, message=message)
            return False
        return True

    async def _turn(self, request: web.Request, address: str) -> None:
        """Wait until a new session may be opened."""
        await self._engine.admission.turn(address)
        if request.transport is None:
            raise ConnectionResetError("the client left while it waited for its turn")

    def _preflight(self, request: web.Request) -> web.Response:
        """Tell a browser what a page may send (no cookie is ever part of it)."""
        origins = self._engine.admission.origins
        headers = origins.preflight_headers(request.headers, "GET, POST")
        return web.Response(status=204, headers=headers)
