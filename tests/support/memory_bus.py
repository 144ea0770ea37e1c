"""The bus between members as tests have it: in memory, in weather, on the loop's time alone."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from actors.runtime.membership import Member
from actors.runtime.ports import BusListener
from storage.bus import MAX_UNSENT

log = logging.getLogger(__name__)

# When a member whose connection goes silent gives it up.
LOST_S = 2.0
# Between two tries to connect.
FIRST_PAUSE_S = 0.05
LAST_PAUSE_S = 1.0

Action = Callable[[], None]


class MemoryHub:
    """A Redis that members meet over: who hears which channel, and who has announced themselves.

    Each frame takes `delay_s()` in each direction; what one member sends, or is sent, keeps its
    order. Nothing is lost but with a connection. Its time is that of the loop it is first used in.
    """

    def __init__(self, delay_s: Callable[[], float] = lambda: 0.0) -> None:
        self.delay_s = delay_s
        self.up = True
        self.announced: dict[str, tuple[float, Member]] = {}
        """Who announced themselves, and until when by the loop's clock."""
        self._links: dict[str, _Link] = {}
        self._channels: dict[str, dict[_Link, None]] = {}
        # Members from which, and to which, nothing gets through.
        self._mute: set[str] = set()
        self._deaf: set[str] = set()

    # The weather.

    def go_down(self) -> None:
        """End all connections, let nobody in, and forget everything."""
        self.up = False
        self.forget()
        self.break_off(*self._links)

    def come_up(self) -> None:
        """Let everybody in again."""
        self.up = True

    def forget(self) -> None:
        """Forget who announced themselves, as a flush does. Subscriptions stay."""
        self.announced.clear()

    def break_off(self, *members: str) -> None:
        """End the connections of these at once, as they notice. They may connect again."""
        for member in members:
            link = self._links.get(member)
            if link is not None:
                self.drop(link)
                link.bus.enter(partial(link.bus.lost, link))

    def cut(self, *members: str, up: bool = True, down: bool = True) -> None:
        """Let nothing through, from these (up) and to them (down). They notice after LOST_S.

        What was on its way waits, and goes on if they are healed before that.
        """
        self._mute.update(members if up else ())
        self._deaf.update(members if down else ())
        for member in members:
            link = self._links.get(member)
            if link is not None:
                loop = asyncio.get_running_loop()
                loop.call_later(LOST_S, self._notice, link)

    def heal(self, *members: str) -> None:
        """Let everything through again."""
        self._mute.difference_update(members)
        self._deaf.difference_update(members)
        for member in members:
            link = self._links.get(member)
            if link is not None:
                link.go_on()

    def mute(self, member: str) -> bool:
        """Whether nothing of this member gets here."""
        return member in self._mute

    def deaf(self, member: str) -> bool:
        """Whether nothing gets to this member."""
        return member in self._deaf

    def reaches(self, member: str) -> bool:
        """Whether this member could have a conversation now."""
        return self.up and not self.mute(member) and not self.deaf(member)

    def _notice(self, link: "_Link") -> None:
        # Either way, no sign of life comes back. A cut that was healed meanwhile leaves no trace;
        # if there is another one by now, it is noticed earlier than it would be.
        if not link.broken and not self.reaches(link.bus.member):
            link.bus.enter(partial(link.bus.lost, link))

    # What a bus does here.

    def connect(self, bus: "MemoryBus") -> "_Link | None":
        """A connection for `bus`, or None: it is refused, or nothing gets through."""
        if not self.reaches(bus.member):
            return None
        left = self._links.pop(bus.member, None)
        if left is not None:
            self.drop(left)
        link = self._links[bus.member] = _Link(self, bus)
        return link

    def drop(self, link: "_Link") -> None:
        """A connection has ended: what is on its way is lost."""
        link.broken = True
        if self._links.get(link.bus.member) is link:
            del self._links[link.bus.member]
        for channel in [name for name, links in self._channels.items() if link in links]:
            self.unsubscribe(link, (channel,))

    def subscribe(self, link: "_Link", channels: Iterable[str]) -> None:
        """Subscribe a connection."""
        for channel in channels:
            self._channels.setdefault(channel, {})[link] = None

    def unsubscribe(self, link: "_Link", channels: Iterable[str]) -> None:
        """Unsubscribe a connection."""
        for channel in channels:
            links = self._channels.get(channel, {})
            links.pop(link, None)
            if not links:
                self._channels.pop(channel, None)

    def publish(self, link: "_Link", channel: str, frames: list[bytes], cost: int) -> None:
        """Pass on to everybody who has subscribed, and answer."""
        for listener in self._channels.get(channel, {}):
            listener.down.put(partial(listener.bus.hear, link.bus.member, channel, frames))
        link.down.put(partial(link.bus.answered, cost))


