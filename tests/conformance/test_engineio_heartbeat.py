"""Engine.IO, revision 4, section "Heartbeat", clause by clause."""

import asyncio
from dataclasses import replace

from tests.conformance.running import CALM, engineio_server
from tests.sockets.application import fall_due
from tests.sockets.raw import TEXT

# For clients that need do nothing in time; where they must, the test says when time is over.
HASTY = replace(CALM, ping_interval_ms=60, ping_timeout_ms=60)
PATIENT = replace(CALM, ping_interval_ms=30, ping_timeout_ms=5_000)


async def test_the_server_pings_and_a_pong_keeps_a_polling_session(fallback: bool) -> None:
    async with engineio_server(fallback=fallback, options=PATIENT) as server:
        sid = await server.open()
        for _ in range(3):
            assert await server.poll(sid) == (200, "2")
            assert await server.post(sid, "3") == (200, "ok")
        assert sid in server.engine.connections


async def test_the_server_pings_and_a_pong_keeps_a_websocket(fallback: bool) -> None:
    async with (
        engineio_server(fallback=fallback, options=PATIENT) as server,
        server.session() as socket,
    ):
        for _ in range(3):
            assert await socket.frame() == (TEXT, b"2")
            socket.text("3")
        socket.text("4hello")
        assert await socket.packet() == "4hello"


async def test_one_ping_waits_for_its_pong_before_the_next(fallback: bool) -> None:
    options = replace(PATIENT, ping_interval_ms=10)
    async with (
        engineio_server(fallback=fallback, options=options) as server,
        server.session() as socket,
    ):
        assert await socket.frame() == (TEXT, b"2")
        await asyncio.sleep(0.1)
        socket.text("4hello")
        assert await socket.frame() == (TEXT, b"4hello")


async def test_a_websocket_that_sends_no_pong_is_closed(fallback: bool) -> None:
    async with (
        engineio_server(fallback=fallback, options=HASTY) as server,
        server.session() as socket,
    ):
        assert await socket.frame() == (TEXT, b"2")
        assert await socket.close_code() == 4001
        assert server.engine.counters.disconnects["ping_timeout"] == 1


async def test_other_packets_are_no_pong(fallback: bool) -> None:
    async with engineio_server(fallback=fallback) as server, server.session() as socket:
        fall_due(server.engine.pings)
        assert await socket.frame() == (TEXT, b"2")
        for packet in ("6", "4hello"):
            socket.text(packet)
        assert await socket.frame() == (TEXT, b"4hello")
        fall_due(server.engine.pongs)
        assert await socket.close_code() == 4001


async def test_a_polling_session_that_sends_no_pong_is_closed(fallback: bool) -> None:
    async with engineio_server(fallback=fallback) as server:
        sid = await server.open()
        fall_due(server.engine.pings)
        assert await server.poll(sid) == (200, "2")
        poll = await server.waiting_poll(sid)
        fall_due(server.engine.pongs)
        # The poll that waits at the end is told so.
        assert await poll == (200, "1")
        await server.unknown(sid)
        assert server.engine.counters.disconnects["ping_timeout"] == 1


async def test_a_polling_session_that_nobody_polls_is_closed(fallback: bool) -> None:
    async with engineio_server(fallback=fallback, options=HASTY) as server:
        sid = await server.open()
        await server.until_ended("ping_timeout")
        await server.unknown(sid)


async def test_a_pong_that_comes_after_its_time_is_too_late(fallback: bool) -> None:
    async with engineio_server(fallback=fallback) as server:
        sid = await server.open()
        fall_due(server.engine.pings)
        assert await server.poll(sid) == (200, "2")
        fall_due(server.engine.pongs)
        assert server.engine.counters.disconnects["ping_timeout"] == 1
        assert (await server.post(sid, "3"))[0] == 400
