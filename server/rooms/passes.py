"""How large rooms are served: in slices, so that bets and cash-outs go on in between.

A write costs about 10 microseconds, and ten thousand in a row would hold the loop for 100 ms. After
a pass over its members a large room rests, for longer the larger it is; what is emitted to it
meanwhile leaves in the next pass, in order, each member's share in one write.

An urgent event does not wait for that. It ends a rest, and comes along in a pass that is under way:
to members that are still to be served with what they get anyway, then to those that were served
before it came. So it reaches everybody within the time of one pass, whenever it comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from protocol.outgoing import JSON, Outgoing, form
from server.rooms.room import Emission, Room
from server.sockets.deadlines import SLICE_S

if TYPE_CHECKING:
    from server.sockets.socket import Socket

_LOG = logging.getLogger(__name__)

# How many members are served between two looks at the clock.
_STRIDE: Final = 8
# From the start of one pass over a room of 10,000 to that of the next. It is in proportion for
# others, and never longer: a pass over more takes longer than that by itself.
FULL_PASS_INTERVAL_S: Final = 1.0
FULL_PASS_MEMBERS: Final = 10_000
# Events that wait for a large room's next pass. When there are as many it begins at once; while one
# is under way the oldest volatile event is dropped, or else the oldest of all, and counted.
MAX_WAITING: Final = 256
# What a pass serves: all that waited when it began, and once more as much that came along with
# urgent events. Past it an urgent event waits for the next pass, like any other.
MAX_SERVING: Final = 2 * MAX_WAITING
_PLAIN: Final = form(JSON, with_offset=False)
_DONE: Final = object()


class Passes:
    """All passes of this process, under way and to come. Made inside the running loop.

    `complete` is called when a pass begins: it emits to the room what is to be told with it.
    """

    __slots__ = ("_complete", "_loop", "_under_way", "dropped")

    def __init__(self, complete: Callable[[Room], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._complete = complete
        # The rooms being served, each by the generator of its pass.
        self._under_way: deque[Iterator[None]] = deque()
        self.dropped = 0

    def emit(
        self, room: Room, event: Outgoing, skip: Socket | None, *, volatile: bool, urgent: bool
    ) -> None:
        """Put an event in line for a room's next pass; an urgent one begins it.

        A volatile one takes the place of the one of its name that waits: who is told so rarely is
        told the newest.
        """
        # Whoever emits what cannot be encoded is to know it.
        event.encoded(_PLAIN)
        if volatile:
            _forget(room, event.name)
        if len(room.waiting) >= MAX_WAITING:
            self._drop_one(room)
        room.waiting.append(Emission(room.emitted, event, skip, volatile))
        room.emitted += 1
        if urgent:
            self._hasten(room)
        else:
            self.want(room)

    def want(self, room: Room) -> None:
        """Begin a pass when the room has rested, or at once if too much waits."""
        if not room.busy:
            room.busy = True
            self._begin_after_rest(room)
        elif room.rest is not None and len(room.waiting) >= MAX_WAITING:
            self._begin(room)

    def close(self) -> None:
        """Serve nobody any more."""
        self._under_way.clear()

    def _hasten(self, room: Room) -> None:
        """Have a pass take along at once all that waits."""
        if not room.busy or room.rest is not None:
            room.busy = True
            self._begin(room)
        elif room.serving and len(room.serving) + len(room.waiting) <= MAX_SERVING:
            if room.behind is None:
                room.behind = room.waiting[0].order
            room.serving = (*room.serving, *room.waiting)
            room.waiting.clear()

    def _drop_one(self, room: Room) -> None:
        """Too much waits: drop what counts least."""
        self.dropped += 1
        for index, emission in enumerate(room.waiting):
            if emission.volatile:
                del room.waiting[index]
                return
        room.lost = room.waiting.pop(0).order

    def _begin_after_rest(self, room: Room) -> None:
        if self._loop.time() < room.rested_at:
            room.rest = self._loop.call_at(room.rested_at, self._begin, room)
        else:
            self._begin(room)

    def _begin(self, room: Room) -> None:
        if room.rest is not None:
            room.rest.cancel()
            room.rest = None
        share = min(1.0, len(room.members) / FULL_PASS_MEMBERS)
        room.rested_at = self._loop.time() + share * FULL_PASS_INTERVAL_S
        self._under_way.append(self._serve(room))
        if len(self._under_way) == 1:
            self._loop.call_soon(self._run_slice)

    def _run_slice(self) -> None:
        """Serve large rooms, in turns, until the slice is over."""
        end = self._loop.time() + SLICE_S
        while self._under_way:
            current = self._under_way[0]
            if next(current, _DONE) is _DONE:
                self._under_way.popleft()
            else:
                self._under_way.rotate(-1)
            if self._loop.time() >= end:
                break
        if self._under_way:
            self._loop.call_soon(self._run_slice)

    def _serve(self, room: Room) -> Iterator[None]:
        """One pass over a room's members, in which each gets all that waits; yields every few."""
        self._take_up(room)
        yield from _visit(room)
        while room.behind is not None:
            room.serving = tuple(one for one in room.serving if one.order >= room.behind)
            room.behind = None
            yield from _visit(room)
        room.serving = ()
        room.busy = bool(room.waiting or room.gathered)
        if room.busy:
            self._begin_after_rest(room)

    def _take_up(self, room: Room) -> None:
        # What `complete` emits comes on top, so that nothing is dropped for it.
        waited = tuple(room.waiting)
        room.waiting.clear()
        self._complete(room)
        room.serving = (*waited, *room.waiting)
        room.waiting.clear()


def _visit(room: Room) -> Iterator[None]:
    """Give every member what it lacks of what the pass serves, also of what comes along."""
    try:
        for count, socket in enumerate(tuple(room.members), 1):
            if socket in room.members:
                room.give(socket, room.serving)
            if count % _STRIDE == 0:
                yield
    except Exception:  # noqa: BLE001 - an event that cannot be encoded must not end the others
        _LOG.exception("a pass over the room %s was cut short", room.name)


def _forget(room: Room, name: str) -> None:
    """Take the volatile event of this name out that waits, of which there is one at most."""
    for index, emission in enumerate(room.waiting):
        if emission.volatile and emission.event.name == name:
            del room.waiting[index]
            return
