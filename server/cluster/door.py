"""The inner door: where other members reach the sessions of this one. It serves nothing else."""

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from actors.runtime.reminder import Reminder
from protocol import engineio
from protocol.disconnects import ProtocolViolation
from protocol.errors import FORBIDDEN, Failure
from server.cluster.credential import MOST_APART_S, Credential, LateError, digest_of
from server.cluster.handoff import Handoffs
from server.cluster.peers import ADDRESS, POLL
from server.sockets import polling
from server.sockets.admission import PACKETS_PER_REQUEST
from server.sockets.engine import Engine
from server.sockets.handshake import error_response
from server.sockets.options import SocketOptions

_LOG: Final = logging.getLogger(__name__)

# Where a request keeps the digest that its body must have.
_DIGEST: Final = web.RequestKey("digest", str)
# Later than members let go of idle connections, so that none asks into one that is being closed.
_KEEPALIVE_S: Final = 75.0
_SHUTDOWN_S: Final = 1.0
# Polls of a crowd may all come through one other member.
_BACKLOG: Final = 4_096

Handler = Callable[[str, web.Request], Awaitable[web.Response]]


class InnerDoor:
    """A listener of its own, on an address of the cluster's network."""

    def __init__(self, engine: Engine, sessions: Handoffs, secret: str) -> None:
        self._engine = engine
        self._sessions = sessions
        self._credential = Credential(secret)
        self._late_reminder = Reminder()
        self._runner: web.AppRunner | None = None
        self._doors: dict[str, Handler] = {
            "poll": self._poll,
            "post": self._post,
            "end": self._end,
            "lost": self._lost,
            "probe": self._probe,
            "drop": self._drop,
            "settle": self._settle,
            "take": self._take,
        }

    async def start(self, host: str, port: int, known_as: str = "") -> str:
        """Listen; port 0 takes a free one. Where other members reach it, as `host:port`.

        `known_as` is what they call the host, if it is not `host`.
        """
        app = web.Application()
        app.router.add_post("/sessions/{sid}/{what}", self._handle)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_SHUTDOWN_S,
            keepalive_timeout=_KEEPALIVE_S,
            auto_decompress=False,
            # A member that gives a poll up says so by closing: its client has gone.
            handler_cancellation=True,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=_BACKLOG)
        await site.start()
        bound_port = self._runner.addresses[0][1]
        reached = known_as or host
        return f"[{reached}]:{bound_port}" if ":" in reached else f"{reached}:{bound_port}"

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.Response:
        """Answer a member, and nobody else."""
        sid, what = request.match_info["sid"], request.match_info["what"]
        try:
            request[_DIGEST] = self._check(sid, what, request)
            handler = self._doors.get(what)
            if handler is None:
                raise web.HTTPNotFound
            return await handler(sid, request)
        except Failure as failure:
            return error_response(failure)
        except ProtocolViolation as violation:
            return polling.refused(violation.reason)

    def _check(self, sid: str, what: str, request: web.Request) -> str:
        """The digest of what a member has sent. Raises Failure for whoever is none."""
        shown = request.headers.get(hdrs.AUTHORIZATION, "")
        try:
            digest = self._credential.check(shown, sid, what, request.headers.get(ADDRESS, ""))
        except LateError:
            if self._late_reminder.due():
                _LOG.warning(
                    "a member's request is more than %.0f s old, or from the future: do the"
                    " clocks of the nodes differ, or does somebody repeat what was overheard?",
                    MOST_APART_S,
                )
            raise Failure(FORBIDDEN, reason="this request is not of now") from None
        if digest is None:
            raise Failure(FORBIDDEN, reason="this is for members of the cluster")
        return digest

    async def _read(self, options: SocketOptions, request: web.Request) -> bytes:
        """The body that the member has sent. Raises Failure for another, and ProtocolViolation."""
        body = await polling.read_body(options, request)
        if not hmac.compare_digest(digest_of(body), request[_DIGEST]):
            raise Failure(FORBIDDEN, reason="this is not what the member has sent")
        return body

    async def _text(self, request: web.Request) -> str:
        return (await self._read(self._engine.options, request)).decode()

    def _charge(self, request: web.Request) -> None:
        """Take what a request costs from its client's address, as if it had come here."""
        self._engine.admission.charge(request.headers.get(ADDRESS, ""), PACKETS_PER_REQUEST)

    async def _poll(self, sid: str, request: web.Request) -> web.Response:
        self._charge(request)
        last_words = self._engine.take_last_words(sid)
        if last_words is not None:
            return polling.poll_response(last_words, engineio.encode_payload(last_words))
        connection = self._sessions.session(sid)
        transport = connection.transport
        response = await polling.receive(connection, request)
        if isinstance(transport, polling.Polling):
            response.headers[POLL] = str(transport.polls)
        return response

    async def _post(self, sid: str, request: web.Request) -> web.Response:
        self._charge(request)
        return await polling.send(self._sessions.session(sid), request, self._read)

    async def _lost(self, sid: str, request: web.Request) -> web.Response:
        self._sessions.lost(sid, await self._text(request))
        return web.Response()

    async def _end(self, sid: str, request: web.Request) -> web.Response:
        self._sessions.end(sid, await self._text(request))
        return web.Response()

    async def _probe(self, sid: str, request: web.Request) -> web.Response:
        self._sessions.expect(sid, await self._text(request))
        return web.Response()

    async def _drop(self, sid: str, request: web.Request) -> web.Response:
        self._sessions.expect_no_more(sid, await self._text(request))
        return web.Response()

    async def _settle(self, sid: str, request: web.Request) -> web.Response:
        return web.Response(body=await self._sessions.settle(sid, await self._text(request)))

    async def _take(self, sid: str, request: web.Request) -> web.Response:
        return web.Response(body=await self._sessions.let_go(sid, await self._text(request)))
