"""What a generator has sent, and what has come back."""

import sys
from array import array
from collections import Counter
from time import perf_counter_ns
from typing import Any, Final

import msgspec

from benchmarks.histogram import Histogram

_SUCCESS: Final = b'"success":true'
_ACKNOWLEDGED: Final = -1


class Traffic:
    """Every message by its number, which is its ack id; 8 bytes each, for as long as one run."""

    def __init__(self, bets_per_message: int) -> None:
        self.latency = Histogram()
        self.lateness = Histogram()
        self.refused: Counter[str] = Counter()
        self.outstanding = 0
        self.bets_in_window = 0
        self.acknowledged = 0
        self._per_message = bets_per_message
        self._due_ns = array("q")
        self._begin_ns = self._end_ns = sys.maxsize

    @property
    def placed(self) -> int:
        """How many bets were sent."""
        return len(self._due_ns) * self._per_message

    def open_window(self, begin_ns: int, end_ns: int) -> None:
        """Measure what is due, and count what is acknowledged, from `begin_ns` to `end_ns`."""
        self._begin_ns, self._end_ns = begin_ns, end_ns

    def sent(self, due_ns: int) -> int:
        """A message that was due at `due_ns` is about to be sent. Returns its ack id."""
        if self._begin_ns <= due_ns < self._end_ns:
            self.lateness.record(perf_counter_ns() - due_ns)
        self._due_ns.append(due_ns)
        self.outstanding += 1
        return len(self._due_ns) - 1

    def answered(self, message: bytes) -> None:
        """An acknowledgement, `43{ack id}[{...}]`, has come.

        Raises:
            ValueError: It is not one, or nothing waits for it.
            IndexError: Its number was never sent.
        """
        now_ns = perf_counter_ns()
        body = message.index(b"[")
        ack_id = int(message[2:body])
        due_ns = self._due_ns[ack_id]
        if due_ns == _ACKNOWLEDGED:
            raise ValueError(f"message {ack_id} was acknowledged twice")
        self._due_ns[ack_id] = _ACKNOWLEDGED
        self.outstanding -= 1
        bets = self._successes(message[body:])
        self.acknowledged += bets
        if self._begin_ns <= now_ns < self._end_ns:
            self.bets_in_window += bets
        if self._begin_ns <= due_ns < self._end_ns:
            self.latency.record(now_ns - due_ns)

    def _successes(self, body: bytes) -> int:
        """How many bets of a message were settled; the others are counted by their error."""
        if self._per_message == 1:
            if body.startswith(_SUCCESS, 2):
                return 1
        elif body.count(_SUCCESS) == self._per_message + 1:
            return self._per_message
        answer = msgspec.json.decode(body)[0]
        if not answer["success"]:
            self.refused[answer["error"]["code"]] += self._per_message
            return 0
        return sum(self._settled(result) for result in answer["data"]["results"])

    def _settled(self, result: dict[str, Any]) -> bool:
        if not result["success"]:
            self.refused[result["error"]["code"]] += 1
        return bool(result["success"])
