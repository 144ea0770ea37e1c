"""What rooms are told: broadcasts that are encoded once, lists, and states of which one counts.

A small room is served at once, a large one in passes (`server/rooms/passes.py`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from protocol.errors import TOO_MANY_ROOMS, Failure
from protocol.outgoing import Outgoing
from server.rooms.passes import Passes
from server.rooms.room import Room
from server.sockets.deadlines import Deadlines

if TYPE_CHECKING:
    from server.sockets.event_log import EventLog
    from server.sockets.socket import Socket

_LOG = logging.getLogger(__name__)

# State events: at most 20 a second for each key.
UPDATE_INTERVAL_S: Final = 0.05
# Lists of what happens to many: at most 10 a second for each room, as often as an eye follows them.
GATHER_INTERVAL_S: Final = 0.1
# Tells the numbers of this process from those of an earlier one.
_EPOCH_BYTES: Final = 6
# A player is in a few rooms, an operator in dozens. More: `Failure` too_many_rooms.
MAX_ROOMS_PER_SOCKET: Final = 256


class StateKey(NamedTuple):
    """What a state event is about: a newer one replaces an older one of the same key."""

    namespace: str
    room: str
    event: str
    key: object


class RoomWatcher(Protocol):
    """Who wants to know which rooms have anyone inside."""

    def room_opened(self, namespace: str, room: str) -> None:
        """Its first member is coming."""

    def room_closed(self, namespace: str, room: str) -> None:
        """Its last one has left."""


class Hub:
    """All rooms of this process. Made inside the running loop."""

    __slots__ = (
        "_gathering",
        "_loop",
        "_number",
        "_passes",
        "_pending",
        "_recent",
        "_room_number",
        "_rooms",
        "_watcher",
        "emitted",
        "epoch",
        "event_log",
        "unlisted",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rooms: dict[str, dict[str, Room]] = {}
        self._room_number = 0
        self._watcher: RoomWatcher | None = None
        self._passes = Passes(self._tell_gathered)
        # Rooms that are to be told what has been gathered.
        self._gathering: Deadlines[Room] = Deadlines(GATHER_INTERVAL_S, self._gathering_due)
        # Keys that were sent within the last interval, and what has come for them since. Each
        # pending key is a recent one, so that both are bounded by the updates of one interval.
        self._recent: Deadlines[StateKey] = Deadlines(UPDATE_INTERVAL_S, self._update_due)
        self._pending: dict[StateKey, tuple[object, Socket | None]] = {}
        # Where it is written down for other nodes, in a cluster.
        self.event_log: EventLog | None = None
        self.epoch = secrets.token_hex(_EPOCH_BYTES)
        self._number = 0
        self.emitted = 0
        self.unlisted = 0

    @property
    def dropped(self) -> int:
        """How many events were dropped on their way to a large room."""
        return self._passes.dropped

    # Numbers.

    @property
    def number(self) -> int:
        """The number of the newest event that may have to be sent again."""
        return self._number

    def now(self) -> float:
        """The clock of events, in seconds."""
        return self._loop.time()

    def outgoing(self, namespace: str, event: str, args: Sequence[object]) -> Outgoing:
        """An event with the next number."""
        self._number += 1
        return Outgoing(namespace, event, args, self._number, self.epoch, self._loop.time())

    # Membership.

    def watch(self, watcher: RoomWatcher) -> None:
        """Tell somebody from now on which rooms open and close."""
        self._watcher = watcher

    def join(self, socket: Socket, room: str) -> None:
        """Put a socket into a room of its namespace. Raises `Failure` past the bound of rooms."""
        if room in socket.rooms:
            return
        if len(socket.rooms) >= MAX_ROOMS_PER_SOCKET:
            raise Failure(TOO_MANY_ROOMS, limit=MAX_ROOMS_PER_SOCKET)
        self._enter(socket, room)

    def _enter(self, socket: Socket, room: str) -> None:
        socket.rooms.add(room)
        rooms = self._rooms.setdefault(socket.namespace, {})
        target = rooms.get(room)
        if target is None:
            self._room_number += 1
            target = rooms[room] = Room(self._room_number, socket.namespace, room)
            if self._watcher is not None:
                self._watcher.room_opened(socket.namespace, room)
        target.members[socket] = target.emitted
        target.recovering += socket.history is not None
        if self.event_log is not None:
            self.event_log.entered(socket, room)

    def leave(self, socket: Socket, room: str) -> None:
        """Take a socket out of a room. Harmless if it is not inside."""
        if room not in socket.rooms:
            return
        socket.rooms.discard(room)
        if self.event_log is not None:
            self.event_log.left(socket, room)
        rooms = self._rooms[socket.namespace]
        target = rooms[room]
        del target.members[socket]
        target.recovering -= socket.history is not None
        target.awaited -= socket.awaited
        if not target.recovering:
            target.states.clear()
        if not target.members:
            del rooms[room]
            self._gathering.discard(target)
            if self._watcher is not None:
                self._watcher.room_closed(socket.namespace, room)

    def leave_all(self, socket: Socket) -> None:
        """Take a socket out of every room."""
        for room in tuple(socket.rooms):
            self.leave(socket, room)

    def awaiting(self, socket: Socket) -> None:
        """A socket is away and stays in its rooms, until it leaves them."""
        for room in socket.rooms:
            self._rooms[socket.namespace][room].awaited += 1

    def catch_up(self, socket: Socket) -> None:
        """Give a socket now what the passes over its large rooms still owe it."""
        for room in socket.rooms:
            target = self._rooms[socket.namespace][room]
            if target.busy:
                owed = (*target.serving, *target.waiting)
                target.give(socket, owed)

    def settle(self, socket: Socket) -> None:
        """Give a socket now all that its rooms were told, or were to be told soon."""
        for room in socket.rooms:
            self.hasten(socket.namespace, room)
        for state in tuple(self._pending):
            if state.room in socket.rooms and state.namespace == socket.namespace:
                self._update_due(state, self._loop.time())
        self.catch_up(socket)

    def hasten(self, namespace: str, room: str) -> None:
        """Tell a room now what has been gathered for it."""
        target = self._find(namespace, room)
        if target is not None:
            self._tell_gathered(target)

    def hand_over(self, gone: Socket, heir: Socket) -> None:
        """Put a socket where another was that has caught up and leaves."""
        for room in tuple(gone.rooms):
            if room not in heir.rooms:
                self._enter(heir, room)
            target = self._rooms[gone.namespace][room]
            target.members[heir] = target.members[gone]
            self.leave(gone, room)

    def states(self, socket: Socket) -> Iterator[Outgoing]:
        """The newest states that a socket's rooms were told, for one that has come back."""
        rooms = self._rooms.get(socket.namespace, {})
        for room in socket.rooms:
            for (event, _), data in rooms[room].states.items():
                yield Outgoing(socket.namespace, event, (data,))

    def sockets_of(self, namespace: str, room: str) -> list[Socket]:
        """The sockets inside, in the order they came; those that may come back among them."""
        target = self._find(namespace, room)
        return list(target.members) if target is not None else []

    def occupied(self, namespace: str, room: str) -> bool:
        """Whether anyone is inside."""
        return self._find(namespace, room) is not None

    @property
    def rooms(self) -> int:
        """How many rooms have anyone inside."""
        return sum(map(len, self._rooms.values()))

    def rooms_of(self, namespace: str) -> list[Room]:
        """The rooms of a namespace that have anyone inside, oldest first."""
        return list(self._rooms.get(namespace, {}).values())

    def _find(self, namespace: str, room: str) -> Room | None:
        rooms = self._rooms.get(namespace)
        return rooms.get(room) if rooms is not None else None

    # Broadcasts.

    def emit(
        self,
        namespace: str,
        room: str,
        event: str,
        data: object,
        skip: Socket | None = None,
        *,
        volatile: bool = False,
        urgent: bool = False,
    ) -> None:
        """Send an event to everyone inside but `skip`. The room's order is kept.

        A volatile event passes by sockets that cannot take it now, and has no order towards what is
        gathered. An urgent one does not wait for a large room's rest.
        """
        target = self._find(namespace, room)
        if target is None:
            return
        if not volatile:
            self._tell_gathered(target)
        make = Outgoing if volatile else self.outgoing
        self._emit(target, make(namespace, event, (data,)), skip, volatile, urgent)

    def _emit(
        self,
        target: Room,
        event: Outgoing,
        skip: Socket | None = None,
        volatile: bool = False,
        urgent: bool = False,
    ) -> None:
        self.emitted += 1
        if self.event_log is not None and target.recovering and event.number is not None:
            self.event_log.told(target, event, skip)
        if target.sliced:
            self._passes.emit(target, event, skip, volatile=volatile, urgent=urgent)
            return
        for socket in tuple(target.members):
            if socket is not skip and not (volatile and not socket.connection.writable):
                socket.deliver(event)

    # What happens to many.

    def gather(self, namespace: str, room: str, event: str, item: object) -> None:
        """Tell a room of one of many things, in a list with others of the same event.

        The lists leave at most 10 times a second, with the passes of a large room, and before
        whatever is emitted after their items. Of too many the rest is counted: in the list's
        `more`, and in `unlisted`.
        """
        target = self._find(namespace, room)
        if target is None:
            return
        if not target.gather(event, item):
            self.unlisted += 1
        if target not in self._gathering:
            self._gathering.add(target)

    def _gathering_due(self, target: Room, _due_at: float) -> None:
        if target.sliced:
            self._passes.want(target)
        else:
            self._tell_gathered(target)

    def _tell_gathered(self, target: Room) -> None:
        if target.gathered is None:
            return
        gathered, target.gathered = target.gathered, None
        self._gathering.discard(target)
        for event, items in gathered.items():
            try:
                self._emit(target, self.outgoing(target.namespace, event, (items,)))
            except Exception:  # noqa: BLE001 - what comes after the list must not be lost with it
                _LOG.exception("a list of %s could not be told", event)

    # State events.

    def update(
        self,
        namespace: str,
        room: str,
        event: str,
        key: object,
        data: object,
        *,
        origin: Socket | None = None,
    ) -> None:
        """Tell a room the newest state of `key`, at most 20 times a second.

        `origin` is skipped: its acknowledgement carries this state already.
        """
        target = self._find(namespace, room)
        if target is None:
            return
        members = target.members
        if target.recovering:
            target.remember(event, key, data)
        if origin in members and len(members) == 1:
            # Its acknowledgement is newer than anything that waits.
            if self._pending:
                self._pending.pop(StateKey(namespace, room, event, key), None)
            return
        state = StateKey(namespace, room, event, key)
        if state in self._recent:
            self._pending[state] = (data, origin)
        else:
            self._send_update(state, data, origin)

    def _send_update(self, state: StateKey, data: object, origin: Socket | None) -> None:
        self._recent.add(state)
        target = self._find(state.namespace, state.room)
        if target is not None:
            self._emit(target, Outgoing(state.namespace, state.event, (data,)), origin)

    def _update_due(self, state: StateKey, _due_at: float) -> None:
        waiting = self._pending.pop(state, None)
        if waiting is not None:
            self._send_update(state, *waiting)

    def close(self) -> None:
        """Stop the timers; nothing is sent any more."""
        self._recent.close()
        self._pending.clear()
        self._gathering.close()
        self._passes.close()
