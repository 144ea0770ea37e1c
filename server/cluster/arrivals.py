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
from server.cluster.room_event import ITEM, LOST, NOTICE, RoomEvent, channel_of
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

    __slots__ = ("events", "followers", "forgotten")

    def __init__(self) -> None:
        self.followers = 0
        self.events: deque[tuple[str, RoomEvent]] = deque()
        # The last number of each teller that is not kept any more.
        self.forgotten: dict[str, int] = {}

    def add(self, teller: str, event: RoomEvent) -> None:
        self.events.append((teller, event))
        if len(self.events) > MAX_KEPT:
            oldest, gone = self.events.popleft()
            self.forgotten[oldest] = gone.number

    def after(self, position: Position) -> list[RoomEvent] | None:
        """What came after a position; None if some of it is not known."""
        if any(number > position.get(teller, 0) for teller, number in self.forgotten.items()):
            return None
        reached = dict(position)
        found = []
        for teller, event in self.events:
            last = reached.get(teller, 0)
            if event.number <= last:
                continue
            if event.kind == LOST or (last and event.previous not in (0, last)):
                return None
            reached[teller] = event.number
            found.append(event)
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

    def told(self, channel: str, teller: str, event: RoomEvent) -> None:
        """A room was told something."""
        kept = self._rooms.get(channel)
        if kept is not None and event.number:
            kept.add(teller, event)

    def catch_up(self, socket: Socket, positions: Positions) -> None:
        """Tell a socket that has arrived what its rooms were told since it was let go.

        Where that is not known, it is to ask for the room's state anew.
        """
        for room in sorted(socket.rooms):
            channel = channel_of(room, socket.namespace)
            kept, position = self._rooms.get(channel), positions.get(channel)
            events = kept.after(position) if kept is not None and position is not None else None
            if events is None:
                socket.emit("room:interrupted", RoomInterrupted(room=room))
            for event in events or ():
                _tell(socket, event)

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


def _tell(socket: Socket, event: RoomEvent) -> None:
    """Tell one socket what its room was told."""
    name, data = event.name, event.data
    if event.kind == NOTICE:
        socket.emit(name, data)
    elif event.kind == ITEM:
        socket.emit(name, Items([data]))
    else:
        socket.deliver(Outgoing(socket.namespace, name, (data,)))
