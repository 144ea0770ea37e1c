"""The load generator, a process of its own: a Plan comes in on stdin, an Outcome goes out.

It says `begin` and `end` at the ends of its window, so that whoever started it can measure the
server meanwhile, then the Outcome as one line of JSON.
"""

import gc
import ssl
from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random
from time import perf_counter_ns, process_time_ns
from typing import Final

from benchmarks.alarm import Alarm
from benchmarks.client import Client
from benchmarks.crowd import Crowd
from benchmarks.frames import FrameError
from benchmarks.line import LineError
from benchmarks.loads import carried, depths, weights
from benchmarks.messages import Messages
from benchmarks.plan import Outcome, Plan
from benchmarks.progress import Reporter, outcome_of
from benchmarks.schedule import ScheduleError, arrivals_ns
from benchmarks.traffic import Traffic, TrafficError
from benchmarks.worker import BEGIN, END, say, work

# An answer that takes longer than this will not come.
ANSWER_LIMIT_S: Final = 20.0
# Arrivals closer together than this leave in one wake-up.
_SHORTEST_SLEEP_NS: Final = 50_000
# What the network has not taken is tried again after this time.
_AGAIN_NS: Final = 1_000_000
_NS: Final = 1_000_000_000
_NEVER_NS: Final = 1 << 62


class Arrivals:
    """The schedule of an open loop, and whose turn it is: drawn by the weights of the load."""

    def __init__(self, plan: Plan, clients: list[Client]) -> None:
        self._schedule = arrivals_ns(plan)
        self._moments: Iterator[int] = iter(())
        self._clients = clients
        self._limits = list(accumulate(weights(plan.load, len(clients))))
        self._choices = Random(plan.seed).choices
        self.next_ns = _NEVER_NS

    def start(self, start_ns: int) -> None:
        """Begin now: a schedule takes time to make, by which its first messages would be late."""
        self._moments = (start_ns + at_ns for at_ns in self._schedule)
        self.next_ns = next(self._moments, _NEVER_NS)

    def send_what_is_due(self) -> None:
        """Send what is due by now, the messages of each connection in one write."""
        due: dict[Client, list[int]] = {}
        now_ns = perf_counter_ns()
        while self.next_ns <= now_ns:
            client = self._choices(self._clients, cum_weights=self._limits)[0]
            due.setdefault(client, []).append(self.next_ns)
            self.next_ns = next(self._moments, _NEVER_NS)
        for client, due_ns in due.items():
            client.place_due(due_ns)


class Generator:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._traffic = Traffic(plan.bets_per_message)
        messages = Messages(plan.bet, plan.bets_per_message)
        tokens = carried(plan.load, plan.tokens)
        self._clogged: set[Client] = set()
        self._clients = [Client(token, messages, self._traffic, self._clogged) for token in tokens]
        self._crowd = Crowd(self._clients)
        self._alarm = Alarm()
        self._crowd.wake_by(self._alarm)

    def run(self) -> Outcome:
        """Connect, place bets, wait for the last answer, and leave.

        Raises:
            LineError: A connection was refused or lost, or an answer did not come.
            FrameError: The server closed a connection, most likely.
            TrafficError: An answer was wrong.
            ScheduleError: There cannot be such an open loop.
        """
        try:
            return outcome_of(self._traffic, self._run())
        finally:
            self._crowd.close()
            self._alarm.close()

    def _run(self) -> float:
        """All of it, but for the outcome. Returns how many cores this process kept busy."""
        plan = self._plan
        arrivals = None
        if plan.messages_per_second is not None:
            # A long one takes half a minute, in which nobody would answer the server's heartbeats.
            arrivals = Arrivals(plan, self._clients)
        self._join()
        start_ns = perf_counter_ns()
        begin_ns = start_ns + int(plan.warm_up_s * _NS)
        end_ns = begin_ns + int(plan.window_s * _NS)
        self._traffic.open_window(begin_ns, end_ns)
        turn = self._closed_loop() if arrivals is None else self._open_loop(arrivals, start_ns)
        _turn_until(turn, begin_ns)
        cores = self._window(turn, begin_ns, end_ns)
        self._last_answers()
        return cores

    def _join(self) -> None:
        try:
            self._crowd.join(self._plan.url, one_address=True)
        except ssl.SSLError:
            raise  # there is one, which is not to be trusted
        except OSError as error:
            raise LineError(f"There is no server at {self._plan.url}: {error}") from error

    def _closed_loop(self) -> Callable[[int], None]:
        """Send some messages on each connection; another will follow each answer."""
        plan = self._plan
        in_flight = depths(plan.load, len(self._clients), plan.depth)
        for client, depth in zip(self._clients, in_flight, strict=True):
            client.refill = True
            if depth:
                client.place(depth)
        return self._turn

    def _open_loop(self, arrivals: Arrivals, start_ns: int) -> Callable[[int], None]:
        """Send messages when they are due."""
        arrivals.start(start_ns)

        def turn(until_ns: int) -> None:
            arrivals.send_what_is_due()
            self._alarm.set(max(arrivals.next_ns, perf_counter_ns() + _SHORTEST_SLEEP_NS))
            self._turn(until_ns)
            if perf_counter_ns() >= until_ns:
                # Leaving out what is late would flatter the latencies.
                arrivals.send_what_is_due()

        return turn

    def _turn(self, until_ns: int) -> None:
        """Read what has come; see that what was written leaves."""
        for client in list(self._clogged):
            client.flush()
            if not client.unsent:
                self._clogged.remove(client)
        if self._clogged:
            until_ns = min(until_ns, perf_counter_ns() + _AGAIN_NS)
        self._crowd.turn(until_ns)

    def _window(self, turn: Callable[[int], None], begin_ns: int, end_ns: int) -> float:
        """The part that is measured. Returns how much of a core this process kept busy in it."""
        say(BEGIN)
        reporter = Reporter(self._traffic)
        cpu_ns, at_ns = process_time_ns(), perf_counter_ns()
        for moment_ns in _moments(begin_ns, end_ns, self._plan.progress_every_s):
            _turn_until(turn, moment_ns)
            if moment_ns < end_ns:
                reporter.report()
        cores = (process_time_ns() - cpu_ns) / (perf_counter_ns() - at_ns)
        say(END)
        return cores

    def _last_answers(self) -> None:
        for client in self._clients:
            client.refill = False
        limit_ns = perf_counter_ns() + int(ANSWER_LIMIT_S * _NS)
        while self._traffic.outstanding:
            if perf_counter_ns() > limit_ns:
                raise LineError(f"{self._traffic.outstanding} messages were never answered")
            self._turn(limit_ns)


def _turn_until(turn: Callable[[int], None], until_ns: int) -> None:
    while perf_counter_ns() < until_ns:
        turn(until_ns)


def _moments(begin_ns: int, end_ns: int, every_s: float | None) -> Iterator[int]:
    """When to tell of the progress, at the end at the latest."""
    if every_s is not None:
        yield from range(begin_ns + int(every_s * _NS), end_ns, int(every_s * _NS))
    yield end_ns


def run(plan: Plan) -> Outcome:
    """Run a plan, see `Generator.run`."""
    # A pause to collect garbage would look like the server's; a run makes little of it.
    gc.disable()
    return Generator(plan).run()


if __name__ == "__main__":
    work(Plan, run, failures=(LineError, FrameError, TrafficError, ScheduleError, OSError))