class _Pipe:
    """One direction of a connection: in order, each thing after its delay."""

    def __init__(self, hub: MemoryHub, blocked: Callable[[], bool], take: Callable[[Action], None]):
        self._hub = hub
        self._blocked = blocked
        self._take = take
        self._waiting: deque[tuple[float, Action]] = deque()
        self._armed = False
        self._newest_s = 0.0

    def put(self, action: Action) -> None:
        """Send something to be done at the other end."""
        now_s = asyncio.get_running_loop().time()
        self._newest_s = max(self._newest_s, now_s + self._hub.delay_s())
        self._waiting.append((self._newest_s, action))
        self.go_on()

    def go_on(self) -> None:
        """Have what waits delivered in its time, unless nothing gets through."""
        if self._waiting and not self._armed and not self._blocked():
            self._armed = True
            asyncio.get_running_loop().call_at(self._waiting[0][0], self._deliver)

    def _deliver(self) -> None:
        self._armed = False
        if self._blocked():
            return
        # The timer of the first has run out, whatever the clock's last digit says.
        due_s = max(self._waiting[0][0], asyncio.get_running_loop().time())
        while self._waiting and self._waiting[0][0] <= due_s and not self._blocked():
            self._take(self._waiting.popleft()[1])
        self.go_on()


class _Link:
    """A member's connection."""

    def __init__(self, hub: MemoryHub, bus: "MemoryBus") -> None:
        self.bus = bus
        self.broken = False
        self.up = _Pipe(hub, lambda: self.broken or hub.mute(bus.member), lambda act: act())
        self.down = _Pipe(
            hub,
            lambda: self.broken or hub.deaf(bus.member),
            lambda action: bus.enter(partial(bus.take, self, action)),
        )

    def go_on(self) -> None:
        """What waited goes on."""
        self.up.go_on()
        self.down.go_on()


