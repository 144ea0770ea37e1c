"""The first request on the port: whole, in pieces, late, broken, and what is decided from it."""

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_network
from typing import Any

import pytest

from protocol.bounds import MAX_FIRST_REQUEST_BYTES
from server.sockets import listener
from server.sockets.fallback import FallbackResponse
from server.sockets.options import SocketOptions
from tests.sockets.application import Served, serve
from tests.sockets.raw import (
    Door,
    RawSocket,
    frame,
    joined,
    raw,
    session,
    upgrade_request,
    websocket,
)

LOCAL = frozenset({ip_network("127.0.0.1")})
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


async def test_a_page_and_a_socket_come_from_one_port(served: Served) -> None:
    async with raw(served.port) as page, session(served.port):
        await page.read_page()
        await page.read_page()
        assert served.connections == 1


async def test_an_upgrade_that_arrives_byte_by_byte(served: Served) -> None:
    request = upgrade_request() + frame(1, b"40")
    async with raw(served.port) as socket:
        for byte in request:
            socket.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await socket.head()).startswith(b"HTTP/1.1 101 ")
        assert (await socket.packet()).startswith("0{")
        assert (await socket.packet()).startswith("40{")


async def test_every_cut_of_an_upgrade_in_two(served: Served) -> None:
    request = upgrade_request() + frame(1, b"40")
    for cut in range(1, len(request), 7):
        async with raw(served.port) as socket:
            socket.send(request[:cut])
            await socket.writer.drain()
            await asyncio.sleep(0.001)
            socket.send(request[cut:])
            assert (await socket.head()).startswith(b"HTTP/1.1 101 ")
            assert (await socket.packet()).startswith("0{")
            assert (await socket.packet()).startswith("40{")


async def test_what_follows_the_upgrade_may_be_larger_than_a_read_buffer(served: Served) -> None:
    events = b"".join(frame(1, b'42%d["echo"]' % number) for number in range(1_000))
    async with raw(served.port) as socket:
        # CONNECT is answered before the events are read only if the application answers at once,
        # so they are to a namespace that nobody joined: the answer is a close, not a fault.
        socket.send(upgrade_request(), events)
        assert (await socket.head()).startswith(b"HTTP/1.1 101 ")
        assert await socket.close_code() == 4206


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        (b"\r\n\r\n\r\n\r\n", None),
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 400),
        (upgrade_request().replace(b"/socket.io/", b"/elsewhere/"), 404),
        (upgrade_request().replace(b"GET", b"PUT"), 400),
        (upgrade_request().replace(KEY.encode(), b""), 400),
        (upgrade_request().replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), 400),
        (upgrade_request().replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"!!!"), 400),
        (upgrade_request().replace(b"Version: 13", b"Version: 99"), 400),
        (upgrade_request("EIO=3&transport=websocket"), 400),
        (upgrade_request("transport=websocket"), 400),
        (upgrade_request("EIO=4"), 400),
        (upgrade_request("EIO=4&transport=carrier-pigeon"), 400),
        (upgrade_request("EIO=4&transport=websocket&sid=unknown"), 400),
        # An upgrade is asked for, but of nothing that upgrades: it is a poll like any other.
        (upgrade_request("EIO=4&transport=polling"), 200),
    ],
)  # fmt: skip
async def test_other_requests_get_an_http_answer_and_harm_nobody(
    served: Served, request_bytes: bytes, status: int | None
) -> None:
    async with joined(served.port) as witness:
        async with raw(served.port) as socket:
            socket.send(request_bytes)
            if status is not None:
                head = await socket.head()
                assert head.split(b" ", 2)[1] == b"%d" % status, head
        witness.text('420["echo"]')
        assert await witness.packet() == "430[]"


async def refusal(socket: RawSocket, status: int) -> Any:
    """Read a refusal until the connection ends; the error in its envelope."""
    head, content = (await socket.rest()).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    answer = json.loads(content)
    assert answer["success"] is False
    return answer["error"]


async def test_a_head_without_end_is_refused_at_its_bound(served: Served) -> None:
    async with raw(served.port) as socket:
        socket.send(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * MAX_FIRST_REQUEST_BYTES)
        error = await refusal(socket, 413)
    assert error["code"] == "too_large"
    assert error["details"] == {"limit_bytes": MAX_FIRST_REQUEST_BYTES}
    await served.until(lambda: served.listener.places.taken == 0)


async def test_a_first_request_that_never_ends_is_cut_off() -> None:
    async with serve(SocketOptions(request_timeout_ms=50)) as served, raw(served.port) as socket:
        socket.send(b"GET / HTTP/1.1\r\n")
        assert (await refusal(socket, 408))["number"] == 1006
        assert served.listener.places.taken == 0
        assert served.server.counters.refused["request_timeout"] == 1


async def test_who_never_asks_is_cut_off_unheard_but_counted() -> None:
    async with serve(SocketOptions(request_timeout_ms=50)) as served, raw(served.port) as socket:
        # The cut shows as an end or as a reset.
        with suppress(ConnectionError):
            assert await socket.rest() == b""
        await served.until(lambda: served.listener.places.taken == 0)
        assert served.server.counters.refused["request_timeout"] == 1


async def test_a_peer_that_leaves_before_it_says_anything_is_forgotten(served: Served) -> None:
    async with raw(served.port) as socket:
        await served.until(lambda: served.listener.places.taken == 1)
        socket.writer.close()
        await served.until(lambda: served.listener.places.taken == 0)
    assert len(served.listener.peeking) == 0


