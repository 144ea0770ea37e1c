"""A network connection of a hostile peer: writes in pieces, reads or does not, ends in any way."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from random import Random
from typing import Final

from tests.fuzz.house import MAX_PAYLOAD_BYTES
from tests.sockets.raw import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawSocket,
    frame,
    upgrade_request,
)

# Linger on, for no time: closing sends a reset.
_RESET: Final = struct.pack("ii", 1, 0)
_OPCODES: Final = (TEXT, TEXT, 2, 2, CONTINUATION, PING, PONG, CLOSE, 3, 11, 15)
_CONTROL: Final = (PING, PONG)
# A poll that has nothing to say lasts longer than anybody here waits.
_WAIT_S: Final = 0.3


class Peer:
    """One connection. Whatever happens to it is of no interest; `Gone` ends its script."""

    def __init__(
        self, rng: Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.rng = rng
        self.raw = RawSocket(reader, writer)

    def push(self, data: bytes) -> None:
        """Write at once."""
        if self.raw.writer.is_closing():
            raise ConnectionResetError("the server has closed")
        self.raw.send(data)

    async def send(self, data: bytes) -> None:
        """Write at once, or in a few pieces with time between."""
        pieces = self.rng.choice((1, 1, 1, 2, 5))
        size = max(1, -(-len(data) // pieces))
        for start in range(0, len(data), size):
            self.push(data[start : start + size])
            await self.wait(0.02 if pieces > 1 else 0)

    async def wait(self, most_s: float) -> None:
        """Let others run, or some time pass."""
        await asyncio.sleep(self.rng.random() * most_s)

    async def answer(self) -> bytes:
        """What comes next, if it comes in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                return await self.raw.reader.read(4_096)
        return b""

    async def upgrade(self, query: str = "EIO=4&transport=websocket") -> bytes:
        """Ask for a WebSocket, on picows or behind another request on aiohttp; read the answer."""
        if self.rng.random() < 0.5:
            self.push(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await self.answer()
        extra = self.rng.choice(("", "", "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        await self.send(upgrade_request(query, extra))
        return await self.answer()

    async def request(self, method: str, query: str, body: bytes = b"", head: str = "") -> bytes:
        """An HTTP request of a polling session, and the beginning of its answer."""
        length = head or f"Content-Length: {len(body)}\r\n"
        first = f"{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: test\r\n"
        await self.send(f"{first}{length}\r\n".encode() + body)
        return await self.answer()

    async def end(self) -> None:
        """Go, in one of the ways there are."""
        how = self.rng.randrange(4)
        if how == 0:
            with suppress(ConnectionError):
                self.push(frame(CLOSE, self.rng.choice((b"", b"\x03\xe8", b"\x03", b"\xff\xff"))))
            await self.wait(0.05)
        writer = self.raw.writer
        if writer.is_closing():
            return
        if how == 1:
            writer.write_eof()
            await self.wait(0.3)
        elif how == 2:
            network = writer.get_extra_info("socket")
            network.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        writer.close()


def broken_frame(rng: Random, payload: bytes) -> bytes:
    """A frame that may break any rule of RFC 6455."""
    kind = rng.randrange(8)
    if kind == 0:
        return frame(TEXT, payload, masked=False)
    if kind == 1:
        return frame(TEXT, payload, rsv=rng.randrange(8))
    if kind == 2:
        return frame(rng.choice(_OPCODES), payload, fin=rng.random() < 0.5)
    if kind == 3:
        return frame(TEXT, payload)[: rng.randrange(8)]
    if kind == 4:
        length = rng.choice((126, 65_535, MAX_PAYLOAD_BYTES + 1, 2**31, 2**63, 2**64 - 1))
        return struct.pack("!BBQ", 0x81, 0xFF, length) + payload
    if kind == 5:
        return struct.pack("!BBH", 0x82, 0xFE, min(len(payload), 125)) + b"mask" + payload
    if kind == 6:
        return frame(rng.choice(_CONTROL), payload * 10)
    broken = rng.choice((b"\xff", b"\xed\xa0\x80", b"\xf0\x9f"))
    return frame(TEXT, rng.choice((payload + broken, b'42["say","%b"]' % broken)))


def in_fragments(rng: Random, opcode: int, payload: bytes) -> bytes:
    """A message in fragments, with control frames, or what must not be there, between them."""
    count = rng.choice((2, 3, 9))
    size = max(1, -(-len(payload) // count))
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]
    wire = b""
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1 and rng.random() < 0.9
        wire += frame(CONTINUATION if index else opcode, piece, fin=last)
        if rng.random() < 0.4:
            wire += frame(rng.choice((PING, PONG)), rng.randbytes(rng.choice((0, 5, 125))))
        if rng.random() < 0.05:
            wire += frame(opcode, b"2")
    return wire
