"""A crowd that comes back: handshakes wait their turn, in order, bounded, and leave no trace."""

import asyncio
import socket
import struct
from contextlib import AsyncExitStack

import pytest

from protocol.bounds import MAX_FIRST_REQUEST_BYTES
from server.sockets import turnstile
from server.sockets.admission import PACKETS_PER_HANDSHAKE, PACKETS_PER_REQUEST
from server.sockets.listener import Arrival
from server.sockets.options import SocketOptions
from tests.sockets.application import Served, serve
from tests.sockets.raw import RawSocket, frame, raw, session, upgrade_request
from tests.sockets.test_arrival import refusal

SLOW = SocketOptions(handshakes_per_second=100, max_connections_per_ip=1_000)
POLL = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: test\r\n\r\n"
LAST_POLL = POLL.replace(b"Host: test", b"Host: test\r\nConnection: close")


def stop_clock(served: Served) -> None:
    """Use up the rate for longer than any test takes."""
    turnstile = served.server.engine.admission.turnstile
    turnstile._next_at = turnstile._loop.time() + 3_600


def let_in(served: Served, count: int) -> None:
    """Let the first `count` of those who wait in."""
    for _ in range(count):
        served.server.engine.admission.turnstile._let_next_in()


def waiting(served: Served) -> int:
    return len(served.server.engine.admission.turnstile)


async def ask(served: Served, crowd: AsyncExitStack, request: bytes) -> RawSocket:
    """Send a handshake and return when it waits."""
    before = waiting(served)
    one = await crowd.enter_async_context(raw(served.port))
    one.send(request)
    await served.until(lambda: waiting(served) == before + 1)
    return one


async def test_a_crowd_passes_in_its_order_and_each_turn_lets_one_in() -> None:
    async with serve(SLOW) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        sockets = [await ask(served, crowd, upgrade_request()) for _ in range(300)]
        assert served.connections == 0
        for round_ in range(3):
            let_in(served, 100)
            assert served.connections == 100 * (round_ + 1)
        for one in sockets:
            assert (await one.head()).startswith(b"HTTP/1.1 101 ")
            assert (await one.packet()).startswith("0{")
        assert waiting(served) == 0
        assert served.server.counters.refused.total() == 0


async def test_they_come_in_by_themselves_at_the_rate() -> None:
    options = SocketOptions(handshakes_per_second=500, max_connections_per_ip=1_000)
    async with serve(options) as served, AsyncExitStack() as crowd:
        sockets = [await crowd.enter_async_context(raw(served.port)) for _ in range(60)]
        for one in sockets:
            one.send(upgrade_request())
        for one in sockets:
            assert (await one.head()).startswith(b"HTTP/1.1 101 ")
        assert served.connections == 60


async def test_each_kind_of_handshake_waits_and_sessions_that_are_open_do_not() -> None:
    async with serve(SLOW) as served, AsyncExitStack() as crowd:
        player = await crowd.enter_async_context(raw(served.port))
        player.send(upgrade_request(), frame(1, b"40"))
        await player.head()
        assert (await player.packet()).startswith("0{")
        assert (await player.packet()).startswith("40{")
        assert (await player.packet()).startswith("42")
        stop_clock(served)
        poller = await ask(served, crowd, POLL)
        kept_alive = await crowd.enter_async_context(raw(served.port))
        await kept_alive.read_page()
        kept_alive.send(upgrade_request())
        await served.until(lambda: waiting(served) == 2)

        player.text('420["echo"]')
        assert await player.packet() == "430[]"

        let_in(served, 1)
        assert (await poller.head()).startswith(b"HTTP/1.1 200 ")
        let_in(served, 1)
        assert (await kept_alive.head()).startswith(b"HTTP/1.1 101 ")
        await served.until(lambda: served.connections == 3)


@pytest.mark.parametrize("request_bytes", [upgrade_request(), POLL])
async def test_past_the_bound_one_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, request_bytes: bytes
) -> None:
    monkeypatch.setattr(turnstile, "MAX_WAIT_S", 0.02)
    async with serve(SLOW) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        for _ in range(2):
            await ask(served, crowd, upgrade_request())
        async with raw(served.port) as third:
            third.send(
                request_bytes.replace(b"Host:", b"Connection: close\r\nHost:", 1)
                if request_bytes is POLL
                else request_bytes
            )
            error = await refusal(third, 503)
        assert error["code"] == "overloaded"
        assert error["details"] == {"limit_per_second": 100, "retry_after_ms": 20}
        assert served.server.counters.refused["overloaded"] == 1


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("request_bytes", [upgrade_request(), POLL])
async def test_who_leaves_gives_up_the_turn(request_bytes: bytes, reset: bool) -> None:
    async with serve(SLOW) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        impatient = await ask(served, crowd, request_bytes)
        await ask(served, crowd, upgrade_request())
        if reset:
            network = impatient.writer.get_extra_info("socket")
            network.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        impatient.writer.close()
        await served.until(lambda: waiting(served) == 1)
        await served.until(lambda: served.listener.places.taken == 1)
        let_in(served, 1)
        assert served.connections == 1


