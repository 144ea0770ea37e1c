"""What a crowd at a crash table is told: every round by everybody, in order, and when.

The times of a round are the server's wall clock, to the millisecond. On one machine the receiver's
clock is the same one: its counter is set beside it once.
"""

from array import array
from enum import IntEnum
from math import ceil
from time import perf_counter_ns, time_ns
from typing import Final, NamedTuple

import msgspec

from actors.crash.odds import reached_at
from benchmarks.line import LineError
from protocol.commands.crash import parse_round_id

_MS: Final = 1_000_000


class Step(IntEnum):
    """What everybody at a table is told of each round, in this order."""

    OPENED = 0
    STARTED = 1
    CRASHED = 2


_STEPS: Final = {
    "round:opened": Step.OPENED,
    "round:started": Step.STARTED,
    "round:crashed": Step.CRASHED,
}
# What else a round may say, to some. A round that was voided is none to be measured.
_PASSING: Final = ("round:ticked", "round:forced")
# Events of a table begin with one of these, of which only the rounds' own are looked into.
_ROUND: Final = b'42["round:'
_ROOM: Final = (_ROUND, b'42["bet:', b'42["player:')


class Said(NamedTuple):
    """One of the steps of a round. `place` counts them all, so that each follows the one before."""

    place: int
    step: Step
    round_id: str
    at_ms: int
    deadline_ms: int


class RoundSeen(msgspec.Struct, forbid_unknown_fields=True):
    """What came of a round: how long it ran, and from its ends to their recipients.

    `decided_ns` is from the moment at which the curve reached the bust to the server's decision;
    the times to the recipients are from that moment, too. `started_last_ns` is from the decision to
    start to the last recipient.
    """

    round_id: str
    bust: int
    ran_ms: int
    decided_ns: int
    recipients: int
    first_ns: int
    p50_ns: int
    p99_ns: int
    last_ns: int
    started_last_ns: int


class _Fields(msgspec.Struct):
    round_id: str
    at_ms: int
    deadline_ms: int = 0
    bust: int = 0


class _Event(msgspec.Struct, array_like=True):
    event: str
    fields: _Fields


_DECODER: Final = msgspec.json.Decoder(_Event)


class Rounds:
    """All receipts of all rounds, 8 bytes each."""

    def __init__(self) -> None:
        self._clock_ns = time_ns() - perf_counter_ns()
        self.events = 0
        # An event is the same bytes for everybody: it is decoded once.
        self._known: dict[bytes, Said | None] = {}
        self._said: dict[int, Said] = {}
        self._received_ns: dict[int, array[int]] = {}
        self._busts: dict[str, int] = {}

    def received(self, payload: bytes, now_ns: int) -> Said | None:
        """Count one event, and return the step of a round that it is, if it is one.

        Raises:
            LineError: It is something that does not happen to a table that is measured.
        """
        if not payload.startswith(_ROOM):
            return None
        self.events += 1
        if not payload.startswith(_ROUND):
            return None
        said = self._known[payload] if payload in self._known else self._learn(payload)
        if said is not None:
            self._received_ns[said.place].append(now_ns)
        return said

    def _learn(self, payload: bytes) -> Said | None:
        try:
            event, fields = msgspec.structs.astuple(_DECODER.decode(payload[2:]))
        except msgspec.DecodeError as error:
            raise LineError(f"the server sent {payload[:200]!r}") from error
        said = None
        if event in _STEPS:
            step = _STEPS[event]
            _table, number = parse_round_id(fields.round_id)
            place = len(Step) * number + step
            said = Said(place, step, fields.round_id, fields.at_ms, fields.deadline_ms)
            self._said[place] = said
            self._received_ns[place] = array("q")
            if step is Step.CRASHED:
                self._busts[fields.round_id] = fields.bust
        elif event not in _PASSING:
            raise LineError(f"the server sent {payload[:200]!r}")
        self._known[payload] = said
        return said

    def seen(self, first_place: int, end_place: int) -> list[RoundSeen]:
        """What came of the rounds that were opened and over between two places."""
        opened = range(first_place, end_place, len(Step))
        return [self._seen(place + Step.STARTED, place + Step.CRASHED) for place in opened]

    def _seen(self, started_place: int, crashed_place: int) -> RoundSeen:
        started, crashed = self._said[started_place], self._said[crashed_place]
        bust = self._busts[crashed.round_id]
        ran_ms = reached_at(bust)
        bust_ms = started.at_ms + ran_ms
        taken_ns = sorted(self._taken_ns(crashed_place, bust_ms))

        def percentile(percent: float) -> int:
            return taken_ns[ceil(percent / 100 * len(taken_ns)) - 1]

        return RoundSeen(
            crashed.round_id,
            bust,
            ran_ms,
            (crashed.at_ms - bust_ms) * _MS,
            len(taken_ns),
            taken_ns[0],
            percentile(50),
            percentile(99),
            taken_ns[-1],
            max(self._taken_ns(started_place, started.at_ms)),
        )

    def _taken_ns(self, place: int, since_ms: int) -> list[int]:
        since_ns = since_ms * _MS - self._clock_ns
        return [received_ns - since_ns for received_ns in self._received_ns[place]]
