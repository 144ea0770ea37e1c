"""What a request must say to open a session or to carry one on, whichever transport it came by."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from protocol import engineio
from protocol.errors import FORBIDDEN, MALFORMED, Failure, body
from server.sockets.connection import Connection
from server.sockets.engine import Engine

ENGINEIO_REVISION: Final = "4"


class Handshake(NamedTuple):
    """A request that may go on: its transport, and the connection it names, if any."""

    transport: str
    address: str
    connection: Connection | None


def read_handshake(
    engine: Engine, query: Mapping[str, str], headers: Mapping[str, str], peer: str
) -> Handshake:
    """Judge the query and headers of a request. Raises the `Failure` it is answered with."""
    if query.get("EIO") != ENGINEIO_REVISION:
        raise Failure(MALFORMED, reason="EIO must be 4")
    transport = query.get("transport", "")
    if transport not in (engineio.POLLING, engineio.WEBSOCKET):
        raise Failure(MALFORMED, reason="transport must be polling or websocket")
    allowed = engine.options.allowed_origins
    origin = headers.get("Origin")
    if allowed is not None and origin is not None and origin not in allowed:
        raise Failure(FORBIDDEN, reason="this origin is not allowed")
    address = engine.admission.address(peer, headers)
    sid = query.get("sid")
    if sid is None:
        engine.admission.check(address)
        return Handshake(transport, address, None)
    connection = engine.connections.get(sid)
    if connection is None:
        raise Failure(MALFORMED, reason="unknown sid")
    return Handshake(transport, address, connection)


def error_response(failure: Failure) -> web.Response:
    """A refusal as clients read it: a numbered error, and when to come back where that helps."""
    return web.Response(
        status=failure.kind.status,
        body=msgspec.json.encode(body(failure)),
        headers=error_headers(failure),
    )


def error_headers(failure: Failure) -> dict[str, str]:
    """The headers of a refusal."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    retry_after_ms = failure.details.get("retry_after_ms")
    if retry_after_ms is not None:
        headers["Retry-After"] = str(-(-retry_after_ms // 1000))
    return headers