async def test_what_is_sent_while_it_waits_is_bounded_and_not_lost() -> None:
    echoes = frame(1, b'42["echo"]') * 100_000
    async with serve(SLOW) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        eager = await ask(served, crowd, upgrade_request())
        arrival = next(iter(served.server.engine.admission.turnstile._waiting))
        assert isinstance(arrival, Arrival)
        eager.send(echoes)
        await served.until(lambda: len(arrival._data) > MAX_FIRST_REQUEST_BYTES)
        await asyncio.sleep(0.05)
        # What had come before the network connection was told to wait: a read or two.
        assert len(arrival._data) < len(echoes) / 2
        let_in(served, 1)
        assert (await eager.head()).startswith(b"HTTP/1.1 101 ")
        # Nobody has joined, so that the first event ends it: it was read.
        assert await eager.close_code() == 4206


async def test_its_turn_is_no_promise() -> None:
    options = SocketOptions(handshakes_per_second=1, max_connections=1)
    async with serve(options) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        first = await ask(served, crowd, upgrade_request())
        second = await ask(served, crowd, upgrade_request())
        poller = await ask(served, crowd, POLL.replace(b"Host:", b"Connection: close\r\nHost:"))
        let_in(served, 3)
        assert (await first.head()).startswith(b"HTTP/1.1 101 ")
        for late in (second, poller):
            assert (await refusal(late, 503))["details"]["limit"] == 1
        assert served.connections == 1


async def test_a_drain_tells_those_who_wait() -> None:
    async with serve(SLOW) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        sockets = [await ask(served, crowd, upgrade_request()) for _ in range(20)]
        await served.server.drain(1, retry_after_ms=100)
        await served.until(lambda: waiting(served) == 0)
        codes = [await refusal(one, 503) for one in sockets]
        assert {error["code"] for error in codes} == {"draining"}


async def test_the_end_leaves_nobody_waiting() -> None:
    async with serve(SLOW) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        one = await ask(served, crowd, upgrade_request())
        served.listener.close()
        served.server.close()
        assert (await refusal(one, 503))["code"] == "draining"


@pytest.mark.parametrize("request_bytes", [upgrade_request(), LAST_POLL])
async def test_one_address_cannot_fill_the_line(request_bytes: bytes) -> None:
    options = SocketOptions(max_packets_per_second_per_ip=3 * PACKETS_PER_HANDSHAKE)
    async with serve(options) as served, AsyncExitStack() as crowd:
        stop_clock(served)
        served.server.engine.admission._packets.of("127.0.0.1").per_second = 0.001
        for _ in range(3):
            await ask(served, crowd, request_bytes)
        async with raw(served.port) as one_more:
            one_more.send(request_bytes)
            answer = await one_more.rest()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert b'"code":"rate_limited"' in answer
        assert served.server.counters.refused["rate_limited"] == 1
        assert waiting(served) == 3

        neighbour = await crowd.enter_async_context(raw(served.port, from_address="127.0.0.2"))
        neighbour.send(request_bytes)
        await served.until(lambda: waiting(served) == 4)


async def test_an_upgrade_that_is_tried_again_and_again_is_refused() -> None:
    options = SocketOptions(
        max_packets_per_second_per_ip=PACKETS_PER_HANDSHAKE + 2 * PACKETS_PER_REQUEST
    )
    async with serve(options) as served, AsyncExitStack() as crowd:
        served.server.engine.admission._packets.of("127.0.0.1").per_second = 0.001
        poller = await crowd.enter_async_context(raw(served.port))
        poller.send(POLL)
        await poller.head()
        (sid,) = served.server.engine.connections
        for status in (b"101", b"101", b"429"):
            candidate = await crowd.enter_async_context(raw(served.port))
            candidate.send(upgrade_request(f"EIO=4&transport=websocket&sid={sid}"))
            assert (await candidate.head()).startswith(b"HTTP/1.1 " + status)
        assert served.connections == 1


async def test_a_bound_lower_than_a_handshake_costs_lets_one_in() -> None:
    async with (
        serve(SocketOptions(max_packets_per_second_per_ip=1)) as served,
        session(served.port),
    ):
        assert served.connections == 1
