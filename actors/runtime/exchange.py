"""Who is spoken to about what: the bus, divided into topics."""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from actors.runtime.ports import Bus
from actors.runtime.reminder import Reminder
from actors.runtime.seal import Seal

log = logging.getLogger(__name__)

Callback = Callable[[str, msgspec.Raw], None]
"""Takes the member that speaks, and what it says, still encoded."""
RoomCallback = Callable[[str, str, msgspec.Raw], None]
"""Takes the room, the member that speaks, and what it says, still encoded."""


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What travels: of what topic it is, who says it, and what."""

    topic: str
    sender: str
    body: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode

# The topic of what rooms are told; each member has one listener for all of them.
_ROOM = "room"
# Where something is said, as its seal has it.
_TO_MEMBER = b"to:"
_TO_ALL = b"all"
_TO_ROOM = b"room:"


class Exchange:
    """One member's way to speak with others, and to hear them. Topics are few and ours.

    What was not sealed with the cluster's `key` is dropped and counted, for a stranger may have
    said it. What cannot be read, which another version may send, is dropped too. Both are logged
    now and then; a listener that fails harms no other.
    """

    def __init__(self, me: str, bus: Bus, key: bytes = b"") -> None:
        self.me = me
        self.forged = 0
        """Frames that did not bear the cluster's seal."""
        self._bus = bus
        self._seal = Seal(key)
        self._forged_reminder = Reminder()
        # Sealed frames that are no envelopes.
        self._unreadable = 0
        self._unreadable_reminder = Reminder()
        self._to_me = _TO_MEMBER + me.encode()
        self._listeners: dict[str, Callback] = {}
        self._room_listener: RoomCallback | None = None
        self._joined: list[Callable[[], None]] = []
        self._parted: list[Callable[[], None]] = []
        bus.bind(self)

    @property
    def connected(self) -> bool:
        """Whether anybody can be spoken to."""
        return self._bus.connected

    def listen(self, topic: str, callback: Callback) -> None:
        """Have a topic's words given to `callback`. Each topic has one listener."""
        assert topic not in self._listeners, f"two listen to {topic}"
        self._listeners[topic] = callback

    def listen_rooms(self, callback: RoomCallback) -> None:
        """Have what rooms are told given to `callback`."""
        assert self._room_listener is None, "two listen to rooms"
        self._room_listener = callback

    def on_joined(self, callback: Callable[[], None]) -> None:
        """Call when the bus is there, or there again: what was said meanwhile was missed."""
        self._joined.append(callback)

    def on_parted(self, callback: Callable[[], None]) -> None:
        """Call when the bus has gone."""
        self._parted.append(callback)

    def say(self, member: str, topic: str, body: Any) -> bool:
        """Say something to one member. False: it was certainly not sent, and will not be."""
        return self._bus.post(member, self._framed(_TO_MEMBER + member.encode(), topic, body))

    def say_all(self, topic: str, body: Any) -> bool:
        """Say something to all other members."""
        return self._bus.post_all(self._framed(_TO_ALL, topic, body))

    def publish(self, room: str, body: Any) -> bool:
        """Say something to the other members that have subscribed to a room."""
        return self._bus.publish(room, self._framed(_TO_ROOM + room.encode(), _ROOM, body))

    def subscribe(self, room: str) -> None:
        """Hear a room: in force before whatever is said later."""
        self._bus.subscribe(room)

    def unsubscribe(self, room: str) -> None:
        """Hear a room no more."""
        self._bus.unsubscribe(room)

    def _framed(self, destination: bytes, topic: str, body: Any) -> bytes:
        return self._seal.sealed(destination, _encode((topic, self.me, body)))

    def _opened(self, frame: bytes, *destinations: bytes) -> Envelope | None:
        """What was said to one of these destinations, if a member said it."""
        for destination in destinations:
            said = self._seal.opened(destination, frame)
            if said is not None:
                return self._read(said)
        self.forged += 1
        if self._forged_reminder.due():
            log.warning(
                "somebody without this cluster's JWT secret speaks on its bus: %d frames dropped",
                self.forged,
            )
        return None

    def _read(self, said: bytes) -> Envelope | None:
        try:
            return _decode(said)
        except msgspec.DecodeError as error:
            self._unreadable += 1
            if self._unreadable_reminder.due():
                log.warning(
                    "frames cannot be read, %d so far, the last of %d bytes: %s",
                    self._unreadable,
                    len(said),
                    error,
                )
            return None

    # What the bus calls.

    def heard(self, frame: bytes) -> None:
        """Somebody said it to this member, or to all."""
        envelope = self._opened(frame, self._to_me, _TO_ALL)
        listener = None if envelope is None else self._listeners.get(envelope.topic)
        if envelope is None or listener is None:
            return
        try:
            listener(envelope.sender, envelope.body)
        except Exception:
            log.exception("what %s said of %s could not be taken", envelope.sender, envelope.topic)

    def heard_room(self, room: str, frame: bytes) -> None:
        """Somebody said it to a room."""
        envelope = self._opened(frame, _TO_ROOM + room.encode())
        if envelope is None or self._room_listener is None:
            return
        try:
            self._room_listener(room, envelope.sender, envelope.body)
        except Exception:
            log.exception("what %s told a room could not be taken", envelope.sender)

    def joined(self) -> None:
        """The bus is there."""
        _call(self._joined)

    def parted(self) -> None:
        """The bus has gone."""
        _call(self._parted)


def _call(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("the state of the bus could not be taken in")
