"""What may come as the first bytes of a connection, in any pieces, and what follows them."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest

from protocol.bounds import MAX_FIRST_REQUEST_BYTES
from server.sockets.listener import Arrival
from server.sockets.options import SocketOptions
from server.sockets.slices import Slices
from tests.sockets.application import Served, serve
from tests.sockets.raw import Door, RawSocket, frame, joined, raw, upgrade_request, websocket
from tests.sockets.test_arrival import refusal

PAGE = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))
JOIN = frame(1, b"40")


async def opens(socket: RawSocket) -> None:
    """The WebSocket is open; join, once it is."""
    assert (await socket.head()).startswith(b"HTTP/1.1 101 ")
    socket.send(JOIN)
    assert (await socket.packet()).startswith("0{")
    assert (await socket.packet()).startswith("40{")


async def is_joined(socket: RawSocket) -> None:
    """Read the answers to an upgrade and to a CONNECT that were sent before."""
    assert (await socket.head()).startswith(b"HTTP/1.1 101 ")
    assert (await socket.packet()).startswith("0{")
    assert (await socket.packet()).startswith("40{")


async def answered(socket: RawSocket, status: int) -> bytes:
    """Read one answer with its body."""
    head = await socket.head()
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await socket.reader.readexactly(length)


def padded(size_bytes: int) -> bytes:
    """An upgrade whose head, without the empty line after it, has this size."""
    plain = upgrade_request()
    missing = size_bytes - (len(plain) - len(b"\r\n\r\n")) - len(b"X-Pad: \r\n")
    return upgrade_request(extra=f"X-Pad: {'x' * missing}\r\n")


@pytest.mark.parametrize("size_bytes", [400, 4_000, 8_000, MAX_FIRST_REQUEST_BYTES])
@pytest.mark.parametrize("piece_bytes", [997, 100_000])
async def test_a_head_of_any_size_up_to_the_bound(
    served: Served, size_bytes: int, piece_bytes: int
) -> None:
    request = padded(size_bytes) + JOIN
    async with raw(served.port) as socket:
        for start in range(0, len(request), piece_bytes):
            socket.send(request[start : start + piece_bytes])
            await asyncio.sleep(0.001)
        await is_joined(socket)


@pytest.mark.parametrize("piece_bytes", [1_000, 100_000])
async def test_a_head_above_the_bound_is_refused_with_its_number(
    served: Served, piece_bytes: int
) -> None:
    request = padded(MAX_FIRST_REQUEST_BYTES + 1) + JOIN
    async with raw(served.port) as socket:
        for start in range(0, len(request), piece_bytes):
            socket.send(request[start : start + piece_bytes])
            await asyncio.sleep(0)
        error = await refusal(socket, 413)
    assert (error["code"], error["number"]) == ("too_large", 1003)
    assert served.server.counters.refused["too_large"] == 1
    await served.until(lambda: served.listener.places.taken == 0)


async def test_a_page_asked_for_byte_by_byte_and_two_in_a_row(served: Served) -> None:
    async with raw(served.port) as socket:
        for byte in PAGE:
            socket.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await answered(socket, 200) == b"a page"
        socket.send(PAGE, PAGE, PAGE)
        for _ in range(3):
            assert await answered(socket, 200) == b"a page"


def cuts(request: bytes, step: int) -> Iterator[tuple[bytes, bytes]]:
    """The request in two pieces; around the end of its head, at every byte."""
    end = request.index(b"\r\n\r\n")
    places = {*range(1, len(request), step), *range(end, end + 5)}
    for cut in sorted(places):
        yield request[:cut], request[cut:]


async def test_a_body_behind_the_head_in_any_two_pieces(served: Served) -> None:
    async with joined(served.port) as poller_s_witness:
        for first, second in cuts(
            b"POST /socket.io/?EIO=4&transport=polling&sid=none HTTP/1.1\r\nHost: test\r\n"
            b"Content-Length: 6\r\nConnection: close\r\n\r\n2probe",
            step=29,
        ):
            async with raw(served.port) as socket:
                socket.send(first)
                await asyncio.sleep(0.001)
                socket.send(second)
                assert (await refusal(socket, 400))["details"] == {"reason": "unknown sid"}
        poller_s_witness.text('420["echo"]')
        assert await poller_s_witness.packet() == "430[]"


async def test_an_upgrade_with_a_body_is_not_taken_for_frames(served: Served) -> None:
    request = upgrade_request(extra="Content-Length: 4\r\n")
    async with raw(served.port) as socket:
        socket.send(request, JOIN)
        # Which door refuses or serves it is not the point: nobody reads the body as a frame.
        with suppress(ConnectionError):
            await socket.rest() if not (await socket.head()).startswith(b"HTTP/1.1 101") else None
    assert served.application.asked == 0


async def test_an_upgrade_after_other_requests(served: Served) -> None:
    async with raw(served.port) as socket:
        for _ in range(3):
            await socket.read_page()
        socket.send(upgrade_request())
        await opens(socket)
        assert (await socket.packet()).startswith('42["welcome"')


async def test_frames_that_do_not_wait_for_an_answer_to_a_later_upgrade(served: Served) -> None:
    """RFC 6455 wants them to, and aiohttp would take them unmasked too."""
    async with raw(served.port) as socket:
        await socket.read_page()
        socket.send(upgrade_request(), JOIN)
        assert (await socket.head()).startswith(b"HTTP/1.1 400 ")


async def test_an_upgrade_after_a_request_on_the_same_connection_in_any_two_pieces(
    served: Served,
) -> None:
    for first, second in cuts(upgrade_request(), step=31):
        async with raw(served.port) as socket:
            await socket.read_page()
            socket.send(first)
            await asyncio.sleep(0.001)
            socket.send(second)
            await opens(socket)


async def test_requests_and_an_upgrade_in_one_segment(served: Served) -> None:
    async with raw(served.port) as socket:
        socket.send(PAGE, PAGE, upgrade_request())
        for _ in range(2):
            assert await answered(socket, 200) == b"a page"
        await opens(socket)


async def test_a_poll_s_upgrade_on_its_own_kept_alive_connection(served: Served) -> None:
    async with raw(served.port) as socket:
        socket.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: test\r\n\r\n")
        sid = msgspec.json.decode((await answered(socket, 200))[1:])["sid"]
        socket.send(upgrade_request(f"EIO=4&transport=websocket&sid={sid}"))
        assert (await socket.head()).startswith(b"HTTP/1.1 101 ")
        socket.text("2probe")
        assert await socket.packet() == "3probe"
        socket.send(frame(1, b"5"), JOIN)
        assert (await socket.packet()).startswith("40{")
        assert served.connections == 1


@pytest.mark.parametrize(
    "first", [TLS_HELLO, TLS_HELLO[:1], b"\x00", b"\xff\xfe", b" GET / HTTP/1.1\r\n", b"\x80"]
)
async def test_who_does_not_speak_http_is_told_at_once(served: Served, first: bytes) -> None:
    async with raw(served.port) as socket:
        socket.send(first)
        error = await refusal(socket, 400)
    assert error["details"] == {"reason": "this port speaks plain HTTP"}
    assert served.server.counters.refused["malformed"] == 1


@pytest.mark.parametrize("door", list(Door))
@pytest.mark.parametrize("sent", [b"", b"GET / HT", upgrade_request()[:-2], PAGE[:-1]])
async def test_a_half_closed_connection_ends_and_leaves_nothing(
    served: Served, door: Door, sent: bytes
) -> None:
    async with raw(served.port) as socket:
        if door is Door.AIOHTTP:
            await socket.read_page()
        socket.send(sent)
        await asyncio.sleep(0.01)
        socket.writer.write_eof()
        with suppress(ConnectionError):
            await socket.rest()
        await served.until(lambda: served.listener.places.taken == 0)
    assert len(served.listener.peeking) == 0
    assert served.connections == 0


@pytest.mark.parametrize("door", list(Door))
async def test_a_half_closed_websocket_ends_its_session(served: Served, door: Door) -> None:
    async with websocket(served.port, door=door) as socket:
        await served.until(lambda: served.connections == 1)
        socket.writer.write_eof()
        await served.until_ended("transport_closed")
        with suppress(ConnectionError):
            await socket.rest()
    await served.until(lambda: served.listener.places.taken == 0)


async def test_half_a_head_is_refused_in_time_with_its_number_and_others_go_on() -> None:
    async with (
        serve(SocketOptions(request_timeout_ms=50)) as served,
        joined(served.port) as witness,
        raw(served.port) as socket,
    ):
        for byte in upgrade_request()[:-2]:
            socket.send(bytes([byte]))
        error = await refusal(socket, 408)
        assert (error["code"], error["number"]) == ("request_timeout", 1006)
        assert served.server.counters.refused["request_timeout"] == 1
        witness.text('420["echo"]')
        assert await witness.packet() == "430[]"


async def test_a_crowd_that_asks_in_one_moment_is_read_in_its_order(served: Served) -> None:
    sockets = []
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        sockets.append(RawSocket(reader, writer))
    await served.until(lambda: served.listener.places.taken == 100)
    for socket in sockets:
        socket.send(upgrade_request(), JOIN)
    for socket in sockets:
        await is_joined(socket)
        socket.writer.close()
    await served.until_ended("transport_closed", count=100)


async def test_requests_are_read_in_slices_and_not_as_they_come(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Arrival] = []
    monkeypatch.setattr(Slices, "add", lambda _self, arrival: held.append(arrival))
    async with raw(served.port) as upgrading, raw(served.port) as asking:
        upgrading.send(upgrade_request(), JOIN)
        asking.send(PAGE)
        await served.until(lambda: len(held) == 2)
        assert served.connections == 0
        for arrival in held:
            arrival.read_request()
        await is_joined(upgrading)
        assert await answered(asking, 200) == b"a page"
