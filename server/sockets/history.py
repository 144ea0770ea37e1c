"""What one socket was sent, for as long as it may have to be sent again."""

from typing import Final

from protocol.outgoing import Outgoing

# Of one socket. A player is told a few things a second; who is told more, or is told so much, and
# then is away for long, starts afresh. The oldest is forgotten first.
MAX_EVENTS: Final = 1_024
MAX_BYTES: Final = 262_144


class History:
    """Events in the order in which this socket got them, which is not always that of their numbers.

    What was forgotten last is remembered by its number: a client that has got that one has missed
    nothing, however long ago it was.
    """

    __slots__ = ("_began", "_bytes", "_events", "_forgotten", "_kept_s")

    def __init__(self, began: int, kept_s: float) -> None:
        # The numbers of events for this socket are greater.
        self._began = began
        self._kept_s = kept_s
        self._events: list[Outgoing] = []
        self._bytes = 0
        self._forgotten: int | None = None

    def __contains__(self, event: Outgoing) -> bool:
        return event in self._events

    def add(self, event: Outgoing) -> None:
        """One more was sent, or would have been if the client were here."""
        self._events.append(event)
        self._bytes += event.size
        while self._events and (
            self._events[0].at_s < event.at_s - self._kept_s
            or len(self._events) > MAX_EVENTS
            or self._bytes > MAX_BYTES
        ):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        oldest = self._events.pop(0)
        self._bytes -= oldest.size
        self._forgotten = oldest.number

    def after(self, number: int | None) -> list[Outgoing] | None:
        """What a client has missed whose newest event was `number`; None if that is not known.

        A number from before this socket's time is what the client kept of an earlier one.
        """
        if number is None or number <= self._began:
            return list(self._events) if self._forgotten is None else None
        if number == self._forgotten:
            return list(self._events)
        for index in range(len(self._events) - 1, -1, -1):
            if self._events[index].number == number:
                return self._events[index + 1 :]
        return None
