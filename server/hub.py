"""Rooms: broadcasts that are encoded once, and state events of which only the newest counts.

A small room is served at once. A large one is served in slices, so that bets and cash-outs go on in
between: a write costs about 10 microseconds, and ten thousand in a row would hold the loop for
100 ms. After a pass over its members a large room rests, for longer the larger it is; what is
emitted to it meanwhile leaves in the next pass, in order, each member's share in one write.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import TOO_MANY_ROOMS, Failure
from protocol.outgoing import JSON, Outgoing, form
from server.sockets.deadlines import SLICE_S, Deadlines

if TYPE_CHECKING:
    from server.sockets.socket import Socket

_LOG = logging.getLogger(__name__)

# Served within one tick: a hundred writes are a millisecond.
MAX_SMALL_ROOM: Final = 100
# How many members are served between two looks at the clock.
_STRIDE: Final = 8
# From the start of one pass over a room of 10,000 to that of the next. It is in proportion for
# others, and never longer: a pass over more takes longer than that by itself.
FULL_PASS_INTERVAL_S: Final = 1.0
FULL_PASS_MEMBERS: Final = 10_000
# State events: at most 20 a second for each key.
UPDATE_INTERVAL_S: Final = 0.05
# Events that wait for a large room's next pass. When there are as many it begins at once; while one
# is under way the oldest volatile event is dropped, or else the oldest of all, and counted.
MAX_WAITING: Final = 256
# Newest states that a room keeps for members that come back: a player has one for each currency.
# Past it the one that was new longest ago is forgotten.
MAX_STATES: Final = 64
# Tells the numbers of this process from those of an earlier one.
_EPOCH_BYTES: Final = 6
_PLAIN: Final = form(JSON, with_offset=False)
# A player is in a few rooms, an operator in dozens. More: `Failure` too_many_rooms.
MAX_ROOMS_PER_SOCKET: Final = 256


class Emission(NamedTuple):
    """One event on its way to a large room's members. `order` counts those of its room."""

    order: int
    event: Outgoing
    skip: Socket | None
    volatile: bool


class StateKey(NamedTuple):
    """What a state event is about: a newer one replaces an older one of the same key."""

    namespace: str
    room: str
    event: str
    key: object


class Room:
    """Who is inside. A member gets what was emitted after it joined, and while it is inside."""

    __slots__ = (
        "awaited",
        "busy",
        "emitted",
        "lost",
        "members",
        "name",
        "number",
        "recovering",
        "rest",
        "rested_at",
        "serving",
        "states",
        "waiting",
    )

    def __init__(self, number: int, name: str) -> None:
        # Newer rooms of a process have higher numbers.
        self.number = number
        self.name = name
        # Each with the order of the first emission that it has not got.
        self.members: dict[Socket, int] = {}
        self.emitted = 0
        # The order of the newest emission that was dropped.
        self.lost = -1
        # A list, as most rooms are a player's own and an empty deque takes half a kilobyte.
        self.waiting: list[Emission] = []
        # What the pass under way is serving.
        self.serving: tuple[Emission, ...] = ()
        # A pass is under way, or the room rests and something waits.
        self.busy = False
        self.rested_at = 0.0
        self.rest: asyncio.TimerHandle | None = None
        # How many members may come back; for them the newest states are kept.
        self.recovering = 0
        # How many of them are away now.
        self.awaited = 0
        self.states: dict[tuple[str, object], object] = {}

    def remember(self, event: str, key: object, data: object) -> None:
        """Keep the newest state."""
        state = (event, key)
        self.states.pop(state, None)
        self.states[state] = data
        if len(self.states) > MAX_STATES:
            del self.states[next(iter(self.states))]


