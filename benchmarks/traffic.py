"""What a generator has sent, and what has come back."""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from benchmarks.histogram import Histogram
from benchmarks.messages import END_ID, FIRST_ID

# With the comma: nothing is `true` that only begins so.
_SUCCESS: Final = b'"success":true,'
_SINGLE_SUCCESS: Final = b"[{" + _SUCCESS
# So many answers of a run are read in full, before a look at their beginning is taken for enough.
_READ_IN_FULL: Final = 100


class TrafficError(Exception):
    """An answer was wrong, or there were more messages than have numbers."""


class Traffic:
    """Every message that waits for its answer, by its number, which is its ack id."""

    def __init__(self, bets_per_message: int) -> None:
        self.latency = Histogram()
        self.lateness = Histogram()
        self.refused: Counter[str] = Counter()
        self.bets_in_window = 0
        self.acknowledged = 0
        self._per_message = bets_per_message
        self._next_id = FIRST_ID
        # When each was due, and whose it is.
        self._waiting: dict[int, tuple[int, object]] = {}
        self._to_read = _READ_IN_FULL
        self._begin_ns = self._end_ns = sys.maxsize

    @property
    def placed(self) -> int:
        """How many bets were sent."""
        return (self._next_id - FIRST_ID) * self._per_message

    @property
    def outstanding(self) -> int:
        """How many messages wait for their answers."""
        return len(self._waiting)

    def open_window(self, begin_ns: int, end_ns: int) -> None:
        """Measure what is due, and count what is acknowledged, from `begin_ns` to `end_ns`."""
        self._begin_ns, self._end_ns = begin_ns, end_ns

    def sent(self, due_ns: int, count: int, now_ns: int, sender: object = None) -> int:
        """Some messages that were due at `due_ns` are sent now. Returns the first one's ack id.

        Their answers are to come to the `sender`.

        Raises:
            TrafficError: All numbers are used up.
        """
        first_id = self._next_id
        self._next_id = end_id = first_id + count
        if end_id > END_ID:
            raise TrafficError(f"a run has at most {END_ID - FIRST_ID:,} messages")
        if self._begin_ns <= due_ns < self._end_ns:
            self.lateness.record(now_ns - due_ns, count)
        waits = due_ns, sender
        for ack_id in range(first_id, end_id):
            self._waiting[ack_id] = waits
        return first_id

    def answered(self, answers: Iterable[bytes], now_ns: int, receiver: object = None) -> None:
        """Acknowledgements, each `43{ack id}[{...}]`, have come to the `receiver`.

        Raises:
            TrafficError: One of them is none, or nothing waits for it there.
        """
        settled = same = 0
        same_due_ns = -1
        for answer in answers:
            try:
                body = answer.index(b"[")
                due_ns, sender = self._waiting.pop(int(answer[2:body]))
            except (ValueError, KeyError) as error:
                raise TrafficError(f"nothing waits for the answer {answer[:200]!r}") from error
            if sender is not receiver:
                raise TrafficError(f"another connection waits for the answer {answer[:200]!r}")
            if self._to_read:
                self._to_read -= 1
                bets = self._read(answer[body:])
            elif self._per_message == 1 and answer.startswith(_SINGLE_SUCCESS, body):
                bets = 1
            else:
                bets = self._settled(answer[body:])
            if not bets:
                continue  # a refusal is quick, and would flatter the latencies
            settled += bets
            # Messages that were sent together are mostly answered together.
            if due_ns != same_due_ns:
                self._took(same_due_ns, now_ns, same)
                same_due_ns, same = due_ns, 0
            same += 1
        self._took(same_due_ns, now_ns, same)
        self.acknowledged += settled
        if self._begin_ns <= now_ns < self._end_ns:
            self.bets_in_window += settled

    def _took(self, due_ns: int, now_ns: int, count: int) -> None:
        if count and self._begin_ns <= due_ns < self._end_ns:
            self.latency.record(now_ns - due_ns, count)

    def _settled(self, body: bytes) -> int:
        """How many bets of a message were settled; the others are counted by their error."""
        if self._per_message > 1 and body.count(_SUCCESS) == self._per_message + 1:
            return self._per_message
        return self._read(body)

    def _read(self, body: bytes) -> int:
        """The same, from the whole answer."""
        try:
            (answer,) = msgspec.json.decode(body)
            if not _success(answer):
                self.refused[_code(answer)] += self._per_message
                return 0
            if self._per_message == 1:
                return 1
            return self._settled_of(answer["data"]["results"])
        except (msgspec.DecodeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise TrafficError(f"the server answered {body[:200]!r}") from error

    def _settled_of(self, results: list[dict[str, Any]]) -> int:
        if len(results) != self._per_message:
            raise TrafficError(f"{self._per_message} bets had {len(results)} results")
        refused = [_code(one) for one in results if not _success(one)]
        self.refused.update(refused)
        return len(results) - len(refused)


def _success(answer: dict[str, Any]) -> bool:
    """Whether it says so. Raises TypeError if it does not say."""
    success = answer["success"]
    if not isinstance(success, bool):
        raise TypeError(f"{success!r} is neither success nor failure")
    return success


def _code(answer: dict[str, Any]) -> str:
    """Why it is a refusal. Raises ValueError if that is no word."""
    code = answer["error"]["code"]
    if not (isinstance(code, str) and code.isascii() and code.isidentifier()):
        raise ValueError(f"{code!r} is no error's code")
    return code
