"""Long-polling, request by request, and the upgrade to a WebSocket."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from protocol import engineio
from server.sockets.options import SocketOptions
from tests.sockets.application import Served, serve
from tests.sockets.raw import Door, RawSocket, frame, raw, upgrade_request, websocket

BINARY_FRAME = 2


class Poller:
    """A session of long-polling, made of single requests."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = f"{url}/socket.io/?EIO=4&transport=polling"
        self.sid = ""

    async def open(self) -> dict[str, Any]:
        async with self.http.get(self.url) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"
            packet = await response.text()
        assert packet[0] == "0"
        handshake: dict[str, Any] = json.loads(packet[1:])
        self.sid = handshake["sid"]
        self.url += f"&sid={self.sid}"
        return handshake

    async def get(self) -> tuple[int, str]:
        async with self.http.get(self.url) as response:
            return response.status, await response.text()

    async def post(self, body: bytes | str, **arguments: Any) -> tuple[int, str]:
        async with self.http.post(self.url, data=body, **arguments) as response:
            return response.status, await response.text()

    async def join(self) -> None:
        await self.open()
        assert await self.post("40") == (200, "ok")
        await self.hear_until(lambda packets: any("welcome" in packet for packet in packets))

    async def hear_until(self, enough: Any) -> list[str]:
        packets: list[str] = []
        while not enough(packets):
            status, body = await self.get()
            assert status == 200, body
            packets += body.split("\x1e")
        return packets


@pytest_asyncio.fixture
async def poller(served: Served, http: aiohttp.ClientSession) -> Poller:
    return Poller(http, served.url)


async def test_the_handshake(poller: Poller) -> None:
    handshake = await poller.open()

    assert handshake == {
        "sid": poller.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 131_072,
    }
    assert len(poller.sid) == 20


async def test_a_candidate_keeps_a_place_until_it_is_the_transport(
    served: Served, poller: Poller
) -> None:
    await poller.join()
    before = served.listener.places.taken
    query = f"EIO=4&transport=websocket&sid={poller.sid}"
    async with websocket(served.port, query) as candidate:
        assert served.listener.places.taken == before + 1
        async with websocket(served.port, query) as second:
            assert served.listener.places.taken == before + 2
            assert await second.close_code() == 4106
            assert served.server.counters.disconnects["upgrade_refused"] == 1
        await served.until(lambda: served.listener.places.taken == before + 1)
        candidate.text("2probe")
        assert await candidate.packet() == "3probe"
        candidate.text("5")
        await served.until(lambda: served.listener.places.taken <= before)
        assert served.connections == 1


async def test_candidates_of_one_address_are_bounded(http: aiohttp.ClientSession) -> None:
    async with serve(SocketOptions(max_connections_per_ip=1)) as served, AsyncExitStack() as stack:
        poller = Poller(http, served.url)
        await poller.open()
        query = f"EIO=4&transport=websocket&sid={poller.sid}"
        refused = 0
        for _ in range(20):
            socket = await stack.enter_async_context(raw(served.port))
            socket.send(upgrade_request(query))
            refused += b" 429 " in (await socket.head())
        assert refused >= 10
        assert served.server.counters.refused["too_many_connections"] == refused


async def test_nobody_is_disconnected_because_the_process_stood_still(
    http: aiohttp.ClientSession,
) -> None:
    async with serve(SocketOptions(ping_interval_ms=50, ping_timeout_ms=100)) as served:
        poller = Poller(http, served.url)
        await poller.join()
        await poller.hear_until(lambda packets: "2" in packets)
        time.sleep(0.3)  # noqa: ASYNC251 - the server's loop is to stand still
        assert await poller.post("3") == (200, "ok")
        assert served.connections == 1
        # A client that is away is disconnected all the same.
        await served.until_ended("ping_timeout")