class MemoryBus:
    """One member's way onto the hub. Everything it does by itself goes through its `loop`.

    So a process that stands still, whose loop does nothing, hears and says nothing either.
    """

    def __init__(
        self,
        hub: MemoryHub,
        member: str,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        max_unsent: int = MAX_UNSENT,
    ) -> None:
        self.member = member
        self._hub = hub
        self._loop = loop
        self._max_unsent = max_unsent
        self._listener: BusListener | None = None
        self._rooms: set[str] = set()
        self._link: _Link | None = None
        self._joined = False
        self._closed = False
        self._ended = asyncio.Event()
        self._pause_s = 0.0
        self._changes: dict[str, bool] = {}
        self._batches: dict[str, list[bytes]] = {}
        self._flush_due = False
        self._unsent = 0

    @property
    def connected(self) -> bool:
        return self._joined

    def bind(self, listener: BusListener) -> None:
        self._listener = listener

    def post(self, member: str, frame: bytes) -> bool:
        return self._say(f"to:{member}", frame)

    def post_all(self, frame: bytes) -> bool:
        return self._say("all", frame)

    def publish(self, room: str, frame: bytes) -> bool:
        return self._say(f"room:{room}", frame)

    def subscribe(self, room: str) -> None:
        if room not in self._rooms:
            self._rooms.add(room)
            self._change(room, wanted=True)

    def unsubscribe(self, room: str) -> None:
        if room in self._rooms:
            self._rooms.discard(room)
            self._change(room, wanted=False)

    def start(self) -> None:
        """Begin to connect."""
        assert self._listener is not None, "nobody hears"
        self._loop = self._loop or asyncio.get_running_loop()
        self._connect()

    async def run(self) -> None:
        """Be on the bus until `close` or until cancelled."""
        self.start()
        try:
            await self._ended.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Leave, once what was said has gone out."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        self._ended.set()
        link = self._link
        if link is not None:
            link.up.put(partial(self._hub.drop, link))
            self._part()

    def kill(self) -> None:
        """End as a killed process does: at once, and without a word to anybody."""
        self._closed = True
        self._ended.set()
        if self._link is not None:
            self._hub.drop(self._link)
        self._link = None
        self._joined = False

    def enter(self, action: Action) -> None:
        """Have something done in this process, when its loop comes to it."""
        assert self._loop is not None
        self._loop.call_soon(action)

    # What is said.

    def _say(self, destination: str, frame: bytes) -> bool:
        cost = 64 + len(frame)
        if not self._joined or self._closed or self._unsent + cost > self._max_unsent:
            return False
        self._unsent += cost
        self._batches.setdefault(destination, []).append(frame)
        self._flush_soon()
        return True

    def _change(self, room: str, *, wanted: bool) -> None:
        if self._link is not None:
            self._changes[room] = wanted
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.enter(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        link = self._link
        if link is None or not self._joined:
            return
        changes, self._changes = self._changes, {}
        begun = [f"room:{room}" for room, wanted in changes.items() if wanted]
        ended = [f"room:{room}" for room, wanted in changes.items() if not wanted]
        if changes:
            link.up.put(partial(self._hub.subscribe, link, begun))
            link.up.put(partial(self._hub.unsubscribe, link, ended))
        batches, self._batches = self._batches, {}
        for destination, frames in batches.items():
            cost = sum(64 + len(frame) for frame in frames)
            link.up.put(partial(self._hub.publish, link, destination, frames, cost))

    # The life of a connection.

    def _connect(self) -> None:
        if self._closed:
            return
        link = self._link = self._hub.connect(self)
        if link is None:
            self._connect_later()
            return
        self._changes.clear()
        own = [f"to:{self.member}", "all", *(f"room:{room}" for room in sorted(self._rooms))]
        link.up.put(partial(self._hub.subscribe, link, own))
        link.up.put(partial(link.down.put, self._join))

    def _connect_later(self) -> None:
        assert self._loop is not None
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LAST_PAUSE_S)
        self._loop.call_later(self._pause_s, self._connect)

    def lost(self, link: _Link) -> None:
        """The connection has ended, or nothing has come over it for LOST_S."""
        if link is not self._link:
            return
        self._hub.drop(link)
        self._part()
        self._connect_later()

    def _join(self) -> None:
        self._joined = True
        self._pause_s = 0.0
        self._flush()
        self._tell("joined")

    def _part(self) -> None:
        was_joined, self._joined = self._joined, False
        self._link = None
        self._batches.clear()
        self._changes.clear()
        self._unsent = 0
        if was_joined:
            self._tell("parted")

    # What the hub sends.

    def take(self, link: _Link, action: Action) -> None:
        """Take something that came over a connection, if it is still this bus's."""
        if link is self._link:
            action()

    def answered(self, cost: int) -> None:
        """Something that was said has been passed on."""
        self._unsent -= cost

    def hear(self, sender: str, channel: str, frames: list[bytes]) -> None:
        """Somebody has said something."""
        kind, _, name = channel.partition(":")
        if kind != "to" and sender == self.member:
            return
        for frame in frames:
            if kind != "room":
                self._tell("heard", frame)
            elif name in self._rooms:
                self._tell("heard_room", name, frame)

    def _tell(self, name: str, *words: str | bytes) -> None:
        try:
            getattr(self._listener, name)(*words)
        except Exception:
            log.exception("%s: %s could not be taken", self.member, name)
