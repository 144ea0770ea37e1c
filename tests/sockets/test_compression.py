"""Compressed WebSocket messages (RFC 7692): off unless set, bounded, and each by itself."""

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from server.sockets.fallback import MIN_COMPRESSED_BYTES
from server.sockets.options import SocketOptions
from tests.sockets.application import serve
from tests.sockets.raw import BINARY, PING, PONG, TEXT, RawSocket, frame, raw, upgrade_request
from tests.support.node import NodeClient

COMPRESSING = SocketOptions(websocket_compression=True, max_payload_bytes=10_000)
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
RSV1 = 4


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    whole = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return whole.removesuffix(b"\x00\x00\xff\xff")


def inflated(data: bytes, window_bits: int = 15) -> bytes:
    """What a message says that needs nothing of the messages before it."""
    return zlib.decompressobj(wbits=-window_bits).decompress(data + b"\x00\x00\xff\xff")


@asynccontextmanager
async def compressing(port: int, offer: str = OFFER) -> AsyncIterator[RawSocket]:
    """A WebSocket with compression agreed upon, whose client has joined the main namespace."""
    async with raw(port) as socket:
        socket.send(upgrade_request(extra=offer))
        head = await socket.head()
        assert b"Sec-WebSocket-Extensions: permessage-deflate" in head
        assert (await socket.packet()).startswith("0{")
        socket.text("40")
        assert (await socket.packet()).startswith('40{"sid"')
        assert (await socket.packet()).startswith('42["welcome"')
        yield socket


@pytest.mark.parametrize(
    ("set_on", "offer", "by_aiohttp"),
    [(False, OFFER, False), (True, "", False), (True, OFFER, True)],
)
async def test_who_serves_whom(set_on: bool, offer: str, by_aiohttp: bool) -> None:
    options = SocketOptions(websocket_compression=set_on)
    async with serve(options) as served, raw(served.port) as socket:
        socket.send(upgrade_request(extra=offer))
        head = await socket.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert (b"aiohttp" in head) is by_aiohttp
        assert (b"permessage-deflate" in head) is by_aiohttp
        assert (await socket.packet()).startswith("0{")


async def test_large_messages_are_compressed_by_themselves_and_small_ones_not() -> None:
    async with serve(COMPRESSING) as served, compressing(served.port) as socket:
        text = "the same words again, " * 100
        for number in range(2):
            socket.send(frame(TEXT, deflated(f'42{number}["echo","{text}"]'.encode()), rsv=RSV1))
            rsv, opcode, payload = await socket.flagged_frame()
            assert (rsv, opcode) == (RSV1, TEXT)
            assert len(payload) < 200
            assert inflated(payload) == f'43{number}["{text}"]'.encode()
        for length, rsv in ((MIN_COMPRESSED_BYTES - 1, 0), (MIN_COMPRESSED_BYTES, RSV1)):
            socket.text('451-7["echo",{"_placeholder":true,"num":0}]')
            socket.send(frame(BINARY, bytes(length)))
            assert await socket.packet() == '461-7[{"_placeholder":true,"num":0}]'
            assert (await socket.flagged_frame())[:2] == (rsv, BINARY)
        socket.text('428["echo","plain"]')
        assert await socket.packet() == '438["plain"]'


async def test_the_window_is_as_small_as_the_client_asks() -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"
    async with serve(COMPRESSING) as served, compressing(served.port, offer) as socket:
        text = "".join(map(str, range(1_500)))
        socket.text(f'420["echo","{text}"]')
        _rsv, _opcode, payload = await socket.flagged_frame()
        assert inflated(payload, window_bits=9) == f'430["{text}"]'.encode()


@pytest.mark.parametrize("extra", [1, 10_000_000])
async def test_the_size_is_bounded_after_decompression(extra: int) -> None:
    async with serve(COMPRESSING) as served, compressing(served.port) as socket:
        event = b'420["echo","%b"]'
        largest = event % (b"x" * (COMPRESSING.max_payload_bytes - len(event) + 2))
        assert len(largest) == COMPRESSING.max_payload_bytes
        socket.send(frame(TEXT, deflated(largest), rsv=RSV1))
        assert inflated((await socket.flagged_frame())[2]).startswith(b'430["xxx')
        socket.send(frame(TEXT, deflated(largest + b" " * extra), rsv=RSV1))
        assert await socket.close_code() == 1009
        await served.until_ended("too_large")
        assert served.application.ends == [("/", "too_large")]


@pytest.mark.parametrize(
    ("broken", "close_code", "reason"),
    [
        (frame(TEXT, b"\xff\xff\xff\xff", rsv=RSV1), 1002, "bad_frame"),
        (frame(TEXT, deflated(b'42["\xff"]'), rsv=RSV1), 1007, "invalid_text"),
        (frame(TEXT, deflated(b"42"), rsv=RSV1 | 2), 1002, "bad_frame"),
        (frame(TEXT, deflated(b'42["echo"]'), rsv=RSV1, masked=False), 1002, "bad_frame"),
    ],
)
async def test_broken_messages_end_their_own_connection(
    broken: bytes, close_code: int, reason: str
) -> None:
    async with (
        serve(COMPRESSING) as served,
        compressing(served.port) as witness,
        compressing(served.port) as socket,
    ):
        socket.send(broken)
        assert await socket.close_code() == close_code
        await served.until_ended(reason)
        witness.send(frame(PING, b"there?"), frame(TEXT, b'420["echo"]'))
        assert await witness.frame() == (PONG, b"there?")
        assert await witness.packet() == "430[]"


@pytest.mark.javascript
async def test_the_official_client(node_client: NodeClient) -> None:
    async with serve(SocketOptions(websocket_compression=True)) as served:
        seen = json.loads(await node_client.run("compression.js", served.url))
        await served.until(lambda: served.connections == 0)

    well = {"answers": [True, True, True]}
    assert seen == {
        "offered": {"extensions": "permessage-deflate", "small": True, **well},
        "limited": {"extensions": "permessage-deflate", "small": True, **well},
        "plain": {"extensions": "", "small": False, **well},
    }
