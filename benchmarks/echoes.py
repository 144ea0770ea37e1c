"""Echoes: messages made beforehand, and the acknowledgements that must answer them, to the byte."""

from collections import deque
from typing import Final
from uuid import UUID

import msgspec

from benchmarks.frames import masked, unmasked
from benchmarks.histogram import Histogram
from benchmarks.line import Line, LineError

# A connection's messages repeat after this many, so that they differ while they are in flight. All
# are of one length, and the ids have four digits, so that a run of them is one piece of memory.
COUNT: Final = 1_000
_FIRST_ID: Final = 1_000


class Echoes:
    """The messages of a run, by their number; like a bet in size and form."""

    def __init__(self) -> None:
        pairs = [_pair(number) for number in range(COUNT)]
        self.answers = [answer for _, answer in pairs]
        requests = [masked(request) for request, _ in pairs]
        answers = [unmasked(answer) for answer in self.answers]
        self._request_bytes, self._answer_bytes = len(requests[0]), len(answers[0])
        assert {len(one) for one in requests} == {self._request_bytes}
        assert {len(one) for one in answers} == {self._answer_bytes}
        # Twice, so that a run that begins before the end and ends after it is one piece too.
        self._requests = b"".join(requests * 2)
        self._answers = b"".join(answers * 2)

    def requests(self, first: int, count: int) -> bytes:
        """The frames of `count` messages from the number `first` on."""
        size = self._request_bytes
        return self._requests[first * size : (first + count) * size]

    def count(self, data: bytes, first: int) -> int:
        """How many answers `data` is, in order from the number `first` on; 0 if it is not quite."""
        size = self._answer_bytes
        count, more = divmod(len(data), size)
        if more or data != self._answers[first * size : (first + count) * size]:
            return 0
        return count


def _pair(number: int) -> tuple[bytes, bytes]:
    content = {
        "stake": 1_000 + number,
        "currency": "PLAY",
        "target": 5_000,
        "direction": "over",
        "request_id": str(UUID(int=number, version=4)),
    }
    body = msgspec.json.encode(content)
    ack_id = b"%d" % (_FIRST_ID + number)
    return b'42%b["echo",%b]' % (ack_id, body), b"43%b[%b]" % (ack_id, body)


class Tally:
    """What all connections of a run have seen."""

    def __init__(self) -> None:
        self.latency = Histogram()
        self.outstanding = 0
        self.refill = True
        self.measuring = False


class EchoLine(Line):
    """A connection that keeps messages in flight, and compares every answer with what it must be.

    Answers have to come in the order of their messages, as every one of the servers sends them.
    """

    __slots__ = ("_echoes", "_next_answer", "_next_request", "_sent", "_tally")

    def __init__(self, echoes: Echoes, tally: Tally) -> None:
        super().__init__({})
        self._echoes = echoes
        self._tally = tally
        self._next_request = 0
        self._next_answer = 0
        # When messages were sent and how many at once; never more than are in flight.
        self._sent: deque[tuple[int, int]] = deque()

    def send(self, count: int, now_ns: int) -> None:
        """Send the next `count` messages in one write."""
        first = self._next_request
        self._next_request = (first + count) % COUNT
        self._sent.append((now_ns, count))
        self._tally.outstanding += count
        self.socket.sendall(self._echoes.requests(first, count))

    def received(self, data: bytes, now_ns: int) -> None:
        """Answers, and nothing else, most of the time: compared all at once."""
        count = 0 if self.unfinished else self._echoes.count(data, self._next_answer)
        if count:
            self._answered(count, now_ns)
        else:
            super().received(data, now_ns)

    def message(self, payload: bytes, now_ns: int) -> None:
        """One answer, which came together with a heartbeat or in pieces.

        Raises:
            LineError: It is not the one that must come next.
        """
        expected = self._echoes.answers[self._next_answer]
        if payload != expected:
            raise LineError(f"the server sent {payload[:300]!r} instead of {expected!r}")
        self._answered(1, now_ns)

    def _answered(self, count: int, now_ns: int) -> None:
        tally = self._tally
        self._next_answer = (self._next_answer + count) % COUNT
        tally.outstanding -= count
        left = count
        while left:
            if not self._sent:
                raise LineError("the server answered more than it was asked")
            sent_ns, waiting = self._sent.popleft()
            taken = min(left, waiting)
            left -= taken
            if taken < waiting:
                self._sent.appendleft((sent_ns, waiting - taken))
            if tally.measuring:
                tally.latency.record(now_ns - sent_ns, taken)
        if tally.refill:
            self.send(count, now_ns)
