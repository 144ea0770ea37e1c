"""A crowd at a crash table, a process of its own: a TablePlan comes in, a TableOutcome goes out.

All watch. Some bet while a round takes bets, spread over most of that time, and cash out one after
another at a steady rate while it rises, until they hear that it is over; whoever is not reached by
then loses. The first round that is watched from its beginning warms up and is not measured.
"""

import gc
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from time import perf_counter_ns, process_time_ns
from typing import Any, Final
from uuid import UUID

import msgspec

from benchmarks.alarm import Alarm
from benchmarks.crowd import AT_A_TIME, Crowd
from benchmarks.frames import FrameError
from benchmarks.histogram import Histogram
from benchmarks.line import LineError
from benchmarks.rounds import Rounds, RoundSeen, Said, Step
from benchmarks.seat import Answers, Seat
from benchmarks.worker import BEGIN, END, say, work

BET: Final = "crash:bet"
CASH_OUT: Final = "crash:cashout"
_WATCH: Final = "crash:watch"
_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_NEVER_NS: Final = 1 << 62
# Of the time in which a round takes bets. A bet that comes later may be too late.
_BETTING_SHARE: Final = 0.6
# From the start of a round to its first cash-out.
_FIRST_CASH_OUT_NS: Final = 100 * _MS
# Commands closer together than this leave in one wake-up.
_SHORTEST_SLEEP_NS: Final = 50_000
# A table of which nothing is heard for so long has stopped: its rounds are shorter.
_SILENCE_LIMIT_NS: Final = 120 * _NS
# An answer, or the end of a round, that takes longer than this will not come.
_LAST_LIMIT_NS: Final = 10 * _NS


class TablePlan(msgspec.Struct, forbid_unknown_fields=True):
    """A connection for each token; the first `bettors` of them bet. `rounds` are measured."""

    url: str
    table: int
    tokens: list[str]
    bettors: int
    bet: dict[str, Any]
    cash_outs_per_second: float
    rounds: int
    seed: int


class TableOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """What came of it, in the window of the rounds that are measured.

    `events` are those of the room that came, to all connections together. Times to answers, in
    nanoseconds, are sparse histograms by the command; `lateness` is the crowd's own. `cores` is how
    much of a core this process kept busy.
    """

    rounds: list[RoundSeen]
    window_s: float
    events: int
    taken: dict[str, dict[int, int]]
    taken_max_ns: dict[str, int]
    refused: dict[str, int]
    lateness: dict[int, int]
    lateness_max_ns: int
    cores: float


