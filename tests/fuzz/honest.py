"""Well-behaved clients, who must not notice that others are hostile."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from contextlib import AsyncExitStack
from typing import Final, Protocol

import msgspec

from tests.fuzz.case import Finding, require
from tests.sockets.raw import BINARY, TEXT, RawSocket, frame, raw, upgrade_request

# How long an answer may take. The hostile peers share the loop, and others the machine.
PATIENCE_S: Final = 15.0
_PAUSE_S: Final = 0.004
_ATTACHMENT: Final = bytes(range(256)) * 3


class Channel(Protocol):
    """A session of either transport."""

    async def send(self, *packets: bytes) -> None:
        """Send packets, together."""

    async def receive(self) -> bytes:
        """The next packet."""


class Binary(bytes):
    """A binary packet."""


class WebSocketChannel:
    """A session over WebSocket, on picows or on aiohttp."""

    def __init__(self, socket: RawSocket) -> None:
        self._socket = socket

    async def send(self, *packets: bytes) -> None:
        """Send each packet in its frame."""
        self._socket.send(
            *(frame(BINARY if isinstance(packet, Binary) else TEXT, packet) for packet in packets)
        )

    async def receive(self) -> bytes:
        """The payload of the next frame."""
        opcode, payload = await self._socket.frame()
        require(opcode in {TEXT, BINARY}, f"an honest client gets packets, not opcode {opcode}")
        return Binary(payload) if opcode == BINARY else payload


class PollingChannel:
    """A session that polls, on one connection, and posts, on another; both are kept alive."""

    def __init__(self, polls: RawSocket, posts: RawSocket) -> None:
        self._polls = polls
        self._posts = posts
        self._sid = ""
        self._packets: list[bytes] = []

    async def send(self, *packets: bytes) -> None:
        """Post packets, binary ones as base64."""
        body = b"\x1e".join(
            b"b" + b64encode(packet) if isinstance(packet, Binary) else packet for packet in packets
        )
        head = f"POST {self._path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n"
        require(await _exchange(self._posts, head.encode() + body) == b"ok", "a post is taken")

    async def receive(self) -> bytes:
        """The next packet of this poll or of the next."""
        while not self._packets:
            request = f"GET {self._path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
            self._packets = (await _exchange(self._polls, request)).split(b"\x1e")
        packet = self._packets.pop(0)
        if packet[:1] == b"0":
            self._sid = msgspec.json.decode(packet[1:])["sid"]
        return Binary(b64decode(packet[1:])) if packet[:1] == b"b" else packet

    @property
    def _path(self) -> str:
        sid = f"&sid={self._sid}" if self._sid else ""
        return f"/socket.io/?EIO=4&transport=polling{sid}"


async def _exchange(socket: RawSocket, request: bytes, status: bytes = b"200") -> bytes:
    """The body of the answer to a request."""
    socket.send(request)
    head = await socket.reader.readuntil(b"\r\n\r\n")
    length = next(
        line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    body = await socket.reader.readexactly(int(length.partition(b":")[2]))
    require(head.startswith(b"HTTP/1.1 " + status), "an honest client is served", f"{body!r}")
    return body


class Honest:
    """One client who echoes all the time. `answers` counts what it got back."""

    def __init__(self, name: str, channel: Channel, event: str) -> None:
        self.name = name
        self._event = event.encode()
        self.answers = 0
        self._channel = channel

    async def run(self) -> None:
        """Join and echo until cancelled. Raises `Finding` when an answer is wrong or missing."""
        try:
            require((await self._next()).startswith(b"0{"), "a session is opened")
            # A poll takes a few packets at a time: in a room that others flood it falls behind.
            quiet = b'{"quiet":true}' if isinstance(self._channel, PollingChannel) else b""
            await self._channel.send(b"40" + quiet)
            require((await self._next()).startswith(b'40{"sid"'), "the namespace is joined")
            while True:
                await asyncio.sleep(_PAUSE_S)
                await self._echo()
        except TimeoutError:
            raise Finding(f"{self.name} got no answer in {PATIENCE_S} s") from None
        except (OSError, EOFError) as error:
            raise Finding(f"{self.name} was cut off", repr(error)) from None

    async def _echo(self) -> None:
        number = self.answers
        if number % 4:
            argument = f'"{self.name} {number}"'.encode()
            await self._channel.send(b'42%d["%b",%b]' % (number, self._event, argument))
            expected = [b"43%d[%b]" % (number, argument)]
        else:
            hole = b'{"_placeholder":true,"num":0}'
            head = b'451-%d["%b",%b]' % (number, self._event, hole)
            await self._channel.send(head, Binary(_ATTACHMENT))
            expected = [b"461-%d[%b]" % (number, hole), _ATTACHMENT]
        for packet in expected:
            got = await self._next()
            require(got == packet, f"{self.name} gets its own answer", f"{got!r}, not {packet!r}")
        self.answers += 1

    async def _next(self) -> bytes:
        """The next packet that is an answer; pings are answered, and what rooms say is let pass."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                packet = await self._channel.receive()
                if packet == b"2":
                    await self._channel.send(b"3")
                elif packet.startswith(b'42["'):
                    _check_text(packet)
                elif packet != b"6":
                    return packet


def _check_text(packet: bytes) -> None:
    """What others say in a room has been let through by the server, so it is UTF-8."""
    try:
        packet.decode()
    except UnicodeDecodeError:
        raise Finding("an honest client is sent UTF-8", f"{packet[:200]!r}") from None


async def clients(port: int, stack: AsyncExitStack, event: str = "echo") -> list[Honest]:
    """Clients on picows, on aiohttp, and polling. `event` is acknowledged with its arguments."""
    first, second, polls, posts = [await stack.enter_async_context(raw(port)) for _ in range(4)]
    await _exchange(second, b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n", b"404")
    for socket in (first, second):
        socket.send(upgrade_request())
        require((await socket.head()).startswith(b"HTTP/1.1 101 "), "a WebSocket is opened")
    return [
        Honest("first", WebSocketChannel(first), event),
        Honest("second", WebSocketChannel(second), event),
        Honest("polling", PollingChannel(polls, posts), event),
    ]
