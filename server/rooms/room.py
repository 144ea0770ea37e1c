"""One room: who is inside, what each member has got of it, and what it is still to be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from protocol.outgoing import Outgoing

if TYPE_CHECKING:
    import asyncio

    from server.sockets.socket import Socket

# Served within one tick: a hundred writes are a millisecond.
MAX_SMALL_ROOM: Final = 100
# Newest states that a room keeps for members that come back: a player has one for each currency.
# Past it the one that was new longest ago is forgotten.
MAX_STATES: Final = 64
# Things of a kind in one message: what a person may skim, and with some hundred bytes for each
# still well below what may wait for a connection. More are counted, and not listed.
MAX_ITEMS: Final = 200


class Emission(NamedTuple):
    """One event on its way to a large room's members. `order` counts those of its room."""

    order: int
    event: Outgoing
    skip: Socket | None
    volatile: bool


class Items(msgspec.Struct):
    """Things of a kind that happened, and how many there were besides those listed."""

    items: list[Any] = []
    more: int = 0


class Room:
    """Who is inside. A member gets what was emitted after it joined, and while it is inside."""

    __slots__ = (
        "awaited",
        "behind",
        "busy",
        "emitted",
        "gathered",
        "lost",
        "members",
        "name",
        "namespace",
        "number",
        "recovering",
        "rest",
        "rested_at",
        "serving",
        "states",
        "waiting",
    )

    def __init__(self, number: int, namespace: str, name: str) -> None:
        # Newer rooms of a process have higher numbers.
        self.number = number
        self.namespace = namespace
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
        # The order of the first of them that members lack which this pass served before it came.
        self.behind: int | None = None
        # A pass is under way, or the room rests and something waits.
        self.busy = False
        self.rested_at = 0.0
        self.rest: asyncio.TimerHandle | None = None
        # How many members may come back; for them the newest states are kept.
        self.recovering = 0
        # How many of them are away now.
        self.awaited = 0
        self.states: dict[tuple[str, object], object] = {}
        # What happens to many, by event, of which there are a handful. Most rooms have none.
        self.gathered: dict[str, Items] | None = None

    @property
    def sliced(self) -> bool:
        """Whether it is served in slices: it is large, or was when what is under way began."""
        return len(self.members) > MAX_SMALL_ROOM or self.busy

    def remember(self, event: str, key: object, data: object) -> None:
        """Keep the newest state."""
        state = (event, key)
        self.states.pop(state, None)
        self.states[state] = data
        if len(self.states) > MAX_STATES:
            del self.states[next(iter(self.states))]

    def gather(self, event: str, item: object) -> bool:
        """Keep one thing more to be told in a list. False if there are too many to list it."""
        if self.gathered is None:
            self.gathered = {}
        items = self.gathered.setdefault(event, Items())
        if len(items.items) >= MAX_ITEMS:
            items.more += 1
            return False
        items.items.append(item)
        return True

    def give(self, socket: Socket, emissions: Sequence[Emission]) -> None:
        """Give a member what it has not got of some emissions, in one write."""
        first = self.members[socket]
        if emissions and emissions[-1].order < first:
            return
        if first <= self.lost and socket.history is not None:
            socket.history.tear()
        for order, event, skip, volatile in emissions:
            if order < first or socket is skip:
                continue
            if not volatile or socket.connection.writable:
                socket.deliver(event)
        if emissions:
            self.members[socket] = emissions[-1].order + 1
            socket.connection.flush()
