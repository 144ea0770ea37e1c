"""Rooms across nodes: what is told anywhere reaches the members that a room has here.

A room is subscribed to on the bus while anybody is inside. The bus delivers at most once, and
stores nothing. So everything that may not be missed carries a number: each member of the cluster
counts what it tells, and says with each thing which number it told the same room before. A room
where a number is missing, or whose bus was away, is told `room:interrupted`: its members ask for
its state anew.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from actors.decision import Announcement
from actors.runtime.exchange import Exchange
from protocol.commands.node import RoomInterrupted
from server.cluster.arrivals import Arrivals
from server.cluster.publisher import TOPIC, RoomPublisher
from server.cluster.room_event import (
    FAREWELL,
    HERE,
    ITEM,
    LOST,
    LOST_MUCH,
    NOTICE,
    STATE,
    RoomEvent,
    channel_of,
    decode,
)
from server.floor import Publishing
from server.hub import Hub
from server.sockets.slices import Slices
from server.sockets.socket import Socket

# Members whose numbers are known in one room: a table has one at a time, and nodes come and go. The
# one that was heard longest ago is forgotten; what it tells next is taken as its beginning.
MAX_TELLERS: Final = 64

_decode_word = msgspec.msgpack.Decoder(str).decode


def _nobody(_ask_id: int) -> None:
    """The socket behind an ask, where none is known."""


class FarRooms:
    """The rooms of one member of a cluster, as its actors and its sockets see them.

    `origin_of` finds the socket behind an ask of this member that was just answered.
    """

    def __init__(
        self,
        exchange: Exchange,
        hub: Hub,
        members_elsewhere: Callable[[], bool],
        origin_of: Callable[[int], object | None] = _nobody,
    ) -> None:
        self._exchange = exchange
        self._hub = hub
        self._origin_of = origin_of
        self._here = Publishing(hub)
        self.arrivals = Arrivals(exchange)
        self.publisher = RoomPublisher(exchange, members_elsewhere, self._published)
        # The rooms that have members here, each with the last number of whoever tells it things;
        # None as long as nobody elsewhere has. There are as many as the hub has.
        self._open: dict[str, dict[str, int] | None] = {}
        # Rooms that are to be told that they were interrupted, each once.
        self._interrupted: set[str] = set()
        self._interruptions: Slices[str] = Slices(self._interrupt)
        self.heard = 0
        """How often a room here was told something by another member."""
        self.gaps = 0
        """How often a number was missing."""
        self.interrupted = 0
        """How often a room here was told that it may have missed something."""
        exchange.listen(TOPIC, self._heard_word)
        exchange.listen_rooms(self._heard)
        exchange.on_joined(self._joined)
        exchange.on_parted(self.publisher.parted)
        hub.watch(self)

    # What our actors tell.

    def publish(self, push: Announcement, origin: object | None) -> None:
        """Tell a room, here and elsewhere. The socket that asked knows a state from its answer."""
        self._here.publish(push, origin)
        self.publisher.publish(push, origin)

    # Which rooms are heard.

    def room_opened(self, namespace: str, room: str) -> None:
        """Hear it, before anything is asked of its actor."""
        channel = channel_of(room, namespace)
        self._open[channel] = None
        self._exchange.subscribe(channel)

    def room_closed(self, namespace: str, room: str) -> None:
        """Hear it no more."""
        channel = channel_of(room, namespace)
        del self._open[channel]
        if channel not in self.arrivals:
            self._exchange.unsubscribe(channel)

    # Members that come from other nodes, or go there.

    def position(self, channel: str) -> dict[str, int]:
        """How far the members of a room have been told here."""
        position = dict(self._open.get(channel) or {})
        number = self.publisher.number_of(channel)
        return {**position, self._exchange.me: number} if number else position

    def unfollow(self, channels: Iterable[str]) -> None:
        """Members of these rooms have arrived, or do not come."""
        for channel in self.arrivals.unfollow(channels):
            if channel not in self._open:
                self._exchange.unsubscribe(channel)

    def _published(self, channel: str, event: RoomEvent) -> None:
        self.arrivals.told(channel, self._exchange.me, event)

    # What is heard.

    def _heard(self, channel: str, sender: str, body: msgspec.Raw) -> None:
        self.publisher.heard_of_others()
        if channel not in self._open and channel not in self.arrivals:
            # Its last member has left while this was on its way.
            return
        self.heard += 1
        event = decode(body)
        self.arrivals.told(channel, sender, event)
        if channel not in self._open:
            return
        if event.number and not self._follows(channel, sender, event):
            self._interrupt(channel)
        self._tell(channel, event)

    def _follows(self, channel: str, sender: str, event: RoomEvent) -> bool:
        """Whether nothing is missing between this and what the same member told before."""
        numbers = self._open[channel]
        if numbers is None:
            numbers = self._open[channel] = {}
        known = numbers.pop(sender, None)
        numbers[sender] = event.number
        if len(numbers) > MAX_TELLERS:
            del numbers[next(iter(numbers))]
        if event.kind != LOST and (known is None or event.previous in (0, known)):
            # What is lost while a member has forgotten its number, it says itself.
            return True
        self.gaps += 1
        return False

    def _tell(self, channel: str, event: RoomEvent) -> None:
        namespace, _, room = channel.partition(" ")
        hub, name, data = self._hub, event.name, event.data
        if event.kind == STATE:
            origin = self._origin(event)
            hub.update(namespace, room, name, event.key, data, origin=origin)
        elif event.kind == NOTICE:
            volatile = not event.number
            hub.emit(namespace, room, name, data, volatile=volatile, urgent=event.urgent)
        elif event.kind == ITEM:
            hub.gather(namespace, room, name, data)

    def _origin(self, event: RoomEvent) -> Socket | None:
        if event.origin is None or event.origin[0] != self._exchange.me:
            return None
        found = self._origin_of(event.origin[1])
        return found if isinstance(found, Socket) else None

    # What is missed.

    def _joined(self) -> None:
        self._exchange.say_all(TOPIC, HERE)
        for channel in self._open:
            self._open[channel] = None
        self._interrupt_all()
        self.publisher.joined()

    def _heard_word(self, sender: str, body: msgspec.Raw) -> None:
        self.publisher.heard_of_others()
        word = _decode_word(body)
        if word == LOST_MUCH:
            self._interrupt_all()
        elif word == FAREWELL:
            self._forget(sender)

    def gone(self, member: str) -> None:
        """A member is seen no more. What it said last may be lost, unless it said farewell."""
        for channel in self._forget(member):
            self._interrupt_soon(channel)

    def _forget(self, member: str) -> list[str]:
        """Forget a member's numbers; returns the rooms that had any."""
        return [
            channel
            for channel, numbers in self._open.items()
            if numbers is not None and numbers.pop(member, None) is not None
        ]

    def _interrupt_all(self) -> None:
        for channel in self._open:
            self._interrupt_soon(channel)

    def _interrupt_soon(self, channel: str) -> None:
        if channel not in self._interrupted:
            self._interrupted.add(channel)
            self._interruptions.add(channel)

    def _interrupt(self, channel: str) -> None:
        self._interrupted.discard(channel)
        if channel not in self._open:
            return
        self.interrupted += 1
        namespace, _, room = channel.partition(" ")
        self._hub.emit(namespace, room, "room:interrupted", RoomInterrupted(room=room))

    def close(self) -> None:
        """Say what waits to be said, and that this was all."""
        self.publisher.close()
        if self.publisher.owes_nothing:
            self._exchange.say_all(TOPIC, FAREWELL)
