"""Too many packets: from one connection, and from all of an address together."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from server.sockets.options import SocketOptions
from tests.sockets.application import Served, serve
from tests.sockets.raw import Door, RawSocket, frame, joined, raw, upgrade_request

ECHO = frame(1, b'42["echo"]')


async def joined_from(address: str, served: Served, crowd: AsyncExitStack) -> RawSocket:
    """A client that has joined, from an address of its own."""
    socket = await crowd.enter_async_context(raw(served.port, from_address=address))
    socket.send(upgrade_request(), frame(1, b"40"))
    await socket.head()
    for start in ("0{", "40{", "42"):
        assert (await socket.packet()).startswith(start)
    return socket


@pytest.mark.parametrize("door", list(Door))
async def test_a_connection_that_floods_ends_and_no_other(door: Door) -> None:
    options = SocketOptions(max_packets_per_second=100)
    async with (
        serve(options) as served,
        joined(served.port, door=door) as flooding,
        joined(served.port) as witness,
    ):
        flooding.send(ECHO * 300)
        assert await flooding.close_code() == 4006
        assert served.server.counters.disconnects["flooding"] == 1
        witness.text('420["echo"]')
        assert await witness.packet() == "430[]"


@pytest.mark.parametrize("door", list(Door))
@pytest.mark.parametrize("opcode", [1, 2])
async def test_large_packets_count_as_many(door: Door, opcode: int) -> None:
    options = SocketOptions(max_packets_per_second=500)
    async with serve(options) as served, joined(served.port, door=door) as flooding:
        start = b'451-["echo",{"_placeholder":true,"num":0}]' if opcode == 2 else b""
        for _ in range(6):
            if start:
                flooding.send(frame(1, start))
            large = b"x" * 100_000 if start else b'42["echo","%b"]' % (b"x" * 100_000)
            flooding.send(frame(opcode, large))
        assert await flooding.close_code() == 4006


async def test_a_steady_sender_below_the_bound_stays() -> None:
    options = SocketOptions(max_packets_per_second=200, max_packets_per_second_per_ip=200)
    async with serve(options) as served, joined(served.port) as steady:
        # Six seconds' worth in the engine's eyes, as its clock is moved on after each.
        admission = served.server.engine.admission
        connection = next(iter(served.server.engine.connections.values()))
        for _ in range(6):
            steady.send(ECHO * 150)
            for _ in range(150):
                assert await steady.packet() == '42["echoed"]'
            connection._second_began -= 1.0
            admission._packets.of("127.0.0.1")._at_s -= 1.0
        assert served.connections == 1


async def test_many_connections_of_one_address_share_one_bound() -> None:
    # Each stays far below its own bound.
    options = SocketOptions(max_packets_per_second=1_000, max_packets_per_second_per_ip=1_000)
    async with serve(options) as served, AsyncExitStack() as crowd:
        neighbour = await joined_from("127.0.0.2", served, crowd)
        sockets = [await joined_from("127.0.0.1", served, crowd) for _ in range(20)]
        for socket in sockets:
            socket.send(ECHO * 200)
        await served.until_ended("address_flooding")
        codes = await asyncio.gather(*(_close_code(socket) for socket in sockets))
        # Whoever sent past the bound went, which may be all of them, and nobody for another reason.
        assert set(codes) <= {4007, None}
        assert codes.count(4007) == served.server.counters.disconnects["address_flooding"]
        assert served.server.counters.disconnects["flooding"] == 0
        neighbour.text('420["echo"]')
        assert await neighbour.packet() == "430[]"


async def _close_code(socket: RawSocket) -> int | None:
    """Why a connection was closed; None if it answers a last question instead."""
    socket.text('429["echo"]')
    echoed = 0
    while True:
        opcode, payload = await socket.frame()
        if opcode == 8:
            return int.from_bytes(payload[:2], "big")
        if payload == b"439[]":
            assert echoed == 200
            return None
        echoed += 1


async def test_leaving_and_coming_back_is_no_way_around_the_bound() -> None:
    options = SocketOptions(max_packets_per_second=1_000, max_packets_per_second_per_ip=280)
    async with serve(options) as served:
        # However long this takes.
        served.server.engine.admission._packets.of("127.0.0.1").per_second = 0.001
        for _ in range(3):
            async with joined(served.port) as socket:
                socket.send(ECHO * 80)
                await served.until(lambda: served.server.counters.packets_in % 81 == 0)
        async with joined(served.port) as socket:
            socket.send(ECHO * 80)
            assert await socket.close_code() == 4007
