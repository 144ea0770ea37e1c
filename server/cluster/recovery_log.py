"""What this node writes down of what it tells, for clients that come back to another node.

Each event that somebody may have to be sent again is one entry, written before it is sent. A record
says of each such client in which rooms it is, and what it was sent last. While Redis is away
nothing is written; then the log begins anew, and what was told before is not known from it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from protocol.outgoing import Outgoing, keep
from server.cluster.missed import Entry, Record, Stay

if TYPE_CHECKING:
    from server.hub import Hub
    from server.rooms.room import Room
    from server.sockets.socket import Socket
    from storage.streams import Streams

# What the log of one node may hold: three minutes of 200 kB a second, which is a hundred tables
# with all their lists. Past it the oldest goes, and who lacks that starts afresh.
MAX_BYTES: Final = 33_554_432
# What an entry counts as on top of its packets.
_ENTRY_BYTES: Final = 100
# Rooms that a client has left, as long as it may have missed something of them. Past it, what it
# missed before is not known.
MAX_PAST: Final = 64
# Records that are only old, and that one turn writes, with a pause before the next: 2 ms of work.
RENEWED_AT_ONCE: Final = 200
_PAUSE_S: Final = 0.02


class _Mark(NamedTuple):
    """An entry in the log: when it was written, and its size."""

    number: int
    at_s: float
    size: int


class _Client:
    """Someone who may come back."""

    __slots__ = ("began", "floor", "past", "socket", "stays", "taken")

    def __init__(self, socket: Socket, began: int, taken: bool) -> None:
        self.socket = socket
        self.began = began
        # Another node's record of it is to be replaced.
        self.taken = taken
        self.floor = 0
        # The rooms it is in, each with the number of the last event before it came.
        self.stays: dict[str, int] = {}
        self.past: deque[Stay] = deque()


class RecoveryLog:
    """The log of one node, and the records of its clients. Made inside the running loop."""

    def __init__(self, streams: Streams, hub: Hub, member: str, kept_s: float) -> None:
        self._streams = streams
        self._hub = hub
        self._member = member
        self._kept_s = kept_s
        self._loop = asyncio.get_running_loop()
        self._open = False
        self._start = 0
        # As many as may be connected and awaited.
        self._clients: dict[str, _Client] = {}
        # Those whose record is wrong, and those whose record is only old.
        self._changed: dict[str, None] = {}
        self._old: dict[str, None] = {}
        # What was told in this turn of the loop.
        self._told: list[tuple[int, Entry]] = []
        self._marks: deque[_Mark] = deque()
        self._bytes = 0
        # Large rooms that may owe their members something, each with its `lost` as it was known.
        self._large: dict[Room, int] = {}
        self._scheduled = False
        self._renewing = False
        self.begun = 0
        """How often the log was begun: first, and after each time that Redis was away."""
        streams.bind(self._joined, self._parted)

    @property
    def records(self) -> int:
        """How many clients may come back to another node."""
        return len(self._clients)

    @property
    def held_bytes(self) -> int:
        """What the log holds."""
        return self._bytes

    # What is told.

    def told(self, room: Room, event: Outgoing, skip: Socket | None) -> None:
        """A room is about to be told an event, and somebody inside may come back."""
        if not self._open:
            return
        number = event.number
        assert number is not None
        low = self._owed()
        sliced = room.sliced
        if sliced:
            low = min(low or number, number)
        lost = self._has_lost(room)
        skipped = skip.pid if skip is not None else ""
        self._write(
            number,
            Entry(
                self._start,
                room.namespace,
                room.name,
                skip=skipped,
                low=low,
                sliced=sliced,
                lost=lost,
                packets=keep(event),
            ),
        )

    def told_one(self, socket: Socket, event: Outgoing) -> None:
        """A client that may come back is about to be told an event."""
        if not self._open or not socket.pid:
            return
        assert event.number is not None
        entry = Entry(
            self._start,
            event.namespace,
            pid=socket.pid,
            low=self._owed(),
            packets=keep(event),
        )
        self._write(event.number, entry)

    def _write(self, number: int, entry: Entry) -> None:
        self._told.append((number, entry))
        self._soon()

    def _owed(self) -> int:
        """The first event of a large room that a member may not have got yet; 0: there is none."""
        lowest = 0
        for room in tuple(self._large):
            if not room.busy:
                del self._large[room]
                continue
            for emission in chain(room.serving, room.waiting):
                if emission.event.number is not None:
                    lowest = min(lowest or emission.event.number, emission.event.number)
                    break
        return lowest

    def _has_lost(self, room: Room) -> bool:
        """Whether a room has dropped an event since it was told one. Small ones never do."""
        if not room.sliced:
            return False
        known = self._large.get(room, room.lost)
        self._large[room] = room.lost
        return known != room.lost

    # Who may come back.

    def admitted(self, socket: Socket, *, taken: bool = False, torn: bool = False) -> None:
        """A client is let in that may come back: its events from here on will be known.

        `taken` over from another node, whose record is replaced. `torn`: what it has missed is not
        known as long as it has got nothing from here.
        """
        number = self._hub.number
        client = self._clients[socket.pid] = _Client(socket, number, taken)
        client.floor = number + 1 if torn else 0
        client.stays = dict.fromkeys(socket.rooms, number)
        self._change(socket.pid)

    def handed(self, former: Socket, heir: Socket) -> None:
        """A client has come back to this node, as another socket: that will have its rooms."""
        client = self._clients.get(former.pid)
        if client is None:
            return
        client.socket = heir
        for room in heir.rooms:
            client.stays.setdefault(room, self._hub.number)
        self._change(former.pid)

    def renewed(self, socket: Socket) -> None:
        """Write a client's record again some time soon: it says less than is known."""
        if self._open and socket.pid in self._clients:
            self._old[socket.pid] = None
            self._renew_soon()

    def forgotten(self, pid: str) -> None:
        """A client will not come back."""
        if self._drop(pid) is not None and self._open:
            self._streams.forget(pid)
            self._soon()

    def let_go(self, pid: str) -> None:
        """A client goes on elsewhere, or may: its record is left as it is now."""
        client = self._drop(pid)
        if client is not None and self._open:
            self._streams.remember(pid, self._record(client), taken=client.taken)
            self._soon()

    def _drop(self, pid: str) -> _Client | None:
        self._changed.pop(pid, None)
        self._old.pop(pid, None)
        return self._clients.pop(pid, None)

    def entered(self, socket: Socket, room: str) -> None:
        """A socket has entered a room."""
        client = self._clients.get(socket.pid)
        if client is not None and client.socket is socket:
            client.stays[room] = self._hub.number
            self._change(socket.pid)

    def left(self, socket: Socket, room: str) -> None:
        """A socket has left a room."""
        client = self._clients.get(socket.pid)
        if client is None or client.socket is not socket or room not in client.stays:
            return
        past = client.past
        past.append(Stay(room, client.stays.pop(room), self._hub.number))
        oldest = self._oldest()
        while past and (len(past) > MAX_PAST or (past[0].until or 0) < oldest):
            client.floor = max(client.floor, past.popleft().until or 0)
        self._change(socket.pid)

    def _oldest(self) -> int:
        """The number of the oldest event that the log should still have."""
        if self._marks:
            return self._marks[0].number
        return self._told[0][0] if self._told else self._hub.number

    def _change(self, pid: str) -> None:
        if self._open:
            self._changed[pid] = None
            self._soon()

    def _record(self, client: _Client) -> bytes:
        socket = client.socket
        assert socket.history is not None
        low = self._owed()
        stays = [Stay(room, since) for room, since in client.stays.items()]
        return msgspec.json.encode(
            Record(
                member=self._member,
                epoch=self._hub.epoch,
                start=self._start,
                namespace=socket.namespace,
                owner=str(socket.owner),
                sid=socket.id,
                began=client.began,
                floor=client.floor,
                last=socket.history.newest,
                as_of=min(self._hub.number, low - 1) if low else self._hub.number,
                stays=[*client.past, *stays],
            )
        )

    # Writing.

    def flush(self) -> None:
        """Hand all that was told to the network, before anybody is sent it."""
        if not self._told and not self._changed:
            return
        # Rooms come first: who was sent an event had entered its room before.
        for pid in tuple(self._changed):
            self._remember(pid)
        now_s = self._loop.time()
        told, self._told = self._told, []
        for number, entry in told:
            packed = msgspec.msgpack.encode(entry)
            size = len(packed) + _ENTRY_BYTES
            self._marks.append(_Mark(number, now_s, size))
            self._bytes += size
            self._drop_old(now_s)
            # With the one that begins the stream, as long as it is there.
            self._streams.add(number, packed, 1 + len(self._marks))
        self._streams.flush()

    def _remember(self, pid: str) -> None:
        self._changed.pop(pid, None)
        self._old.pop(pid, None)
        client = self._clients[pid]
        self._streams.remember(pid, self._record(client), taken=client.taken)
        client.taken = False

    def _drop_old(self, now_s: float) -> None:
        marks = self._marks
        while len(marks) > 1 and (marks[0].at_s < now_s - self._kept_s or self._bytes > MAX_BYTES):
            self._bytes -= marks.popleft().size

    def _soon(self) -> None:
        if self._open and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        self.flush()
        self._streams.flush()

    def _renew(self) -> None:
        """Write a few of the records that are old, and the rest later."""
        for pid in tuple(islice(self._old, RENEWED_AT_ONCE)):
            self._remember(pid)
        self._streams.flush()
        self._renewing = bool(self._old)
        if self._renewing:
            self._loop.call_later(_PAUSE_S, self._renew)

    def _renew_soon(self) -> None:
        if not self._renewing:
            self._renewing = True
            self._loop.call_soon(self._renew)

    # The connection.

    def _joined(self) -> None:
        """Redis is there: what was told before is not in the log."""
        self._forget_all()
        self._open = True
        self.begun += 1
        self._start = self._hub.number
        self._streams.begin(self._start, msgspec.msgpack.encode(Entry(self._start)))
        self._streams.flush()
        self._old = dict.fromkeys(self._clients)
        self._renew_soon()

    def _parted(self) -> None:
        """Redis is away: nothing is written."""
        self._open = False
        self._forget_all()

    def _forget_all(self) -> None:
        self._told.clear()
        self._changed.clear()
        self._old.clear()
        self._marks.clear()
        self._bytes = 0
