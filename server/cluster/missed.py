"""What a client has missed, by what its former node has written down. Pure.

A node tells its events in the order of their numbers, but for those to large rooms: these are
served in passes, so that what is told to one client alone may overtake them. Where a client's
newest event does not say which of those it has got, nobody knows what it has missed.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

# In place of the number of a client's newest event: something was for it and was not sent.
TORN: Final = -1


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of a node's stream, to a room, or to one client."""

    start: int
    """Where this stream began: the number of its first entry."""
    namespace: str = ""
    room: str = ""
    pid: str = ""
    """Whose event it is, if it is to one client."""
    skip: str = ""
    """Who was left out of the room."""
    low: int = 0
    """The first event of a large room that somebody may not have got yet; 0: there is none."""
    sliced: bool = False
    """The room is large: its members get this some time after it was numbered."""
    lost: bool = False
    """The room has dropped an event before this one."""
    packets: Sequence[bytes] = ()
    """None: nothing was told, the stream begins here."""


class Stay(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A client is in a room, or was `until` some number: events with greater ones than `since`."""

    room: str
    since: int
    until: int | None = None


class Record(msgspec.Struct, frozen=True):
    """What a node keeps of a client that may come back. Numbers are those of the node's events."""

    member: str
    epoch: str
    start: int
    """Where the stream began that this belongs to."""
    namespace: str
    owner: str
    sid: str
    began: int
    """The client's own events have greater numbers."""
    floor: int
    """What it has missed since before this is not known."""
    last: int | None
    """The newest event that it was sent, as of `as_of`; None: no event yet."""
    as_of: int
    stays: Sequence[Stay]


class Log:
    """A stream as far as it was read: entries by number, and by whom they are for."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._numbers: list[int] = []
        self._of: dict[tuple[str, str, str], list[int]] = {}

    @property
    def first(self) -> int:
        """The number of the first entry; there must be one. Nothing after it is missing."""
        return self._numbers[0]

    @property
    def last(self) -> int:
        """The number of the last entry, 0 if there is none."""
        return self._numbers[-1] if self._numbers else 0

    def add(self, number: int, entry: Entry) -> None:
        """Take in the next entry."""
        place = len(self.entries)
        self.entries.append(entry)
        self._numbers.append(number)
        self._of.setdefault((entry.namespace, entry.room, entry.pid), []).append(place)

    def find(self, number: int) -> Entry | None:
        """The event with this number. The entry that begins a stream is none."""
        place = bisect_left(self._numbers, number)
        if place == len(self._numbers) or self._numbers[place] != number:
            return None
        entry = self.entries[place]
        return entry if entry.packets else None

    def mine(self, record: Record, pid: str, after: int) -> list[tuple[int, Entry]]:
        """What was for a client of what came after a number, in order."""
        first = bisect_right(self._numbers, max(after, record.began))
        places = set(self._from(first, record.namespace, "", pid))
        for stay in record.stays:
            since = max(first, bisect_right(self._numbers, stay.since))
            of_room = self._from(since, record.namespace, stay.room, "")
            if stay.until is not None:
                end = bisect_right(self._numbers, stay.until)
                of_room = of_room[: bisect_left(of_room, end)]
            places.update(of_room)
        return [
            (self._numbers[place], self.entries[place])
            for place in sorted(places)
            if self.entries[place].skip != pid
        ]

    def _from(self, first: int, *key: str) -> list[int]:
        """Where the entries of a room, or of a client, are, beginning at a place."""
        places = self._of.get((key[0], key[1], key[2]), [])
        return places[bisect_left(places, first) :]

    def served(self, number: int) -> int:
        """The number of the first entry that was told when a large room had got event `number`."""
        for place in range(bisect_right(self._numbers, number), len(self._numbers)):
            low = self.entries[place].low
            if not low or low > number:
                return self._numbers[place]
        return self.last + 1


def missed(record: Record, log: Log, pid: str, number: int | None) -> list[Entry] | None:
    """What came for a client after its event `number`, in order; None if that is not known.

    No number, or one from before its time at this node, says that nothing has come from it yet.
    """
    if not log.entries or log.entries[-1].start != record.start:
        return None
    if number is not None and number <= record.began:
        number = None
    newest = None if number is None else log.find(number)
    if number is not None and newest is not None:
        # An entry is the client's own, or a number was made up.
        mine = log.mine(record, pid, min(newest.low or number, number) - 1)
        if number not in {n for n, _ in mine} or _overtaken(log, mine, number, newest):
            return None
        since: int | None = number
    else:
        since = _since(record, log, number)
        mine = [] if since is None else log.mine(record, pid, since)
    if since is None or since < record.floor:
        return None
    rest = [entry for n, entry in mine if n > since]
    return None if any(entry.lost for entry in rest) else rest


def _since(record: Record, log: Log, number: int | None) -> int | None:
    """From where on a client's events count whose newest is not in the log, if that is known."""
    if number is None and record.began >= log.first:
        return record.began
    known = record.last == number and record.as_of >= log.first
    return record.as_of if known else None


def _overtaken(log: Log, mine: Sequence[tuple[int, Entry]], number: int, newest: Entry) -> bool:
    """Whether an event of a large room may have been overtaken by another of this client's."""
    if newest.low and newest.low < log.first:
        return True
    served = log.served(number) if newest.sliced else number
    for other, entry in mine:
        if (entry.room, entry.pid) == (newest.room, newest.pid):
            continue
        if entry.sliced and newest.low and newest.low <= other < number:
            return True
        if number < other < served:
            return True
    return False