async def test_packets_of_one_tick_share_an_answer(served: Served, poller: Poller) -> None:
    await poller.join()
    [socket] = served.application.sockets

    waiting = asyncio.create_task(poller.get())
    await served.until(lambda: socket.connection.writable)
    socket.emit("a", 1)
    socket.emit("b", "né😀")
    socket.emit("c", b"\x01\x02")

    assert await waiting == (
        200,
        '42["a",1]\x1e42["b","né😀"]\x1e451-["c",{"_placeholder":true,"num":0}]\x1ebAQI=',
    )


async def test_what_comes_between_two_polls_waits_for_the_next(
    served: Served, poller: Poller
) -> None:
    await poller.join()
    [socket] = served.application.sockets
    for number in range(40):
        socket.emit("n", number)

    packets = await poller.hear_until(lambda packets: len(packets) == 40)

    assert packets == [f'42["n",{number}]' for number in range(40)]


async def test_a_post_of_many_packets_is_taken_in_order(served: Served, poller: Poller) -> None:
    await poller.join()
    body = '451-["echo",{"_placeholder":true,"num":0}]\x1ebAP8=\x1e42["echo","né"]'

    assert await poller.post(body) == (200, "ok")
    assert served.application.events == [("echo", [b"\x00\xff"]), ("echo", ["né"])]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_packet"),
        (b"abc", "unknown_packet"),
        (b"4\xff", "invalid_text"),
        (b"b!", "bad_base64"),
        (b"2", "wrong_direction"),
        (b"4abc", "malformed_packet"),
        (b"\x1e".join([b"6"] * 1_001), "too_many_packets"),
        (b"4" * 131_073, "too_large"),
    ],
)
async def test_a_broken_post_ends_the_session(
    served: Served, poller: Poller, body: bytes, reason: str
) -> None:
    await poller.join()

    status, answer = await poller.post(body)

    assert status == 400
    assert json.loads(answer)["error"]["details"]["reason"] == reason
    assert served.application.ends == [("/", reason)]
    assert (await poller.get())[0] == 400


async def test_a_large_post_in_chunks_is_refused_as_it_comes(
    served: Served, poller: Poller
) -> None:
    await poller.join()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"4" * 1_000

    status, _answer = await poller.post(chunks())  # type: ignore[arg-type] # aiohttp takes it

    assert status == 400
    assert served.application.ends == [("/", "too_large")]


async def test_a_post_whose_body_never_ends_is_given_up() -> None:
    async with (
        serve(SocketOptions(request_timeout_ms=50)) as served,
        aiohttp.ClientSession() as http,
    ):
        poller = Poller(http, served.url)
        await poller.join()
        async with raw(served.port) as socket:
            path = poller.url.removeprefix(served.url)
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4"
            socket.send(head.encode())
            assert (await socket.head()).startswith(b"HTTP/1.1 400 ")
        assert served.connections == 0


async def test_two_polls_at_a_time_end_the_session(served: Served, poller: Poller) -> None:
    await poller.join()
    first = asyncio.create_task(poller.get())
    await served.until(lambda: served.application.sockets[0].connection.writable)

    assert (await poller.get())[0] == 400
    assert await first == (200, "1")
    await served.until_ended("concurrent_poll")


async def test_two_posts_at_a_time_end_the_session(served: Served, poller: Poller) -> None:
    await poller.join()

    async def slow_body() -> AsyncIterator[bytes]:
        yield b"42"
        await served.until_ended("concurrent_post")
        yield b'["echo"]'

    first = asyncio.create_task(poller.post(slow_body()))  # type: ignore[arg-type] # it takes it
    connection = served.application.sockets[0].connection
    await served.until(lambda: connection.session._posted)

    assert (await poller.post('42["echo"]'))[0] == 400
    await first
    assert served.application.events == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(poller: Poller, method: str) -> None:
    await poller.open()
    async with poller.http.request(method, poller.url) as response:
        assert response.status == 400


