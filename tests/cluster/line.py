"""A player's connection: one to a node, and one that goes to another when a node fails it."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Self

import aiohttp

from tests.support.promises import Fields

# Until a connection that does not answer counts as broken. A node answers for one that it cannot
# reach within two seconds.
PATIENCE_S: Final = 4.0
# Before the same is asked again.
RETRY_S: Final = 0.05
# Temporary errors in a row after which another node is tried.
MOST_ERRORS: Final = 3
_CLOSE: Final = aiohttp.ClientWSTimeout(ws_close=0.1)
_TROUBLE: Final = (OSError, TimeoutError, aiohttp.ClientError)


class Line:
    """A WebSocket to one node, with any number of commands under way."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.open = True
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[Fields]] = {}
        self._sent = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str, token: str) -> Self:
        """Join the main namespace. Raises what is in _TROUBLE."""
        async with asyncio.timeout(PATIENCE_S):
            address = f"{url}/socket.io/?EIO=4&transport=websocket"
            socket = await http.ws_connect(address, timeout=_CLOSE)
            try:
                await _text(socket)
                await socket.send_str("40" + json.dumps({"token": token}))
                said = await _text(socket)
                if not said.startswith("40"):
                    raise ConnectionError(f"not let in: {said}")
            except BaseException:
                await socket.close()
                raise
        return cls(socket)

    async def call(self, name: str, fields: Fields) -> Fields:
        """The answer to a command. Raises what is in _TROUBLE."""
        self._sent += 1
        number = self._sent
        answer: asyncio.Future[Fields] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._socket.send_str(f"42{number}{json.dumps([name, fields])}")
                return await answer
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """Leave."""
        self._reading.cancel()
        # What ended it, if it has ended, was told to those who waited.
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._socket.close()

    async def _read(self) -> None:
        try:
            while True:
                packet = await _text(self._socket)
                if packet == "2":
                    await self._socket.send_str("3")
                elif packet.startswith("43"):
                    self._answered(packet)
                elif not packet.startswith("42"):
                    raise ConnectionError(f"the node said {packet}")
        finally:
            self.open = False
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the connection ended"))

    def _answered(self, packet: str) -> None:
        begin = packet.index("[")
        waiting = self._waiting.get(int(packet[2:begin]))
        # One that came too late is asked for again.
        if waiting is not None and not waiting.done():
            waiting.set_result(json.loads(packet[begin:])[0])


class Device:
    """A player's way to the cluster: whichever node answers."""

    def __init__(
        self, http: aiohttp.ClientSession, urls: Callable[[], Sequence[str]], token: str, first: int
    ) -> None:
        self.errors: Counter[str] = Counter()
        """Temporary errors that it was answered, by their code."""
        self._http = http
        self._urls = urls
        self._token = token
        self._turn = first
        self._line: Line | None = None
        self._in_a_row = 0

    async def ask(self, name: str, fields: Fields) -> Fields:
        """The final answer: the same is asked until there is one, here and elsewhere."""
        while True:
            answer = await self._try(name, fields)
            if answer is not None and (answer["success"] or not answer["error"]["temporary"]):
                self._in_a_row = 0
                return answer
            await asyncio.sleep(RETRY_S)

    async def _try(self, name: str, fields: Fields) -> Fields | None:
        try:
            if self._line is not None and not self._line.open:
                await self.leave()
            if self._line is None:
                urls = self._urls()
                url = urls[self._turn % len(urls)]
                self._line = await Line.connect(self._http, url, self._token)
            answer = await self._line.call(name, fields)
        except _TROUBLE:
            await self.leave()
            return None
        if not answer["success"] and answer["error"]["temporary"]:
            self.errors[answer["error"]["code"]] += 1
            self._in_a_row += 1
            if self._in_a_row % MOST_ERRORS == 0:
                await self.leave()
        return answer

    async def leave(self) -> None:
        """Give the connection up; the next one goes to the next node."""
        line, self._line = self._line, None
        self._turn += 1
        if line is not None:
            await line.close()


async def _text(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The next packet. Raises ConnectionError at the connection's end."""
    message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise ConnectionError(f"the connection ended: {message.type}")
    return str(message.data)
