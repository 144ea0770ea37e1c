"""Members of rooms on their way here from another node: they miss nothing, and have nothing twice.

Before a socket is let go there, its rooms are followed here: what they are told is kept. Its node
then says how far the socket has been told, by the number of the last thing of each teller; what
came after that is told here. Redis keeps one order for all: who hears the echo of its own words has
heard whatever was said before them, and its subscriptions are in force.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final

import msgspec

from actors.runtime.exchange import Exchange
from protocol.commands.node import RoomInterrupted
from protocol.outgoing import Outgoing
from server.cluster.told import ITEM, LOST, NOTICE, Told, channel_of
from server.rooms.room import Items
from server.sockets.socket import Socket

_TOPIC: Final = "echo"
# Redis answers in a millisecond. Who waits longer does without: rooms are told they were
# interrupted.
ECHO_S: Final = 1.0
# What is kept of one room while members are on their way, which takes some milliseconds: more than
# any is told in that time. Past it the oldest is forgotten, and who needed it is told so.
MAX_KEPT: Final = 1_024

Position = Mapping[str, int]
"""How far somebody has been told: the number of the last thing of each member that told any."""

Positions = Mapping[str, Position]
"""The same, in each room."""

_decode_number = msgspec.msgpack.Decoder(int).decode


class _Kept:
    """What one room was told of late."""

    __slots__ = ("followers", "forgotten", "told")

    def __init__(self) -> None:
        self.followers = 0
        self.told: deque[tuple[str, Told]] = deque()
        # The last number of each teller that is not kept any more.
        self.forgotten: dict[str, int] = {}

    def add(self, teller: str, told: Told) -> None:
        self.told.append((teller, told))
        if len(self.told) > MAX_KEPT:
            oldest, gone = self.told.popleft()
            self.forgotten[oldest] = gone.number

    def after(self, position: Position) -> list[Told] | None:
        """What came after a position; None if some of it is not known."""
        if any(number > position.get(teller, 0) for teller, number in self.forgotten.items()):
            return None
        reached = dict(position)
        found = []
        for teller, told in self.told:
            last = reached.get(teller, 0)
            if told.number <= last:
                continue
            if told.how == LOST or (last and told.previous not in (0, last)):
                return None
            reached[teller] = told.number
            found.append(told)
        return found


class Arrivals:
    """The rooms that are followed, and the echo of this member's own words."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._rooms: dict[str, _Kept] = {}
        self._numbers = count(1)
        # Each belongs to a session on its way.
        self._echoes: dict[int, asyncio.Future[None]] = {}
        exchange.listen(_TOPIC, self._heard_echo)

    def __contains__(self, channel: str) -> bool:
        return channel in self._rooms

    def follow(self, channels: Iterable[str]) -> None:
        """Keep what these rooms are told, once more for each call."""
        for channel in channels:
            kept = self._rooms.get(channel)
            if kept is None:
                kept = self._rooms[channel] = _Kept()
                self._exchange.subscribe(channel)
            kept.followers += 1

    def unfollow(self, channels: Iterable[str]) -> list[str]:
        """Keep it once less; returns the rooms that nobody follows any more."""
        ended = []
        for channel in channels:
            kept = self._rooms[channel]
            kept.followers -= 1
            if not kept.followers:
                del self._rooms[channel]
                ended.append(channel)
        return ended

    def told(self, channel: str, teller: str, told: Told) -> None:
        """A room was told something."""
        kept = self._rooms.get(channel)
        if kept is not None and told.number:
            kept.add(teller, told)

    def catch_up(self, socket: Socket, positions: Positions) -> None:
        """Tell a socket that has arrived what its rooms were told since it was let go.

        Where that is not known, it is to ask for the room's state anew.
        """
        for room in sorted(socket.rooms):
            channel = channel_of(room, socket.namespace)
            kept, position = self._rooms.get(channel), positions.get(channel)
            told = kept.after(position) if kept is not None and position is not None else None
            if told is None:
                socket.emit("room:interrupted", RoomInterrupted(room=room))
            for one in told or ():
                _tell(socket, one)

    async def echo(self) -> bool:
        """Wait until what was said by anybody up to now is heard here. False: that is not known."""
        number = next(self._numbers)
        heard = self._echoes[number] = asyncio.get_running_loop().create_future()
        try:
            if not self._exchange.say(self._exchange.me, _TOPIC, number):
                return False
            async with asyncio.timeout(ECHO_S):
                await heard
        except TimeoutError:
            return False
        else:
            return True
        finally:
            del self._echoes[number]

    def _heard_echo(self, _sender: str, body: msgspec.Raw) -> None:
        heard = self._echoes.get(_decode_number(body))
        if heard is not None and not heard.done():
            heard.set_result(None)


def _tell(socket: Socket, told: Told) -> None:
    """Tell one socket what its room was told."""
    event, data = told.event, told.data
    if told.how == NOTICE:
        socket.emit(event, data)
    elif told.how == ITEM:
        socket.emit(event, Items([data]))
    else:
        socket.deliver(Outgoing(socket.namespace, event, (data,)))
