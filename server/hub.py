"""Rooms: broadcasts that are encoded once, and state events of which only the newest counts.

A small room is served at once. A large one is served in slices, so that bets and cash-outs go on in
between: a write costs about 10 microseconds, and ten thousand in a row would hold the loop for
100 ms. What is emitted to a room while it is being served waits and leaves in the next pass, in
order, each member's share in one write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol import socketio
from protocol.errors import TOO_MANY_ROOMS, Failure
from protocol.socketio import Encoded
from server.sockets.deadlines import SLICE_S, Deadlines

if TYPE_CHECKING:
    from server.sockets.socket import Socket

# Served within one tick: a hundred writes are a millisecond.
MAX_SMALL_ROOM: Final = 100
# How many members are served between two looks at the clock.
_STRIDE: Final = 8
# State events: at most 20 a second for each key.
UPDATE_INTERVAL_S: Final = 0.05
# Packets that wait for a large room's next pass. A pass over 10,000 members takes under a second,
# and nothing speaks to a room this often; past it the oldest is dropped and counted in `dropped`.
# A member notices by the gap in the room's numbering.
MAX_WAITING: Final = 256
# A player is in a few rooms, an operator in dozens. More: `Failure` too_many_rooms.
MAX_ROOMS_PER_SOCKET: Final = 256


class Emission(NamedTuple):
    """One packet on its way to a large room's members."""

    number: int
    packets: Encoded
    skip: Socket | None
    volatile: bool


class StateKey(NamedTuple):
    """What a state event is about: a newer one replaces an older one of the same key."""

    namespace: str
    room: str
    event: str
    key: object


class _Room:
    """Who is inside. A member gets what was emitted after it joined, and while it is inside."""

    __slots__ = ("busy", "emitted", "members", "waiting")

    def __init__(self) -> None:
        # Each with the number of the first emission that is for it.
        self.members: dict[Socket, int] = {}
        self.emitted = 0
        self.waiting: deque[Emission] = deque()
        self.busy = False


class Hub:
    """All rooms of this process. Made inside the running loop."""

    __slots__ = ("_loop", "_passes", "_pending", "_recent", "_rooms", "dropped", "emitted")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rooms: dict[str, dict[str, _Room]] = {}
        # The large rooms being served, each by the generator of its pass.
        self._passes: deque[Iterator[None]] = deque()
        # Keys that were sent within the last interval, and what has come for them since. Each
        # pending key is a recent one, so that both are bounded by the updates of one interval.
        self._recent: Deadlines[StateKey] = Deadlines(UPDATE_INTERVAL_S, self._update_due)
        self._pending: dict[StateKey, tuple[object, Socket | None]] = {}
        self.emitted = 0
        self.dropped = 0

    # Membership.

    def join(self, socket: Socket, room: str) -> None:
        """Put a socket into a room of its namespace. Raises `Failure` past the bound of rooms."""
        if room in socket.rooms:
            return
        if len(socket.rooms) >= MAX_ROOMS_PER_SOCKET:
            raise Failure(TOO_MANY_ROOMS, limit=MAX_ROOMS_PER_SOCKET)
        socket.rooms.add(room)
        rooms = self._rooms.setdefault(socket.namespace, {})
        target = rooms.get(room)
        if target is None:
            target = rooms[room] = _Room()
        target.members[socket] = target.emitted

    def leave(self, socket: Socket, room: str) -> None:
        """Take a socket out of a room. Harmless if it is not inside."""
        if room not in socket.rooms:
            return
        socket.rooms.discard(room)
        rooms = self._rooms[socket.namespace]
        target = rooms[room]
        del target.members[socket]
        if not target.members:
            del rooms[room]

    def leave_all(self, socket: Socket) -> None:
        """Take a socket out of every room."""
        for room in tuple(socket.rooms):
            self.leave(socket, room)

    def sockets_of(self, namespace: str, room: str) -> list[Socket]:
        """The sockets inside, in the order they came."""
        target = self._find(namespace, room)
        return list(target.members) if target is not None else []

    @property
    def rooms(self) -> int:
        """How many rooms have anyone inside."""
        return sum(map(len, self._rooms.values()))

    def _find(self, namespace: str, room: str) -> _Room | None:
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
        packets = socketio.encode_event(namespace, event, (data,))
        self.emitted += 1
        if len(target.members) > MAX_SMALL_ROOM or target.busy:
            self._emit_to_large(target, packets, skip, volatile)
            return
        for socket in tuple(target.members):
            if socket is not skip and not (volatile and not socket.connection.writable):
                socket.deliver(packets)

    def _emit_to_large(
        self, target: _Room, packets: Encoded, skip: Socket | None, volatile: bool
    ) -> None:
        if len(target.waiting) >= MAX_WAITING:
            target.waiting.popleft()
            self.dropped += 1
        target.waiting.append(Emission(target.emitted, packets, skip, volatile))
        target.emitted += 1
        if not target.busy:
            target.busy = True
            self._passes.append(_serve(target))
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
        self.emit(state.namespace, state.room, state.event, data, origin)

    def _update_due(self, state: StateKey, _due_at: float) -> None:
        waiting = self._pending.pop(state, None)
        if waiting is not None:
            self._send_update(state, *waiting)

    def close(self) -> None:
        """Stop the timer; nothing is sent any more."""
        self._recent.close()
        self._pending.clear()
        self._passes.clear()


_DONE: Final = object()


def _serve(room: _Room) -> Iterator[None]:
    """Pass after pass over a room's members until nothing waits; yields every few members."""
    while room.waiting:
        batch = tuple(room.waiting)
        room.waiting.clear()
        for count, socket in enumerate(tuple(room.members), 1):
            first = room.members.get(socket)
            if first is not None:
                _deliver(socket, batch, first)
            if count % _STRIDE == 0:
                yield
    room.busy = False


def _deliver(socket: Socket, batch: tuple[Emission, ...], first: int) -> None:
    for number, packets, skip, volatile in batch:
        if number < first or socket is skip:
            continue
        if not volatile or socket.connection.writable:
            socket.deliver(packets)
    socket.connection.flush()
