"""What a request must say to open a session or to carry one on, whichever transport it came by."""

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from protocol import engineio
from protocol.errors import MALFORMED, Failure
from server.answer import refusal
from server.sockets.connection import Carried, Connection
from server.sockets.elsewhere import Far
from server.sockets.engine import Engine

ENGINEIO_REVISION: Final = "4"


class Handshake(NamedTuple):
    """A request that may go on: its transport, and the session it names, if any: ours or `far`."""

    transport: str
    address: str
    connection: Connection | None
    far: Far | None = None

    @property
    def opens(self) -> bool:
        """Whether it opens a session."""
        return self.connection is None and self.far is None


def read_handshake(
    engine: Engine, query: Mapping[str, str], headers: Mapping[str, str], peer: str
) -> Handshake:
    """Judge the query and headers of a request. Raises the `Failure` it is answered with."""
    if query.get("EIO") != ENGINEIO_REVISION:
        raise Failure(MALFORMED, reason="EIO must be 4")
    transport = query.get("transport", "")
    if transport not in (engineio.POLLING, engineio.WEBSOCKET):
        raise Failure(MALFORMED, reason="transport must be polling or websocket")
    engine.admission.origins.check(headers)
    address = engine.admission.addresses.of(peer, headers)
    sid = query.get("sid")
    if sid is None:
        engine.admission.check(address)
        return Handshake(transport, address, None)
    connection = engine.connections.get(sid)
    if connection is not None:
        return Handshake(transport, address, connection)
    far = engine.elsewhere.find(sid) if engine.elsewhere is not None else None
    if far is None:
        raise Failure(MALFORMED, reason="unknown sid")
    return Handshake(transport, address, None, far)


def carried(engine: Engine, handshake: Handshake) -> Carried | None:
    """The session that a WebSocket is to carry on, here or from elsewhere; None for a new one."""
    if handshake.far is None:
        return handshake.connection
    assert engine.elsewhere is not None, "it has found the session"
    return engine.elsewhere.crossing(handshake.far)


def error_response(failure: Failure) -> web.Response:
    """A refusal as clients read it: a numbered error, and when to come back where that helps."""
    return web.Response(
        status=failure.kind.status,
        body=error_body(failure),
        headers=error_headers(failure),
    )


def error_body(failure: Failure) -> bytes:
    """The body of a refusal, in the shape that every answer has."""
    return msgspec.json.encode(refusal(failure, time.time_ns() // 1_000_000))


def error_headers(failure: Failure) -> dict[str, str]:
    """The headers of a refusal."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    retry_after_ms = failure.details.get("retry_after_ms")
    if retry_after_ms is not None:
        headers["Retry-After"] = str(-(-retry_after_ms // 1000))
    return headers
