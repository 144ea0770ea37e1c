"""A connection whose player only places bets."""

from collections.abc import Sequence
from time import perf_counter_ns

from benchmarks.line import Line, LineError
from benchmarks.messages import Messages
from benchmarks.traffic import Traffic


class Client(Line):
    """One connection. While `refill` is set, as many messages follow as were just answered.

    It puts itself among the `clogged` when the network does not take what it writes.
    """

    __slots__ = ("_clogged", "_messages", "_traffic", "refill")

    def __init__(
        self, token: str, messages: Messages, traffic: Traffic, clogged: "set[Client]"
    ) -> None:
        super().__init__({"token": token})
        self.refill = False
        self._clogged = clogged
        self._messages = messages
        self._traffic = traffic

    def place(self, count: int) -> None:
        """Send some messages, which are due now, in one write."""
        now_ns = perf_counter_ns()
        first_id = self._traffic.sent(now_ns, count, now_ns, self)
        self._place(first_id, count)

    def place_due(self, due_ns: Sequence[int]) -> None:
        """Send a message for each of the moments at which one was due, in one write."""
        now_ns = perf_counter_ns()
        first_ids = [self._traffic.sent(due, 1, now_ns, self) for due in due_ns]
        self._place(first_ids[0], len(due_ns))

    def _place(self, first_id: int, count: int) -> None:
        self.write(self._messages.make(first_id, count))
        if self.unsent:
            self._clogged.add(self)

    def take(self, payloads: Sequence[bytes], now_ns: int) -> None:
        """Acknowledgements most of the time; in a closed loop the next messages follow them.

        Raises:
            LineError: The server sent what is neither an answer nor an event.
            TrafficError: An answer was wrong.
        """
        answers = [payload for payload in payloads if payload.startswith(b"43")]
        if len(answers) != len(payloads):
            super().take([one for one in payloads if not one.startswith(b"43")], now_ns)
        if answers:
            self._traffic.answered(answers, now_ns, self)
            if self.refill:
                self.place(len(answers))

    def message(self, payload: bytes, _now_ns: int) -> None:
        """Events, such as wallet:updated, are only read."""
        if not payload.startswith(b"42"):
            raise LineError(f"the server sent {payload[:200]!r}")