async def test_connections_that_carry_http_are_counted_and_bounded() -> None:
    async with (
        serve(SocketOptions(max_http_connections=2)) as served,
        raw(served.port) as first,
        raw(served.port) as second,
    ):
        await first.read_page()
        await second.read_page()
        async with raw(served.port) as third:
            third.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await expect_refusal(third, 503, "overloaded", limit=2)
        await first.read_page()
        second.writer.close()
        await served.until(lambda: served.listener.places.taken == 1)
        async with joined(served.port):
            # A WebSocket is picows' now, and counts as a session instead.
            await served.until(lambda: served.listener.places.taken == 1)


async def expect_refusal(socket: RawSocket, status: int, code: str, limit: int) -> None:
    """Read a refusal to its end: the limit, and when to come back."""
    head, content = (await socket.rest()).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nRetry-After: 5\r\n" in head
    # Any page may read it.
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in head
    assert b"\r\nAccess-Control-Expose-Headers: Retry-After\r\n" in head
    answer = json.loads(content)
    assert answer["success"] is False
    error = answer["error"]
    assert error["code"] == code
    assert error["details"] == {"limit": limit, "retry_after_ms": 5_000}


async def test_connections_from_one_address_are_bounded() -> None:
    # One session may poll with two connections, and a browser has six more.
    options = SocketOptions(max_connections_per_ip=1)
    async with serve(options) as served, AsyncExitStack() as crowd:
        for _ in range(8):
            socket = await crowd.enter_async_context(raw(served.port))
            socket.send(b"POST /socket.io/ HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n{")
        await served.until(lambda: served.listener.places.taken == 8)
        async with raw(served.port) as ninth:
            ninth.send(upgrade_request())
            await expect_refusal(ninth, 429, "too_many_connections", limit=8)
        assert served.server.counters.refused["too_many_connections"] == 1
        async with raw(served.port, from_address="127.0.0.2") as neighbour:
            await neighbour.read_page()


async def test_a_trusted_proxy_is_no_address_of_one_user() -> None:
    options = SocketOptions(max_connections_per_ip=1, trusted_proxies=LOCAL)
    async with serve(options) as served, AsyncExitStack() as crowd:
        for _ in range(20):
            socket = await crowd.enter_async_context(raw(served.port))
            await socket.read_page()


async def test_who_is_refused_is_heard_for_a_bounded_time() -> None:
    options = SocketOptions(max_http_connections=0, close_timeout_ms=50)
    async with serve(options) as served, raw(served.port) as silent, raw(served.port) as endless:
        endless.send(b"GET / HTTP/1.1\r\n")
        for socket in (silent, endless):
            with suppress(ConnectionError):  # the cut shows as an end or as a reset
                await socket.rest()
        await served.until(lambda: served.server.counters.refused["overloaded"] == 2)
        await served.until(lambda: len(served.listener.refusing) == 0)


async def test_a_flood_of_refusals_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_REFUSING", 1)
    async with serve(SocketOptions(max_http_connections=0)) as served, raw(served.port) as told:
        await served.until(lambda: len(served.listener.refusing) == 1)
        async with raw(served.port) as unheard:
            with suppress(ConnectionError):
                unheard.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert await unheard.rest() == b""
        told.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await expect_refusal(told, 503, "overloaded", limit=0)


@pytest.mark.parametrize("door", list(Door))
async def test_a_refused_handshake_says_when_to_come_back(door: Door) -> None:
    options = SocketOptions(max_connections_per_ip=1, retry_after_ms=1_500)
    async with serve(options) as served, session(served.port), raw(served.port) as socket:
        if door is Door.AIOHTTP:
            await socket.read_page()
        socket.send(upgrade_request())
        head = await socket.head()

        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 2\r\n" in head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        answer = json.loads(await socket.reader.readexactly(length))
        assert answer == {
            "success": False,
            "error": {
                "code": "too_many_connections",
                "number": 5002,
                "message": "Too many connections from here.",
                "temporary": True,
                "details": {"limit": 1, "retry_after_ms": 1_500},
            },
            "meta": {"at_ms": answer["meta"]["at_ms"]},
        }
        assert served.server.counters.refused["too_many_connections"] == 1


async def test_a_trusted_proxy_s_word_counts_for_the_address(served: Served) -> None:
    forwarded = "X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\n"
    async with raw(served.port) as socket:
        socket.send(upgrade_request(extra=forwarded), frame(1, b"40"))
        await served.until(lambda: served.application.sockets)
        assert served.application.sockets[0].address == "127.0.0.1"
    async with (
        serve(SocketOptions(trusted_proxies=LOCAL)) as behind_proxy,
        raw(behind_proxy.port) as socket,
    ):
        socket.send(upgrade_request(extra=forwarded), frame(1, b"40"))
        await behind_proxy.until(lambda: behind_proxy.application.sockets)
        assert behind_proxy.application.sockets[0].address == "198.51.100.7"


async def test_origins() -> None:
    async with serve(SocketOptions(allowed_origins=frozenset({"https://floor.example"}))) as served:
        for origin, status in [("https://floor.example", 101), ("https://evil.example", 403)]:
            async with raw(served.port) as socket:
                socket.send(upgrade_request(extra=f"Origin: {origin}\r\n"))
                assert (await socket.head()).startswith(b"HTTP/1.1 %d " % status)
        async with websocket(served.port):  # a program has no origin
            pass


async def test_a_session_that_may_not_be_any_more_is_not_opened(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = FallbackResponse.prepare

    async def prepare_slowly(response: FallbackResponse, request: Any) -> Any:
        prepared = await prepare(response, request)
        served.server.engine.admission.draining = True
        return prepared

    monkeypatch.setattr(FallbackResponse, "prepare", prepare_slowly)
    async with websocket(served.port, door=Door.AIOHTTP) as socket:
        assert await socket.close_code() == 1013
    assert served.server.counters.opened == 0
    assert served.server.counters.refused["draining"] == 1
