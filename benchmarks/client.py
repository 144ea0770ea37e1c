"""A Socket.IO client that costs little: one connection, whose player only places bets."""

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.messages import Messages
from benchmarks.traffic import Traffic


class ClientError(Exception):
    """The server refused or ended a connection, or broke the protocol."""


class Client(WSListener):
    """One connection. `failed` is told what goes wrong with it, then it is of no more use."""

    def __init__(
        self, token: str, messages: Messages, traffic: Traffic, failed: Callable[[Exception], None]
    ) -> None:
        self.refill = False
        self._token = token
        self._messages = messages
        self._traffic = traffic
        self._failed = failed
        self._joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = False
        self._transport: WSTransport

    async def connect(self, url: str) -> None:
        """Open the WebSocket and join the main namespace. Raises ClientError if it is refused."""
        address = f"{url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        await ws_connect(lambda: self, address)
        await self._joined

    def place(self, due_ns: int) -> None:
        """Send a message of bets that was due at `due_ns`."""
        ack_id = self._traffic.sent(due_ns)
        self._transport.send(WSMsgType.TEXT, self._messages.make(ack_id))

    def close(self) -> None:
        """Leave."""
        self._closing = True
        self._transport.disconnect()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The WebSocket is open; the server speaks first."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """An acknowledgement most of the time; in a closed loop the next message follows it."""
        message = frame.get_payload_as_bytes()
        if message[:2] != b"43":
            self._receive_other(transport, message)
            return
        try:
            self._traffic.answered(message)
        except (ValueError, LookupError) as error:
            self._failed(error)
            return
        if self.refill:
            self.place(perf_counter_ns())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection has ended, which only this side may do."""
        if not self._closing:
            said = transport.close_handshake
            self._fail(ClientError(f"the server ended a connection: {said}"))

    def _receive_other(self, transport: WSTransport, message: bytes) -> None:
        if message[:1] == b"0":
            auth = msgspec.json.encode({"token": self._token})
            transport.send(WSMsgType.TEXT, b"40" + auth)
        elif message[:1] == b"2":
            transport.send(WSMsgType.TEXT, b"3")
        elif message[:2] == b"40":
            self._joined.set_result(None)
        elif message[:2] != b"42":  # events, such as wallet:updated, are only read
            self._fail(ClientError(f"the server sent {message[:200]!r}"))

    def _fail(self, error: ClientError) -> None:
        """Tell whoever waits for the connection, or whoever uses it."""
        if self._joined.done():
            self._failed(error)
        else:
            self._joined.set_exception(error)
