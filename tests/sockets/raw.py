"""Clients made by hand, for what well-behaved ones never send."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

import msgspec

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
MASK = b"\x37\xfa\x21\x3d"

UPGRADE_HEADERS = (
    "Host: test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def upgrade_request(
    query: str = "EIO=4&transport=websocket", extra: str = "", path: str = "/socket.io/"
) -> bytes:
    return f"GET {path}?{query} HTTP/1.1\r\n{UPGRADE_HEADERS}{extra}\r\n".encode()


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """A client's WebSocket frame (RFC 6455, section 5.2)."""
    length = len(payload)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if length < 126:
        header = struct.pack("!BB", first, mask_bit | length)
    elif length < 65_536:
        header = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, mask_bit | 127, length)
    if not masked:
        return header + payload
    repeated = (MASK * (length // 4 + 1))[:length]
    return header + MASK + bytes(a ^ b for a, b in zip(payload, repeated, strict=True))


class RawSocket:
    """A network connection that can speak WebSocket, rightly or wrongly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *frames: bytes) -> None:
        """Write frames, or any bytes, at once."""
        self.writer.write(b"".join(frames))

    def text(self, packet: str) -> None:
        """Write one text frame."""
        self.send(frame(TEXT, packet.encode()))

    async def head(self) -> bytes:
        """The head of an HTTP response."""
        async with asyncio.timeout(10):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def read_page(self) -> None:
        """Ask for a page, and leave the connection open for the next request."""
        self.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        head = await self.head()
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert await self.reader.readexactly(len("a page")) == b"a page"

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload."""
        rsv, opcode, payload = await self.flagged_frame()
        assert rsv == 0, "no reserved bit was agreed upon"
        return opcode, payload

    async def flagged_frame(self) -> tuple[int, int, bytes]:
        """The next frame: its reserved bits, opcode and payload."""
        async with asyncio.timeout(10):
            first, length = await self.reader.readexactly(2)
            assert first & 0x80, "the server fragments nothing"
            assert length < 128, "a server masks nothing"
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(length)
            return first >> 4 & 0x7, first & 0x0F, payload

    async def packet(self) -> str:
        """The next text packet that is not a ping."""
        while True:
            opcode, payload = await self.frame()
            assert opcode == TEXT, f"opcode {opcode}: {payload!r}"
            if payload != b"2":
                return payload.decode()

    async def close_code(self) -> int:
        """The code of the close frame, after whatever comes before it. It is answered."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                self.send(frame(CLOSE, payload[:2]))
                return int.from_bytes(payload[:2], "big")

    def reset(self) -> None:
        """End the network connection with an error for the other side."""
        network = self.writer.get_extra_info("socket")
        network.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()

    async def rest(self) -> bytes:
        """Everything until the server closes the network connection."""
        async with asyncio.timeout(10):
            return await self.reader.read()


class Door(Enum):
    """Who serves a WebSocket: picows, or aiohttp after another request on the same connection."""

    PICOWS = "picows"
    AIOHTTP = "aiohttp"


@asynccontextmanager
async def raw(port: int, from_address: str = "127.0.0.1") -> AsyncIterator[RawSocket]:
    """A network connection, and nothing said yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(from_address, 0))
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def websocket(
    port: int, query: str = "EIO=4&transport=websocket", door: Door = Door.PICOWS
) -> AsyncIterator[RawSocket]:
    """A WebSocket whose HTTP handshake is done."""
    async with raw(port) as socket:
        if door is Door.AIOHTTP:
            await socket.read_page()
        socket.send(upgrade_request(query))
        head = await socket.head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert (b"aiohttp" in head) is (door is Door.AIOHTTP)
        yield socket


@asynccontextmanager
async def session(port: int, door: Door = Door.PICOWS) -> AsyncIterator[RawSocket]:
    """A WebSocket with an Engine.IO session."""
    async with websocket(port, door=door) as socket:
        packet = await socket.packet()
        assert packet.startswith("0{")
        assert msgspec.json.decode(packet[1:])["upgrades"] == []
        yield socket


@asynccontextmanager
async def joined(
    port: int, namespace: str = "", auth: str = "", door: Door = Door.PICOWS
) -> AsyncIterator[RawSocket]:
    """A WebSocket whose client has joined a namespace and has been welcomed."""
    async with session(port, door) as socket:
        comma = "," if namespace else ""
        socket.text(f"40{namespace}{comma}{auth}")
        assert (await socket.packet()).startswith(f'40{namespace}{comma}{{"sid":')
        assert (await socket.packet()).startswith(f'42{namespace}{comma}["welcome"')
        yield socket
