"""What our actors tell rooms, on its way to the members that these have on other nodes.

Every notice goes out at once and in order. Of a state the newest goes, at most 20 times a second,
as it does to sockets. What is known to be lost is made good: the room is told so, and its members
ask for its state anew.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, NamedTuple

from actors.decision import Announcement, Notice, Push
from actors.runtime.exchange import Exchange
from actors.runtime.membership import SILENT_S
from actors.runtime.routes import Asker
from server.cluster.room_event import (
    ITEM,
    LOST,
    LOST_MUCH,
    NOTICE,
    STATE,
    RoomEvent,
    channel_of,
)
from server.hub import UPDATE_INTERVAL_S
from server.sockets.deadlines import Deadlines

TOPIC: Final = "rooms"
# How long members are spoken to that were there: Redis may lose sight of all for a moment.
GRACE_S: Final = 10.0
# How long every state goes out once shards are given up: as long as it takes to commit what their
# actors have decided.
HURRY_S: Final = 1.0
# Rooms whose last number is known, at about 200 bytes each: those of as many players. Of the one
# that was told longest ago it is forgotten; what is told there next begins anew, and is no gap.
MAX_NUMBERED: Final = 100_000
# Rooms that miss something. With more than these all rooms of all nodes are told so.
MAX_OWED: Final = 10_000
# How soon they are told, and how many together: about a millisecond's work.
PAY_S: Final = 0.1
PAID_TOGETHER: Final = 250
# What was said so long before the bus is known to be gone may never have arrived: its connection
# counts as lost after 2.5 seconds without an answer.
IN_FLIGHT_S: Final = 5.0
_MARK_S: Final = 1.0


def _nobody(_channel: str, _event: RoomEvent) -> None:
    """Nobody looks on."""


class _State(NamedTuple):
    """What a state is about."""

    channel: str
    event: str
    key: str


class RoomPublisher:
    """Publishes what rooms elsewhere are told. While its member is alone it says nothing."""

    def __init__(
        self,
        exchange: Exchange,
        members_elsewhere: Callable[[], bool],
        witness: Callable[[str, RoomEvent], None] = _nobody,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._exchange = exchange
        # Is shown what rooms were told.
        self._witness = witness
        self._members_elsewhere = members_elsewhere
        self._heard_of_s = float("-inf")
        # Keys that were told within the last interval, and what has come for them since.
        self._recent: Deadlines[_State] = Deadlines(UPDATE_INTERVAL_S, self._state_due)
        self._pending: dict[_State, tuple[Any, Asker | None]] = {}
        self._hurries_until_s = float("-inf")
        self._number = 0
        # The last number of each room, the one that was told last at the end.
        self._numbers: OrderedDict[str, int] = OrderedDict()
        # When something was said last, and up to which number it was at some moments before.
        self._said_s = self._loop.time()
        self._marks: deque[tuple[float, int]] = deque(
            [(self._said_s, 0)], maxlen=int(IN_FLIGHT_S / _MARK_S) + 1
        )
        self._owed: dict[str, None] = {}
        self._owes_all = False
        self._timer: asyncio.TimerHandle | None = None
        self.published = 0
        """How often a room elsewhere was told something, whether anybody heard it or not."""

    @property
    def owed(self) -> int:
        """How many rooms miss something and have not been told so."""
        return len(self._owed)

    @property
    def owes_nothing(self) -> bool:
        """Whether everything was said, as far as is known here."""
        return not self._owed and not self._owes_all

    def heard_of_others(self) -> None:
        """Somebody is there, perhaps before the registry has told of them."""
        self._heard_of_s = self._loop.time()

    def publish(self, push: Announcement, origin: object | None) -> None:
        """Tell a room's members on other nodes."""
        if not self._anybody():
            return
        channel = channel_of(push.room)
        if type(push) is Push:
            asker = origin if type(origin) is Asker else None
            self._update(_State(channel, push.event, push.key), push.data, asker)
        elif type(push) is not Notice:
            self._tell(channel, ITEM, push.event, push.data)
        elif push.volatile:
            event = RoomEvent(NOTICE, push.event, push.data, urgent=push.urgent)
            self.published += self._exchange.publish(channel, event)
        else:
            self._tell(channel, NOTICE, push.event, push.data, urgent=push.urgent)

    def _anybody(self) -> bool:
        now_s = self._loop.time()
        if self._members_elsewhere():
            self._heard_of_s = now_s
            return True
        return now_s - self._heard_of_s < GRACE_S

    # States.

    def _update(self, state: _State, data: Any, origin: Asker | None) -> None:
        if state in self._recent and self._loop.time() >= self._hurries_until_s:
            self._pending[state] = data, origin
        else:
            self._recent.add(state)
            self._tell_state(state, data, origin)

    def _state_due(self, state: _State, due_at: float) -> None:
        waiting = self._pending.pop(state, None)
        if waiting is None:
            return
        if self._loop.time() - due_at > SILENT_S:
            # This process stood still, and another may own the actor: it knows a newer state.
            self._owe(state.channel)
            return
        self._recent.add(state)
        self._tell_state(state, *waiting)

    def _tell_state(self, state: _State, data: Any, origin: Asker | None) -> None:
        self._tell(state.channel, STATE, state.event, data, key=state.key, origin=origin)

    def hurry(self) -> None:
        """Let no state wait for a moment: its actor may soon be another's, which tells newer ones.

        What waits already goes out now.
        """
        self._hurries_until_s = self._loop.time() + HURRY_S
        self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        for state, waiting in pending.items():
            self._tell_state(state, *waiting)

    # Numbers.

    def _tell(
        self,
        channel: str,
        kind: str,
        name: str,
        data: Any,
        *,
        key: str = "",
        origin: Asker | None = None,
        urgent: bool = False,
    ) -> None:
        if not self._exchange.connected or (channel in self._owed and not self._pay_one(channel)):
            self._owe(channel)
            return
        previous = self._numbers.get(channel, 0)
        number = self._next_number(channel)
        event = RoomEvent(kind, name, data, number, previous, key, origin, urgent)
        if self._exchange.publish(channel, event):
            self.published += 1
            self._witness(channel, event)
        else:
            self._owe(channel)

    def number_of(self, channel: str) -> int:
        """The number of what a room was told last; 0 if that is not known."""
        return self._numbers.get(channel, 0)

    def _next_number(self, channel: str) -> int:
        if self._said_s - self._marks[-1][0] >= _MARK_S:
            self._marks.append((self._said_s, self._number))
        self._said_s = self._loop.time()
        self._number += 1
        self._numbers[channel] = self._number
        self._numbers.move_to_end(channel)
        if len(self._numbers) > MAX_NUMBERED:
            self._numbers.popitem(last=False)
        return self._number

    # What is lost.

    def joined(self) -> None:
        """The bus is there, or there again: say what was lost meanwhile."""
        self._pay()

    def parted(self) -> None:
        """The bus has gone, and perhaps with it what was said in the last seconds."""
        since_s = self._loop.time() - IN_FLIGHT_S
        marks = (*self._marks, (self._said_s, self._number))
        arrived = max((number for at_s, number in marks if at_s <= since_s), default=0)
        for channel in reversed(self._numbers):
            if self._numbers[channel] <= arrived:
                return
            self._owe(channel)

    def _owe(self, channel: str) -> None:
        """A room misses something: its members are told so as soon as that can be said."""
        if not self._owes_all:
            self._owed[channel] = None
            if len(self._owed) > MAX_OWED:
                self._owed.clear()
                self._owes_all = True
        self._pay_later()

    def _pay_later(self) -> None:
        if self._timer is None and self._exchange.connected:
            self._timer = self._loop.call_later(PAY_S, self._pay)

    def _pay(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._owes_all:
            self._owes_all = not self._exchange.say_all(TOPIC, LOST_MUCH)
        for channel in list(islice(self._owed, PAID_TOGETHER)):
            if not self._pay_one(channel):
                break
        if self._owed or self._owes_all:
            self._pay_later()

    def _pay_one(self, channel: str) -> bool:
        event = RoomEvent(LOST, "", None, self._next_number(channel))
        if not self._exchange.publish(channel, event):
            return False
        self._owed.pop(channel, None)
        return True

    def close(self) -> None:
        """Say what waits, and nothing any more."""
        self._flush()
        self._recent.close()
        if self._timer is not None:
            self._timer.cancel()