async def test_pages_of_other_origins_may_poll(poller: Poller) -> None:
    origin = "https://floor.example"
    async with poller.http.options(poller.url, headers={"Origin": origin}) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
    async with poller.http.get(poller.url, headers={"Origin": origin}) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == origin


async def test_pages_of_origins_that_are_not_allowed_may_not(http: aiohttp.ClientSession) -> None:
    async with serve(SocketOptions(allowed_origins=frozenset({"https://floor.example"}))) as served:
        poller = Poller(http, served.url)
        async with http.get(poller.url, headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
        await poller.open()


def candidate_query(poller: Poller) -> str:
    return f"EIO=4&transport=websocket&sid={poller.sid}"


@pytest.mark.parametrize("door", list(Door))
async def test_the_upgrade_loses_and_reorders_nothing(
    served: Served, poller: Poller, door: Door
) -> None:
    await poller.join()
    [socket] = served.application.sockets
    poll = asyncio.create_task(poller.get())
    await served.until(lambda: socket.connection.writable)
    async with websocket(served.port, candidate_query(poller), door) as upgraded:
        upgraded.text("2probe")
        assert await upgraded.packet() == "3probe"
        assert await poll == (200, "6")  # the poll that waited is let go
        socket.emit("n", 0)
        await served.until(lambda: socket.connection._outbound)
        assert await poller.get() == (200, '42["n",0]')
        assert await poller.get() == (200, "6")  # and no new one waits
        socket.emit("n", 1)
        socket.emit("n", 2)
        upgraded.text("5")
        assert [await upgraded.packet() for _ in range(2)] == ['42["n",1]', '42["n",2]']
        upgraded.text('420["echo","here"]')
        assert await upgraded.packet() == '430["here"]'

        assert socket.transport == "websocket"
        assert (await poller.get())[0] == 400
        assert (await poller.post("42"))[0] == 400
        upgraded.text('421["echo","still here"]')
        assert await upgraded.packet() == '431["still here"]'
        assert served.server.counters.upgrades == 1
        assert dict(+served.server.counters.open_by_transport) == {"websocket": 1}
    await served.until_ended("transport_closed")


@pytest.mark.parametrize("door", list(Door))
@pytest.mark.parametrize(
    "broken", [frame(1, b"5"), frame(1, b"2"), frame(1, b"4x"), frame(BINARY_FRAME, b"x")]
)
async def test_a_broken_candidate_leaves_the_session_polling(
    served: Served, poller: Poller, door: Door, broken: bytes
) -> None:
    await poller.join()
    async with websocket(served.port, candidate_query(poller), door) as candidate:
        candidate.send(broken)
        assert await candidate.close_code() == 4107

    assert await poller.post('420["echo"]') == (200, "ok")
    assert await poller.get() == (200, "430[]")
    async with websocket(served.port, candidate_query(poller), door) as second:
        second.text("2probe")
        assert await second.packet() == "3probe"


@pytest.mark.parametrize("door", list(Door))
async def test_a_candidate_that_vanishes_leaves_the_session_polling(
    served: Served, poller: Poller, door: Door
) -> None:
    await poller.join()
    [socket] = served.application.sockets
    async with websocket(served.port, candidate_query(poller), door) as candidate:
        candidate.text("2probe")
        assert await candidate.packet() == "3probe"
    await served.until(lambda: socket.connection.session.phase is engineio.Phase.POLLING)

    assert await poller.post('420["echo"]') == (200, "ok")
    assert await poller.get() == (200, "430[]")


@pytest.mark.parametrize("door", list(Door))
async def test_one_candidate_at_a_time(served: Served, poller: Poller, door: Door) -> None:
    await poller.join()
    async with (
        websocket(served.port, candidate_query(poller), door) as first,
        websocket(served.port, candidate_query(poller), door) as second,
    ):
        assert await second.close_code() == 4106
        first.text("2probe")
        assert await first.packet() == "3probe"
        first.text("5")
        await served.until(lambda: served.server.counters.upgrades == 1)
        async with websocket(served.port, candidate_query(poller), door) as third:
            assert await third.close_code() == 4106
        first.text('420["echo"]')
        assert await first.packet() == "430[]"


async def test_an_upgrade_that_is_not_completed_is_given_up() -> None:
    async with (
        serve(SocketOptions(upgrade_timeout_ms=50)) as served,
        aiohttp.ClientSession() as http,
    ):
        poller = Poller(http, served.url)
        await poller.join()
        async with websocket(served.port, candidate_query(poller)) as candidate:
            candidate.text("2probe")
            assert await candidate.packet() == "3probe"
            assert await candidate.close_code() == 4004
        assert await poller.post('420["echo"]') == (200, "ok")
        assert await poller.get() == (200, "430[]")


async def test_a_session_that_ends_takes_its_candidate_along(
    served: Served, poller: Poller
) -> None:
    await poller.join()
    async with websocket(served.port, candidate_query(poller)) as candidate:
        candidate.text("2probe")
        assert await candidate.packet() == "3probe"
        assert await poller.post("1") == (200, "ok")
        assert await candidate.close_code() == 1000
    assert await poller.get() == (200, "6")
    assert (await poller.get())[0] == 400


async def test_an_orderly_end_between_two_polls_is_told_by_the_next(
    served: Served, poller: Poller
) -> None:
    await poller.join()
    [socket] = served.application.sockets
    for number in range(40):
        socket.emit("n", number)
    socket.disconnect(close=True)
    assert served.connections == 0

    status, body = await poller.get()
    packets = body.split("\x1e")

    assert status == 200
    assert packets == [*(f'42["n",{number}]' for number in range(15)), "1"]
    assert (await poller.get())[0] == 400


@pytest.mark.parametrize("door", list(Door))
async def test_last_words_are_not_for_a_websocket(
    served: Served, poller: Poller, door: Door
) -> None:
    await poller.join()
    served.application.sockets[0].disconnect(close=True)

    async with raw(served.port) as socket:
        if door is Door.AIOHTTP:
            await socket.read_page()
        socket.send(upgrade_request(candidate_query(poller)))
        assert (await socket.head()).startswith(b"HTTP/1.1 400 ")
    assert await poller.get() == (200, "1")


@pytest.mark.parametrize("door", list(Door))
async def test_a_candidate_is_told_that_its_session_was_lost(
    served: Served, poller: Poller, door: Door
) -> None:
    await poller.join()
    [socket] = served.application.sockets
    poll = asyncio.create_task(poller.get())
    await served.until(lambda: socket.connection.writable)
    async with websocket(served.port, candidate_query(poller), door) as candidate:
        await served.until(lambda: socket.connection.session.phase is engineio.Phase.UPGRADING)
        poll.cancel()
        # Never 1006: that says that no close frame came.
        assert await candidate.close_code() == 1001
    await served.until_ended("transport_closed")


async def test_a_probe_may_not_be_repeated_for_ever() -> None:
    async with (
        serve(SocketOptions(max_packets_per_second=100)) as served,
        aiohttp.ClientSession() as http,
    ):
        poller = Poller(http, served.url)
        await poller.join()
        async with websocket(served.port, candidate_query(poller)) as candidate:
            candidate.send(frame(1, b"2probe") * 300)
            assert await candidate.close_code() == 4006
        await served.until_ended("flooding")


async def test_a_fault_of_ours_ends_a_polling_session(
    served: Served, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await poller.join()

    def fail(_self: object, _message: bytes) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("server.sockets.client.Client.text", fail)
    status, answer = await poller.post("42")

    assert (status, json.loads(answer)["error"]["code"]) == (500, "internal")
    assert served.application.ends == [("/", "internal")]


async def test_last_words_are_kept_for_a_while_only() -> None:
    async with (
        serve(SocketOptions(close_timeout_ms=50)) as served,
        aiohttp.ClientSession() as http,
    ):
        poller = Poller(http, served.url)
        await poller.join()
        served.application.sockets[0].disconnect(close=True)
        await served.until(lambda: not served.server.engine._last_words)
        assert (await poller.get())[0] == 400


async def test_a_post_that_gets_its_sender_kicked_was_still_taken(poller: Poller) -> None:
    await poller.join()

    assert await poller.post('42["kick"]') == (200, "ok")
    assert await poller.get() == (200, "1")
    assert (await poller.get())[0] == 400


async def test_a_close_packet_lets_the_poll_go(served: Served, poller: Poller) -> None:
    await poller.join()
    poll = asyncio.create_task(poller.get())
    await served.until(lambda: served.application.sockets[0].connection.writable)

    assert await poller.post("1") == (200, "ok")
    assert await poll == (200, "6")
    assert served.application.ends == [("/", "client_closed")]


async def carry_an_answer(served: Served, poller: Poller, network: RawSocket) -> None:
    """Poll on a network connection of its own, whose client does not read the answer."""
    [socket] = served.application.sockets
    path = poller.url.removeprefix(served.url)
    network.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    await served.until(lambda: socket.connection.writable)
    socket.emit("n", 1)
    await served.until(lambda: not socket.connection.session._polled)


async def test_an_answer_that_a_reset_may_have_lost_ends_the_session(
    served: Served, poller: Poller
) -> None:
    await poller.open()
    assert await poller.post('40{"recover":true,"quiet":true}') == (200, "ok")
    connected = json.loads((await poller.get())[1][2:])
    others = served.listener.places.taken
    async with raw(served.port) as network:
        await carry_an_answer(served, poller, network)
        network.reset()
        await served.until(lambda: served.listener.places.taken == others)

    status, answer = await poller.get()

    assert status == 400
    assert json.loads(answer)["error"]["details"]["reason"] == "transport_closed"
    assert served.application.ends == [("/", "transport_closed")]
    # Who comes back gets what was lost.
    again = Poller(poller.http, served.url)
    await again.open()
    auth = {"recover": True, "quiet": True, "pid": connected["pid"]}
    assert await again.post("40" + json.dumps(auth)) == (200, "ok")
    packets = await again.hear_until(lambda packets: len(packets) == 2)
    assert json.loads(packets[0][2:]) == connected
    assert packets[1].startswith('42["n",1,')


async def test_an_answer_that_was_not_read_in_time_was_lost() -> None:
    async with (
        serve(SocketOptions(unread_timeout_ms=50, max_outbound_bytes=100_000_000)) as served,
        aiohttp.ClientSession() as http,
    ):
        poller = Poller(http, served.url)
        await poller.join()
        [socket] = served.application.sockets
        async with raw(served.port) as network:
            network.writer.transport.pause_reading()  # type: ignore[attr-defined] # of a transport
            path = poller.url.removeprefix(served.url)
            network.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            await served.until(lambda: socket.connection.writable)
            socket.emit("n", "x" * 30_000_000)
            await served.until(lambda: served.server.counters.unread == 1)
            assert (await poller.get())[0] == 400
        await served.until_ended("transport_closed")


@pytest.mark.parametrize("reads", [True, False], ids=["closed", "kept"])
async def test_an_answer_whose_network_connection_ends_in_order_has_arrived(
    served: Served, poller: Poller, reads: bool
) -> None:
    await poller.join()
    others = served.listener.places.taken
    async with raw(served.port) as network:
        await carry_an_answer(served, poller, network)
        await network.head()
        assert await network.reader.readexactly(len('42["n",1]')) == b'42["n",1]'
        if reads:
            network.writer.close()
            await served.until(lambda: served.listener.places.taken == others)
        served.application.sockets[0].emit("n", 2)
        assert await poller.get() == (200, '42["n",2]')
        if not reads:
            # It carried the answer before the last.
            network.reset()
            await served.until(lambda: served.listener.places.taken == others)
        served.application.sockets[0].emit("n", 3)
        assert await poller.get() == (200, '42["n",3]')