class Hub:
    """All rooms of this process. Made inside the running loop."""

    __slots__ = (
        "_loop",
        "_number",
        "_passes",
        "_pending",
        "_recent",
        "_room_number",
        "_rooms",
        "dropped",
        "emitted",
        "epoch",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rooms: dict[str, dict[str, Room]] = {}
        self._room_number = 0
        # The large rooms being served, each by the generator of its pass.
        self._passes: deque[Iterator[None]] = deque()
        # Keys that were sent within the last interval, and what has come for them since. Each
        # pending key is a recent one, so that both are bounded by the updates of one interval.
        self._recent: Deadlines[StateKey] = Deadlines(UPDATE_INTERVAL_S, self._update_due)
        self._pending: dict[StateKey, tuple[object, Socket | None]] = {}
        self.epoch = secrets.token_hex(_EPOCH_BYTES)
        self._number = 0
        self.emitted = 0
        self.dropped = 0

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
            target = rooms[room] = Room(self._room_number, room)
        target.members[socket] = target.emitted
        target.recovering += socket.history is not None

    def leave(self, socket: Socket, room: str) -> None:
        """Take a socket out of a room. Harmless if it is not inside."""
        if room not in socket.rooms:
            return
        socket.rooms.discard(room)
        rooms = self._rooms[socket.namespace]
        target = rooms[room]
        del target.members[socket]
        target.recovering -= socket.history is not None
        target.awaited -= socket.awaited
        if not target.recovering:
            target.states.clear()
        if not target.members:
            del rooms[room]

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
                _deliver(target, socket, owed)

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
    ) -> None:
        """Send an event to everyone inside but `skip`. The room's order is kept.

        A volatile event passes by sockets that cannot take it now.
        """
        target = self._find(namespace, room)
        if target is None:
            return
        make = Outgoing if volatile else self.outgoing
        self._emit(target, make(namespace, event, (data,)), skip, volatile)

    def _emit(self, target: Room, event: Outgoing, skip: Socket | None, volatile: bool) -> None:
        self.emitted += 1
        if len(target.members) > MAX_SMALL_ROOM or target.busy:
            self._emit_to_large(target, event, skip, volatile)
            return
        for socket in tuple(target.members):
            if socket is not skip and not (volatile and not socket.connection.writable):
                socket.deliver(event)

    def _emit_to_large(
        self, target: Room, event: Outgoing, skip: Socket | None, volatile: bool
    ) -> None:
        # Whoever emits what cannot be encoded is to know it.
        event.encoded(_PLAIN)
        if len(target.waiting) >= MAX_WAITING:
            self._drop_one(target)
        target.waiting.append(Emission(target.emitted, event, skip, volatile))
        target.emitted += 1
        if not target.busy:
            target.busy = True
            self._begin_pass_after_rest(target)
        elif target.rest is not None and len(target.waiting) >= MAX_WAITING:
            target.rest.cancel()
            self._begin_pass(target)

    def _drop_one(self, target: Room) -> None:
        """Too much waits: drop what counts least."""
        self.dropped += 1
        for index, emission in enumerate(target.waiting):
            if emission.volatile:
                del target.waiting[index]
                return
        target.lost = target.waiting.pop(0).order

    def _begin_pass_after_rest(self, target: Room) -> None:
        if self._loop.time() < target.rested_at:
            target.rest = self._loop.call_at(target.rested_at, self._begin_pass, target)
        else:
            self._begin_pass(target)

    def _begin_pass(self, target: Room) -> None:
        target.rest = None
        share = min(1.0, len(target.members) / FULL_PASS_MEMBERS)
        target.rested_at = self._loop.time() + share * FULL_PASS_INTERVAL_S
        self._passes.append(self._serve(target))
        if len(self._passes) == 1:
            self._loop.call_soon(self._run_slice)

    def _run_slice(self) -> None:
        """Serve large rooms, in turns, until the slice is over."""
        end = self._loop.time() + SLICE_S
        while self._passes:
            current = self._passes[0]
            if next(current, _DONE) is _DONE:
                self._passes.popleft()
            else:
                self._passes.rotate(-1)
            if self._loop.time() >= end:
                break
        if self._passes:
            self._loop.call_soon(self._run_slice)

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
            self._emit(target, Outgoing(state.namespace, state.event, (data,)), origin, False)

    def _update_due(self, state: StateKey, _due_at: float) -> None:
        waiting = self._pending.pop(state, None)
        if waiting is not None:
            self._send_update(state, *waiting)

    def close(self) -> None:
        """Stop the timer; nothing is sent any more."""
        self._recent.close()
        self._pending.clear()
        self._passes.clear()

    def _serve(self, target: Room) -> Iterator[None]:
        """One pass over a room's members, in which each gets all that waits; yields every few."""
        target.serving = tuple(target.waiting)
        target.waiting.clear()
        try:
            for count, socket in enumerate(tuple(target.members), 1):
                if socket in target.members:
                    _deliver(target, socket, target.serving)
                if count % _STRIDE == 0:
                    yield
        except Exception:  # noqa: BLE001 - an event that cannot be encoded must not end the others
            _LOG.exception("a pass over the room %s was cut short", target.name)
        target.serving = ()
        target.busy = bool(target.waiting)
        if target.busy:
            self._begin_pass_after_rest(target)


_DONE: Final = object()


def _deliver(target: Room, socket: Socket, emissions: Sequence[Emission]) -> None:
    """Give a member of a large room what it has not got of some emissions, in one write."""
    first = target.members[socket]
    if first <= target.lost and socket.history is not None:
        socket.history.tear()
    for order, event, skip, volatile in emissions:
        if order < first or socket is skip:
            continue
        if not volatile or socket.connection.writable:
            socket.deliver(event)
    if emissions:
        target.members[socket] = max(first, emissions[-1].order + 1)
        socket.connection.flush()
