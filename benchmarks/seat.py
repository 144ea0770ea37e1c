"""A connection at a crash table: it watches, and some bet and cash out."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from benchmarks.frames import masked
from benchmarks.histogram import Histogram
from benchmarks.line import Line, LineError
from benchmarks.rounds import Rounds, Said

_SUCCESS: Final = b'[{"success":true,'
_REFUSALS: Final = msgspec.json.Decoder(list[dict[str, Any]])


class Answers:
    """The commands of all seats that wait for their answers, and what came of the others.

    Times are in nanoseconds, from the moment a command was due to its answer; those of refusals are
    left out, as they are quick. Only what is due from `since_ns` on is timed.
    """

    def __init__(self) -> None:
        self.taken: dict[str, Histogram] = {}
        self.lateness = Histogram()
        self.refused: Counter[str] = Counter()
        self.since_ns = sys.maxsize
        self._next_id = 1
        self._waiting: dict[int, tuple[str, int, Seat]] = {}

    @property
    def outstanding(self) -> int:
        """How many commands wait for their answers."""
        return len(self._waiting)

    def asked(self, seat: "Seat", command: str, due_ns: int, now_ns: int) -> int:
        """A command that was due is sent now. Returns its ack id."""
        ack_id = self._next_id
        self._next_id += 1
        self._waiting[ack_id] = command, due_ns, seat
        if due_ns >= self.since_ns:
            self.lateness.record(now_ns - due_ns)
        return ack_id

    def answered(self, seat: "Seat", payload: bytes, now_ns: int) -> None:
        """An acknowledgement, `43{ack id}[{...}]`, has come.

        Raises:
            LineError: Nothing waits for it there, or it makes no sense.
        """
        try:
            body = payload.index(b"[")
            command, due_ns, asker = self._waiting.pop(int(payload[2:body]))
            success = payload.startswith(_SUCCESS, body)
            code = None if success else _REFUSALS.decode(payload[body:])[0]["error"]["code"]
        except (ValueError, LookupError, TypeError) as error:
            raise LineError(f"nothing waits for the answer {payload[:200]!r}") from error
        if asker is not seat:
            raise LineError(f"another connection waits for the answer {payload[:200]!r}")
        if code is not None:
            self.refused[f"{command} {code}"] += 1
        elif due_ns >= self.since_ns:
            self.taken.setdefault(command, Histogram()).record(now_ns - due_ns)


class Seat(Line):
    """One connection. `place` is that of the newest step of a round that it was told.

    `heard` is called with each step.
    """

    __slots__ = ("_answers", "_heard", "_rounds", "place")

    def __init__(
        self, token: str, rounds: Rounds, answers: Answers, heard: Callable[[Said], None]
    ) -> None:
        super().__init__({"token": token})
        self._rounds = rounds
        self._answers = answers
        self._heard = heard
        self.place = 0

    def ask(self, command: str, fields: dict[str, Any], due_ns: int, now_ns: int) -> None:
        """Send a command that was due at some moment.

        Raises:
            LineError: The network does not take it, or the connection broke.
        """
        ack_id = self._answers.asked(self, command, due_ns, now_ns)
        self.write(masked(b"42%d" % ack_id + msgspec.json.encode([command, fields])))
        if self.unsent:
            raise LineError("the server has stopped reading a connection")

    def message(self, payload: bytes, now_ns: int) -> None:
        """An answer, an event of the table or one of the wallet has come.

        Raises:
            LineError: It is none of these, or not the step that follows the last.
        """
        if payload.startswith(b"43"):
            self._answers.answered(self, payload, now_ns)
            return
        if not payload.startswith(b"42"):
            raise LineError(f"the server sent {payload[:200]!r}")
        said = self._rounds.received(payload, now_ns)
        if said is None:
            return
        if self.place and said.place != self.place + 1:
            raise LineError(f"{said} came after {self.place}")
        self.place = said.place
        self._heard(said)
