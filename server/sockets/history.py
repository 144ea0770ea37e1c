"""What one socket was sent, for as long as it may have to be sent again."""

from typing import Final, NamedTuple

from protocol.outgoing import Outgoing

# No event has this number: what is missed after it is not known.
_NOTHING: Final = -1


class Bounds(NamedTuple):
    """How much a history keeps: of one socket, and of all together, where it counts once."""

    kept_s: float
    packets: int
    total_bytes: int
    bytes: int


class Shelf:
    """All events that histories hold. A broadcast is held by many and takes its room once."""

    __slots__ = ("bounds", "bytes")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.bytes = 0

    def hold(self, event: Outgoing) -> None:
        """One history more has the event."""
        if not event.holders:
            self.bytes += event.size
        event.holders += 1

    def release(self, event: Outgoing) -> None:
        """One history less has the event."""
        event.holders -= 1
        if not event.holders:
            self.bytes -= event.size


class History:
    """Events in the order in which this socket got them, which is not always that of their numbers.

    What was forgotten last is remembered by its number: a client that has got that one has missed
    nothing, however long ago it was.
    """

    __slots__ = ("_began", "_bytes", "_events", "_forgotten", "_packets", "_shelf", "follows")

    def __init__(self, began: int, shelf: Shelf) -> None:
        # The numbers of events for this socket are greater.
        self._began = began
        self._shelf = shelf
        self._events: list[Outgoing] = []
        self._bytes = 0
        self._packets = 0
        self._forgotten: int | None = None
        # The newest offset of another node whose socket this goes on as: who has got that one has
        # missed nothing of before.
        self.follows: str | None = None

    @property
    def newest(self) -> int | None:
        """The number of the newest event; None if there was none. -1 if what came is not known."""
        return self._events[-1].number if self._events else self._forgotten

    def __contains__(self, event: Outgoing) -> bool:
        return event in self._events

    def add(self, event: Outgoing) -> None:
        """One more was sent, or would have been if the client were here. It has been encoded."""
        self._events.append(event)
        self._bytes += event.size
        self._packets += event.packets
        shelf, bounds = self._shelf, self._shelf.bounds
        shelf.hold(event)
        self.forget_before(event.at_s - bounds.kept_s)
        while self._bytes > bounds.bytes or self._packets > bounds.packets:
            self._forget_oldest()
        if shelf.bytes > bounds.total_bytes:
            self.clear()

    def forget_before(self, at_s: float) -> None:
        """Forget what was sent before a time, on the clock of the events."""
        while self._events and self._events[0].at_s < at_s:
            self._forget_oldest()

    def clear(self) -> None:
        """Forget everything that was sent so far."""
        while self._events:
            self._forget_oldest()

    def tear(self) -> None:
        """Something was for this socket and was not sent: who lacks it has missed too much."""
        self.clear()
        self._forgotten = _NOTHING

    def _forget_oldest(self) -> None:
        oldest = self._events.pop(0)
        self._bytes -= oldest.size
        self._packets -= oldest.packets
        self._forgotten = oldest.number
        self._shelf.release(oldest)

    def is_older(self, number: int | None) -> bool:
        """Whether an event is from before this socket's time: the client kept it of an earlier one.

        No number is one of another process.
        """
        return number is None or number <= self._began

    def after(self, number: int | None) -> list[Outgoing] | None:
        """What a client has missed whose newest event was `number`; None if that is not known."""
        if self.is_older(number):
            return list(self._events) if self._forgotten is None else None
        if number == self._forgotten:
            return list(self._events)
        for index in range(len(self._events) - 1, -1, -1):
            if self._events[index].number == number:
                return self._events[index + 1 :]
        return None
