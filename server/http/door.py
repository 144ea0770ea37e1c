"""Every command of the catalogue that has a route, over HTTP with a Bearer token."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from protocol.catalogue import API_PREFIX, COMMANDS, Entry
from protocol.errors import MALFORMED, TOO_LARGE, UNKNOWN_COMMAND, Failure
from server.allowance import Allowance
from server.answer import Refusal, Success, refusal
from server.auth.service import Accounts
from server.caller import Caller
from server.encoding import refuse_compressed
from server.reply import HttpAnswer
from server.router import Router
from server.sockets.addresses import peer_address
from server.sockets.admission import Admission

_ENCODER: Final = msgspec.json.Encoder()
_BEARER: Final = "bearer "
# From the head of a request to the end of its body, as long-polling has it. Slower: `malformed`.
BODY_LIMIT_S: Final = 10.0

HttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Turns requests into commands and answers into responses."""

    def __init__(
        self,
        router: Router,
        accounts: Accounts,
        allowance: Allowance,
        admission: Admission,
        clock: Callable[[], int],
    ) -> None:
        self._router = router
        self._accounts = accounts
        self._allowance = allowance
        self._admission = admission
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        """Register the route of every command that has one."""
        for entry in COMMANDS.values():
            if entry.route is not None:
                path = API_PREFIX + entry.route.path
                app.router.add_route(entry.route.method, path, self._handler(entry))
        app.middlewares.append(self._unknown)

    @web.middleware
    async def _unknown(self, request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        """Answer paths and methods that the catalogue does not have as any other refusal."""
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            if not request.path.startswith(API_PREFIX):
                raise
            failure = Failure(UNKNOWN_COMMAND, command=f"{request.method} {request.path[:64]}")
            return respond(error.status, refusal(failure, self._clock()))

    def _handler(self, entry: Entry) -> HttpHandler:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer = HttpAnswer(self._clock)
            try:
                caller = await self._caller(request, entry)
                argument = await _argument(request, entry)
            except Failure as failure:
                answer.reject(failure)
            else:
                self._router.dispatch(caller, entry.name, argument, answer)
            return respond(*await answer.wait())

        return handle

    async def _caller(self, request: web.Request, entry: Entry) -> Caller:
        address = self._admission.addresses.of(peer_address(request.transport), request.headers)
        header = request.headers.get("Authorization", "")
        if not entry.roles:
            return Caller(None, address, self._allowance.of_stranger(address))
        token = header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else None
        identity = await self._accounts.identify(token)
        budgets = self._allowance.of_user(identity.user_id, address)
        return Caller(identity, address, budgets)


async def _argument(request: web.Request, entry: Entry) -> Any:
    """What the request says: a body of JSON, or the query and path of a GET."""
    if request.method == "GET":
        return _asked({**request.query, **request.match_info}, entry.request)
    body = await _body(request)
    return msgspec.Raw(body) if body.strip() else None


def _asked(fields: dict[str, str], command: type) -> dict[str, Any]:
    """What a query says. Its text becomes numbers here; the router checks the finished command."""
    try:
        found: dict[str, Any] = msgspec.to_builtins(msgspec.convert(fields, command, strict=False))
    except msgspec.ValidationError as error:
        raise Failure(MALFORMED, reason=str(error)) from error
    for name, value in found.items():
        # As in JSON: 1.0 and 1e3 are no integers, and neither are 01 and +1.
        if type(value) is int and fields.get(name, str(value)) != str(value):
            raise Failure(MALFORMED, reason=f"Expected `int` - at `$.{name}`")
    return found


async def _body(request: web.Request) -> bytes:
    """The body, bounded in bytes by the application and in time here."""
    refuse_compressed(request)
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Failure(TOO_LARGE) from error
    except (aiohttp.ClientPayloadError, web.RequestPayloadError, ConnectionError) as error:
        # Broken chunks, or a peer that left in the middle and hears this no more.
        raise Failure(MALFORMED, reason="the body did not arrive whole") from error
    except TimeoutError as error:
        reason = f"the body did not arrive within {BODY_LIMIT_S:g} s"
        raise Failure(MALFORMED, reason=reason) from error


def respond(status: int, body: Success | Refusal) -> web.Response:
    """The response, with `Retry-After` in seconds where the error says when to come back."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(body, Refusal):
        retry_after_ms = body.error.details.get("retry_after_ms")
        if retry_after_ms is not None:
            headers["Retry-After"] = str(-(-retry_after_ms // 1_000))
    return web.Response(
        status=status,
        body=_ENCODER.encode(body),
        content_type="application/json",
        headers=headers,
    )
