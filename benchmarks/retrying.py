"""A player who takes no answer for an answer: what was not acknowledged is asked again.

It remembers every request id that it ever sent, and every answer. It knows nothing of the server's
code: the WebSocket is aiohttp's, and the packets are written here.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from uuid import uuid4

import aiohttp

from benchmarks.players import BET, Player

# Before another try to connect, within a half more or less. Shorter than browsers wait (half a
# second at least), so that the server is measured and not the patience of its clients.
RETRY_S: Final = 0.1
# Answers that are asked for again after each new connection, to see that they are the same.
REPEATED: Final = 3
# Until an unanswered connection counts as broken.
_ANSWER_LIMIT_S: Final = 10.0
_PING: Final = "2"
_PONG: Final = "3"


class Promise(NamedTuple):
    """What an acknowledgement said of a bet."""

    bet_id: str
    roll: int
    payout: int
    available: int


class Retrying:
    """One player with `depth` bets in flight, whatever happens to the server.

    It waits for `pause_s` before each new bet.
    """

    def __init__(
        self,
        url: str,
        player: Player,
        depth: int,
        acknowledged: Callable[["Retrying"], None],
        pause_s: float = 0.0,
    ) -> None:
        self.player = player
        self.promised: dict[str, Promise] = {}
        self.unanswered: dict[str, str] = {}
        self.changed: list[str] = []
        self.refused: list[str] = []
        # Of `time.perf_counter`.
        self.joined_at_s = 0.0
        self.resent = 0
        self.repeated = 0
        self._address = f"{url}/socket.io/?EIO=4&transport=websocket"
        self._depth = depth
        self._pause_s = pause_s
        self._acknowledged = acknowledged
        self._placing = True
        # The request that each acknowledgement of this connection is for.
        self._awaited: dict[int, str] = {}
        self._sent = 0
        self._newest: deque[tuple[str, str]] = deque(maxlen=REPEATED)

    async def play(self) -> None:
        """Bet until `finish`, and then until everything is answered."""
        async with aiohttp.ClientSession() as http:
            while self._placing or self.unanswered:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with http.ws_connect(self._address) as socket:
                        await self._join(socket)
                        await self._bet(socket)
                        return
                await asyncio.sleep(random.uniform(0.5, 1.5) * RETRY_S)

    def finish(self) -> None:
        """Place no more bets."""
        self._placing = False

    async def _join(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await _receive(socket)
        await socket.send_str("40" + json.dumps({"token": self.player.token}))
        answer = await _receive(socket)
        if not answer.startswith("40"):
            raise aiohttp.ClientError(f"not let in: {answer}")
        self.joined_at_s = time.perf_counter()

    async def _bet(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Ask again what the last connection left open, then bet until that is enough."""
        self._awaited.clear()
        self.resent += len(self.unanswered)
        self.repeated += len(self._newest)
        for request_id, bet in [*self.unanswered.items(), *self._newest]:
            await self._send(socket, request_id, bet)
        while self._placing or self._awaited:
            while self._placing and len(self._awaited) < self._depth:
                if self._pause_s:
                    await asyncio.sleep(self._pause_s)
                request_id = str(uuid4())
                bet = json.dumps({**BET, "request_id": request_id})
                self.unanswered[request_id] = bet
                await self._send(socket, request_id, bet)
            await self._take(socket, await _receive(socket))

    async def _send(
        self, socket: aiohttp.ClientWebSocketResponse, request_id: str, bet: str
    ) -> None:
        self._sent += 1
        self._awaited[self._sent] = request_id
        await socket.send_str(f'42{self._sent}["dice:roll",{bet}]')

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, packet: str) -> None:
        if packet == _PING:
            await socket.send_str(_PONG)
        elif packet.startswith("43"):
            begin = packet.index("[")
            request_id = self._awaited.pop(int(packet[2:begin]))
            await self._answered(socket, request_id, json.loads(packet[begin:])[0])
        elif not packet.startswith("42"):
            raise aiohttp.ClientError(f"the server sent {packet[:200]}")

    async def _answered(
        self, socket: aiohttp.ClientWebSocketResponse, request_id: str, answer: dict[str, Any]
    ) -> None:
        if answer["success"]:
            self._promise(request_id, answer["data"])
        elif answer["error"]["temporary"]:
            # A bet that was promised is repeated to see its answer, which is not to be had now.
            if request_id in self.unanswered:
                await asyncio.sleep(RETRY_S)
                await self._send(socket, request_id, self.unanswered[request_id])
        else:
            self.unanswered.pop(request_id, None)
            self.refused.append(f"{request_id}: {answer['error']}")

    def _promise(self, request_id: str, data: dict[str, Any]) -> None:
        said = Promise(data["bet_id"], data["roll"], data["payout"], data["balance"]["available"])
        bet = self.unanswered.pop(request_id, None)
        if self.promised.setdefault(request_id, said) != said:
            self.changed.append(request_id)
        if bet is not None:
            self._newest.append((request_id, bet))
            self._acknowledged(self)


async def _receive(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The next packet. Raises TimeoutError, or ClientError at the connection's end."""
    async with asyncio.timeout(_ANSWER_LIMIT_S):
        message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise aiohttp.ClientError(f"the connection ended: {message.type}")
    return str(message.data)
