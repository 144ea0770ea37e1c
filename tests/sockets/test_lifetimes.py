"""Bounds in time and number, slow and silent peers, joining, and the drain."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from protocol import disconnects
from server.sockets import engine
from server.sockets.fallback import FallbackResponse
from server.sockets.options import SocketOptions
from server.sockets.socket import MAX_EARLY_PACKETS
from tests.sockets.application import Served, fall_due, serve
from tests.sockets.raw import TEXT, Door, frame, joined, raw, session, upgrade_request
from tests.sockets.test_polling import Poller

# Shorter than any test's patience, longer than a busy machine's hiccup.
SOON_MS = 60


@pytest.mark.parametrize("door", list(Door))
async def test_heartbeats_keep_a_connection_that_answers(door: Door) -> None:
    options = SocketOptions(ping_interval_ms=20, ping_timeout_ms=2_000)
    async with serve(options) as served, joined(served.port, door=door) as socket:
        for _ in range(5):
            assert await socket.frame() == (TEXT, b"2")
            socket.text("3")
        assert served.connections == 1


@pytest.mark.parametrize("door", list(Door))
async def test_a_peer_that_answers_no_ping_is_disconnected(door: Door) -> None:
    options = SocketOptions(ping_timeout_ms=SOON_MS)
    async with serve(options) as served, joined(served.port, door=door) as socket:
        fall_due(served.server.engine.pings)
        assert await socket.close_code() == 4001
        assert served.application.ends == [("/", "ping_timeout")]


async def test_a_poller_that_stays_away_is_disconnected() -> None:
    options = SocketOptions(ping_interval_ms=SOON_MS, ping_timeout_ms=SOON_MS)
    async with serve(options) as served, aiohttp.ClientSession() as http:
        await Poller(http, served.url).open()
        await served.until_ended("ping_timeout")
        assert served.connections == 0


async def test_pings_reach_pollers() -> None:
    options = SocketOptions(ping_interval_ms=20, ping_timeout_ms=2_000)
    async with serve(options) as served, aiohttp.ClientSession() as http:
        poller = Poller(http, served.url)
        await poller.open()
        for _ in range(3):
            assert await poller.get() == (200, "2")
            assert await poller.post("3") == (200, "ok")


async def test_a_pong_that_nobody_asked_for_changes_nothing(served: Served) -> None:
    async with joined(served.port) as socket:
        socket.text("3")
        socket.text('420["echo"]')
        assert await socket.packet() == "430[]"
        assert len(served.server.engine.pings) == 1
        assert len(served.server.engine.pongs) == 0


async def test_who_joins_no_namespace_is_disconnected() -> None:
    options = SocketOptions(connect_timeout_ms=SOON_MS)
    async with serve(options) as served, session(served.port) as socket:
        assert await socket.close_code() == 4003
    await served.until_ended("connect_timeout")


async def test_who_leaves_the_last_namespace_is_disconnected(served: Served) -> None:
    async with joined(served.port) as socket:
        assert len(served.server.unjoined) == 0
        socket.text("41")
        await served.until(lambda: len(served.server.unjoined) == 1)
        fall_due(served.server.unjoined)
        assert await socket.close_code() == 4003
        await served.until_ended("connect_timeout")
        assert served.application.ends == [("/", "client_left")]


async def test_a_slow_answer_to_connect_is_a_temporary_error(served: Served) -> None:
    async with joined(served.port) as socket:
        served.server.options = SocketOptions(connect_timeout_ms=SOON_MS)
        socket.text('40/chat,{"wait_s":60}')
        answer = await socket.packet()
        assert answer.startswith("44/chat,")
        assert '"code":"overloaded"' in answer
    assert served.application.cancelled == 1


async def test_who_leaves_while_joining_is_not_joined(served: Served) -> None:
    async with joined(served.port) as socket:
        socket.text('40/chat,{"wait_s":60,"rooms":["r"]}')
        await served.until(lambda: served.application.asked == 2)
        socket.text("41/chat,")
        await served.until(lambda: served.application.cancelled == 1)
        socket.text("40/chat,")
        assert (await socket.packet()).startswith('40/chat,{"sid"')
        # Taken back before the application was even asked.
        socket.send(frame(TEXT, b"41/chat"), frame(TEXT, b"40/chat"), frame(TEXT, b"41/chat"))
        await served.until(lambda: served.application.ends == [("/chat", "client_left")])
        assert served.application.asked == 3
    async with joined(served.port) as socket:
        socket.text('40/chat,{"wait_s":60}')
        socket.text('420["echo"]')
        assert await socket.packet() == "430[]"
    await served.until(lambda: served.application.cancelled == 2)
    await served.until(lambda: len(served.application.ends) == 3)
    assert served.server.sockets == 0


@pytest.mark.parametrize("hasty", ['42/chat,["echo"]', '451-/chat,["echo"]', "43/chat,0[]"])
async def test_nothing_may_be_sent_before_connect_is_answered(served: Served, hasty: str) -> None:
    async with joined(served.port) as socket:
        socket.text('40/chat,{"wait_s":60}')
        await served.until(lambda: served.application.asked == 2)
        socket.text(hasty)
        assert await socket.close_code() == 4206
    await served.until(lambda: served.application.cancelled == 1)


async def test_a_namespace_that_is_asked_for_twice_is_joined_once(served: Served) -> None:
    async with session(served.port) as socket:
        socket.send(frame(TEXT, b'40{"wait_s":0.01}'), frame(TEXT, b"40"))
        assert (await socket.packet()).startswith('40{"sid"')
        assert (await socket.packet()).startswith('42["welcome"')
        socket.text("40")
        socket.text('420["echo"]')
        assert await socket.packet() == "430[]"
        assert served.application.asked == 1


async def test_events_that_cross_the_dismissal_of_their_socket_are_ignored(served: Served) -> None:
    async with joined(served.port) as socket:
        socket.text("40/chat,")
        await served.until(lambda: served.server.sockets == 2)
        socket.send(frame(TEXT, b'42/chat,["dismiss"]'), frame(TEXT, b'42/chat,7["echo"]'))
        socket.text('420["echo"]')
        heard = [await socket.packet() for _ in range(4)]
        assert heard[2:] == ["41/chat,", "430[]"]
        assert [name for name, _ in served.application.events] == ["dismiss", "echo"]


async def test_the_application_s_refusals_and_faults(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with session(served.port) as socket:
        socket.text('40{"token":"wrong"}')
        assert '"code":"token_invalid","number":2002' in await socket.packet()
        socket.text('40{"token":"fault"}')
        assert '"code":"internal"' in await socket.packet()
        socket.text("40/nowhere,")
        assert await socket.packet() == '44/nowhere,{"message":"Invalid namespace"}'
        socket.text("40")
        assert (await socket.packet()).startswith('40{"sid"')
    assert "the application failed to connect a socket" in caplog.text


async def test_what_is_emitted_while_joining_comes_after_the_answer_and_is_bounded(
    served: Served,
) -> None:
    hub = served.server.hub
    async with session(served.port) as socket:
        socket.text('40{"rooms":["r"]}')
        await served.until(lambda: hub.sockets_of("/", "r"))
        assert (await socket.packet()).startswith('40{"sid"')

    class Chatty:
        """Greets with more than there is room for."""

        namespaces = frozenset({"/"})

        async def connect(self, socket: object, _auth: object) -> None:
            for number in range(MAX_EARLY_PACKETS + 1):
                socket.emit("n", number)  # type: ignore[attr-defined] # it is a Socket
            await asyncio.sleep(60)

    served.server.application = Chatty()  # type: ignore[assignment] # as much as is called
    async with session(served.port) as socket:
        socket.text("40")
        assert await socket.close_code() == 4005


async def test_a_client_that_leaves_before_its_websocket_is_open_is_no_error(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave(_response: object, request: web.Request) -> None:
        assert request.transport is not None
        request.transport.close()
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(FallbackResponse, "prepare", leave)
    async with raw(served.port) as socket:
        await socket.read_page()
        socket.send(upgrade_request())
        assert await socket.rest() == b""
    await served.until(lambda: served.listener.places.taken == 0)
    assert not caplog.records


async def test_an_answer_over_http_that_nobody_reads_is_given_up() -> None:
    async with serve(SocketOptions(unread_timeout_ms=100)) as served, raw(served.port) as slow:
        slow.send(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n")
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined] # of a StreamReader
        await served.until(lambda: served.listener.places.taken == 1)
        await served.until(lambda: served.listener.places.taken == 0)
        assert not len(served.listener.unread)
        # No session ended.
        assert served.server.counters.unread == 1
        assert not served.server.counters.disconnects


async def test_an_answer_over_http_that_is_read_is_not_given_up() -> None:
    async with serve(SocketOptions(unread_timeout_ms=10_000)) as served, raw(served.port) as reader:
        reader.send(b"GET /large HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert len(await reader.rest()) > 30_000_000
        await served.until(lambda: served.listener.places.taken == 0)
        assert not len(served.listener.unread)


@pytest.mark.parametrize("door", list(Door))
async def test_a_slow_consumer_is_disconnected_and_others_are_not(door: Door) -> None:
    options = SocketOptions(max_outbound_bytes=200_000, close_timeout_ms=200)
    async with (
        serve(options) as served,
        joined(served.port, auth='{"rooms":["table"]}', door=door) as slow,
        joined(served.port, auth='{"rooms":["table"]}') as healthy,
    ):
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined] # of a StreamReader
        text = "x" * 10_000
        heard = 0
        # The kernel's buffers take several megabytes before the server notices.
        while not served.server.counters.disconnects["slow_consumer"]:
            assert heard < 5_000, "nobody was too slow for 50 MB"
            served.server.hub.emit("/", "table", "tick", text)
            assert await healthy.packet() == f'42["tick","{text}"]'
            heard += 1
        assert served.application.ends == [("/", "slow_consumer")]
        assert served.connections == 1
        assert len(served.server.engine.closing) == 1
        # The network connection is cut when its time to close is over, though nobody reads.
        await served.until(lambda: len(served.server.engine.closing) == 0)
        await served.until(lambda: served.listener.places.taken == 0)


@pytest.mark.parametrize("door", list(Door))
async def test_what_waited_for_a_slow_client_comes_when_it_reads_again(door: Door) -> None:
    async with (
        serve(SocketOptions(max_outbound_bytes=10_000_000)) as served,
        joined(served.port, door=door) as client,
    ):
        [socket] = served.application.sockets
        client.reader._transport.pause_reading()  # type: ignore[attr-defined] # of a StreamReader
        texts: list[str] = []
        while socket.connection.writable:
            # Lengths differ, so that a frame with another's header would be noticed.
            texts.append("x" * (9_000 + len(texts) % 1_000))
            socket.emit("n", len(texts), texts[-1])
            await asyncio.sleep(0)
        socket.emit("last")
        client.reader._transport.resume_reading()  # type: ignore[attr-defined] # of the same

        for number, text in enumerate(texts, 1):
            assert await client.packet() == f'42["n",{number},"{text}"]'
        assert await client.packet() == '42["last"]'
        assert socket.connection.writable


@pytest.mark.parametrize("door", list(Door))
@pytest.mark.parametrize("length", [100, 9_000, 100_000])
async def test_two_writes_in_one_tick_do_not_disturb_each_other(door: Door, length: int) -> None:
    async with serve() as served, joined(served.port, door=door) as client:
        connection = served.application.sockets[0].connection
        packets = ["4" + letter * size for letter, size in (("a", length), ("b", 5), ("c", length))]
        for packet in packets:
            connection.send((packet.encode(),))
            connection.flush()

        assert [await client.packet() for _ in packets] == packets


async def test_a_poller_that_does_not_poll_is_a_slow_consumer() -> None:
    options = SocketOptions(max_outbound_packets=100)
    async with serve(options) as served, aiohttp.ClientSession() as http:
        poller = Poller(http, served.url)
        await poller.join()
        [socket] = served.application.sockets
        for number in range(100):
            socket.emit("n", number)
        assert served.connections == 1
        socket.emit("n", 100)
        assert served.application.ends == [("/", "slow_consumer")]
        assert (await poller.get())[0] == 400


async def test_a_burst_to_a_healthy_client_is_not_a_slow_consumer() -> None:
    options = SocketOptions(max_outbound_packets=100)
    async with serve(options) as served, joined(served.port) as client:
        for number in range(1_000):
            served.application.sockets[0].emit("n", number)
        for number in range(1_000):
            assert await client.packet() == f'42["n",{number}]'


async def test_volatile_events_pass_by_a_poller_between_polls(served: Served) -> None:
    async with aiohttp.ClientSession() as http:
        poller = Poller(http, served.url)
        await poller.join()
        served.application.sockets[0].join("r")
        served.server.hub.emit("/", "r", "tick", 1, volatile=True)
        served.server.hub.emit("/", "r", "crash", 2)
        assert await poller.get() == (200, '42["crash",2]')


async def test_sessions_are_counted_by_address_and_released() -> None:
    async with serve(SocketOptions(max_connections_per_ip=2)) as served:
        async with session(served.port), session(served.port):
            async with raw(served.port) as third:
                third.send(upgrade_request())
                assert (await third.head()).startswith(b"HTTP/1.1 429 ")
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"{served.url}/socket.io/?EIO=4&transport=polling") as response,
            ):
                assert response.status == 429
                assert (await response.json())["error"]["details"]["limit"] == 2
        await served.until(lambda: served.connections == 0)
        async with session(served.port):
            assert served.connections == 1


async def test_sessions_are_bounded_in_all() -> None:
    async with (
        serve(SocketOptions(max_connections=1)) as served,
        session(served.port),
        raw(served.port) as second,
    ):
        second.send(upgrade_request())
        assert (await second.head()).startswith(b"HTTP/1.1 503 ")


async def test_a_handshake_that_fails_is_not_counted(served: Served) -> None:
    for right, wrong in ((b"Version: 13", b"Version: 99"), (b"-Key: d", b"-Key: =")):
        async with raw(served.port) as socket:
            socket.send(upgrade_request().replace(right, wrong))
            assert (await socket.head()).startswith(b"HTTP/1.1 400 ")
    assert served.server.engine.admission.sessions.taken == 0


async def test_the_drain_tells_everybody_and_lets_nobody_in(served: Served) -> None:
    goodbye = '["server:draining",{"retry_after_ms":700}]'
    async with (
        joined(served.port) as first,
        joined(served.port, "/chat") as second,
        joined(served.port, door=Door.AIOHTTP) as third,
        session(served.port) as stranger,
        aiohttp.ClientSession() as http,
    ):
        poller = Poller(http, served.url)
        await poller.join()
        poll = asyncio.create_task(poller.get())
        await served.until(lambda: served.application.sockets[-1].connection.writable)

        draining = asyncio.create_task(served.server.drain(timeout_s=10, retry_after_ms=700))
        assert await first.packet() == f"42{goodbye}"
        assert await second.packet() == f"42/chat,{goodbye}"
        assert await third.packet() == f"42{goodbye}"
        assert await poll == (200, f"42{goodbye}")
        for client in (first, second, third, stranger):
            assert await client.close_code() == 1012
        await draining

        assert served.connections == 0
        assert served.application.ends.count(("/", "draining")) == 3
        async with raw(served.port) as late:
            late.send(upgrade_request())
            assert (await late.head()).startswith(b"HTTP/1.1 503 ")


async def test_a_drain_does_not_wait_for_the_silent(served: Served) -> None:
    async with joined(served.port) as silent:
        await served.server.drain(timeout_s=0.05, retry_after_ms=1)

        assert len(served.server.engine.closing) == 1
        assert await silent.packet() == '42["server:draining",{"retry_after_ms":1}]'
        await served.until(lambda: len(served.server.engine.closing) == 0)


async def test_a_drain_passes_by_those_who_leave_in_its_pauses(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SLICE_S", -1.0)  # a pause after each
    async with joined(served.port), joined(served.port):
        _, second = served.server.engine.connections.values()
        draining = asyncio.create_task(served.server.drain(timeout_s=1, retry_after_ms=1))
        await asyncio.sleep(0)
        second.close(disconnects.TRANSPORT_CLOSED)
        await draining

        assert served.connections == 0
        assert sorted(served.application.ends) == [("/", "draining"), ("/", "transport_closed")]


async def test_after_the_end_a_socket_is_harmless(served: Served) -> None:
    async with joined(served.port):
        [socket] = served.application.sockets
    await served.until(lambda: served.connections == 0)

    socket.emit("x", 1)
    socket.join("room")
    socket.leave("room")
    socket.disconnect()
    socket.disconnect(close=True)
    socket.connection.send((b"42",))
    socket.connection.close(disconnects.INTERNAL)

    assert served.server.hub.rooms == 0
    assert served.application.ends == [("/", "transport_closed")]
    assert served.server.counters.disconnects.total() == 1


async def test_counters(served: Served) -> None:
    async with joined(served.port) as socket:
        counters = served.server.counters
        packets_in, packets_out = counters.packets_in, counters.packets_out
        bytes_in, bytes_out = counters.bytes_in, counters.bytes_out
        socket.send(frame(TEXT, b'420["echo"]'))
        assert await socket.packet() == "430[]"

        assert (counters.packets_in - packets_in, counters.packets_out - packets_out) == (1, 1)
        assert (counters.bytes_in - bytes_in, counters.bytes_out - bytes_out) == (11, 5)
        assert dict(counters.open_by_transport) == {"websocket": 1}
        assert counters.opened == served.server.sockets == 1