class Table:
    """The crowd, and what it does in each round."""

    def __init__(self, plan: TablePlan) -> None:
        self._plan = plan
        self._random = Random(plan.seed)
        self._rounds = Rounds()
        self._answers = Answers()
        self._seats = [
            Seat(token, self._rounds, self._answers, self._heard) for token in plan.tokens
        ]
        self._bettors = self._seats[: plan.bettors]
        self._crowd = Crowd(self._seats)
        self._alarm = Alarm()
        self._crowd.wake_by(self._alarm)
        # What is due: when, whose, which command and with what.
        self._due: deque[tuple[int, Seat, str, dict[str, Any]]] = deque()
        # The newest step that anybody was told, and the round whose betting was seen.
        self._place = 0
        self._bet_on = ""
        self._begun: _Window | None = None
        # Whether all watch, and whether all rounds are over that are measured.
        self._watched = False
        self._over = False

    def run(self) -> TableOutcome:
        """Join, watch, play the rounds, and leave.

        Raises:
            LineError: A connection was refused or lost, or something did not come as it must.
            FrameError: The server closed a connection, most likely.
        """
        try:
            self._crowd.join(self._plan.url)
            self._watch()
            while not self._over:
                silent = partial(self._is_at, self._place)
                self._turns(silent, _SILENCE_LIMIT_NS, "the table is silent")
            window = self._begun
            assert window is not None
            self._turns(lambda: not self._settled, _LAST_LIMIT_NS, "not everybody heard of all")
            return self._outcome(window)
        finally:
            self._crowd.close()
            self._alarm.close()

    def _watch(self) -> None:
        """Have everybody watch the table, a few at a time."""
        for seat in self._seats:
            now_ns = perf_counter_ns()
            seat.ask(_WATCH, {"table": self._plan.table}, now_ns, now_ns)
            self._turns(
                lambda: self._answers.outstanding >= AT_A_TIME, _LAST_LIMIT_NS, "no answer comes"
            )
        self._turns(lambda: self._answers.outstanding > 0, _LAST_LIMIT_NS, "no answer comes")
        if self._answers.refused:
            raise LineError(f"watching was refused: {dict(self._answers.refused)}")
        self._watched = True

    def _is_at(self, place: int) -> bool:
        return self._place == place

    @property
    def _settled(self) -> bool:
        return not self._answers.outstanding and all(
            seat.place == self._place for seat in self._seats
        )

    def _turns(self, goes_on: Callable[[], bool], limit_ns: int, complaint: str) -> None:
        """Read, and send what is due, while something holds. Raises LineError after a time."""
        limit_ns += perf_counter_ns()
        while goes_on():
            if perf_counter_ns() > limit_ns:
                raise LineError(complaint)
            self._send_what_is_due()
            next_ns = self._due[0][0] if self._due else _NEVER_NS
            self._alarm.set(max(next_ns, perf_counter_ns() + _SHORTEST_SLEEP_NS))
            self._crowd.turn(limit_ns)

    def _send_what_is_due(self) -> None:
        now_ns = perf_counter_ns()
        while self._due and self._due[0][0] <= now_ns:
            due_ns, seat, command, fields = self._due.popleft()
            seat.ask(command, fields, due_ns, perf_counter_ns())

    def _heard(self, said: Said) -> None:
        """A seat was told a step: the first one that is has the crowd act."""
        if said.place <= self._place:
            return
        self._place = said.place
        if self._watched and not self._over:
            self._act(said)

    def _act(self, said: Said) -> None:
        if said.step is Step.OPENED:
            self._open_window(said)
            if not self._over:
                self._bet(said)
        elif said.step is Step.STARTED and said.round_id == self._bet_on:
            self._cash_out(said)
        elif said.step is Step.CRASHED:
            self._due.clear()

    def _open_window(self, said: Said) -> None:
        """A round opens: perhaps the first one that is measured, or the first one after them."""
        if self._begun is None:
            if self._bet_on:
                self._answers.since_ns = perf_counter_ns()
                self._begun = _Window(said.place, self._rounds.events)
                say(BEGIN)
        elif said.place == self._begun.place + self._plan.rounds * len(Step):
            self._begun.end(self._rounds.events)
            say(END)
            self._over = True

    def _bet(self, said: Said) -> None:
        """Have each bettor bet, in another order in each round."""
        self._bet_on = said.round_id
        self._random.shuffle(self._bettors)
        now_ns = perf_counter_ns()
        time_ns = (said.deadline_ms - said.at_ms) * _MS * _BETTING_SHARE
        for index, seat in enumerate(self._bettors):
            request_id = str(UUID(int=self._random.getrandbits(128), version=4))
            fields = {"round_id": said.round_id, **self._plan.bet, "request_id": request_id}
            self._due.append(
                (now_ns + int(time_ns * index / len(self._bettors)), seat, BET, fields)
            )

    def _cash_out(self, said: Said) -> None:
        """Have one bettor after another cash out, until the round is over."""
        if self._due:
            raise LineError(f"{len(self._due)} bets were not sent before the round began")
        first_ns = perf_counter_ns() + _FIRST_CASH_OUT_NS
        for index, seat in enumerate(self._bettors):
            due_ns = first_ns + int(index * _NS / self._plan.cash_outs_per_second)
            self._due.append((due_ns, seat, CASH_OUT, {"round_id": said.round_id}))

    def _outcome(self, window: "_Window") -> TableOutcome:
        answers = self._answers
        end_place = window.place + self._plan.rounds * len(Step)
        return TableOutcome(
            self._rounds.seen(window.place, end_place),
            window.length_s,
            window.events,
            {command: taken.sparse() for command, taken in answers.taken.items()},
            {command: taken.max for command, taken in answers.taken.items()},
            dict(answers.refused),
            answers.lateness.sparse(),
            answers.lateness.max,
            window.cores,
        )


class _Window:
    """From one round's opening to another's: what came and what it took."""

    def __init__(self, place: int, events: int) -> None:
        self.place = place
        self.events = -events
        self.length_s = 0.0
        self.cores = 0.0
        self._at_ns = perf_counter_ns()
        self._cpu_ns = process_time_ns()

    def end(self, events: int) -> None:
        """It is over."""
        self.events += events
        length_ns = perf_counter_ns() - self._at_ns
        self.cores = (process_time_ns() - self._cpu_ns) / length_ns
        self.length_s = length_ns / _NS


def histogram_of(outcome: TableOutcome, command: str) -> Histogram:
    """The times to a command's answers; empty if there were none."""
    return Histogram.from_sparse(
        outcome.taken.get(command, {}), outcome.taken_max_ns.get(command, 0)
    )


def lateness_of(outcome: TableOutcome) -> Histogram:
    """How late the crowd was with its commands."""
    return Histogram.from_sparse(outcome.lateness, outcome.lateness_max_ns)


def run(plan: TablePlan) -> TableOutcome:
    """Run a plan, see `Table.run`."""
    # A pause to collect garbage would look like the server's; a run makes little of it.
    gc.disable()
    return Table(plan).run()


if __name__ == "__main__":
    work(TablePlan, run, failures=(LineError, FrameError, OSError))
