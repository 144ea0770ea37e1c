"""The load generator, a process of its own: a Plan comes in on stdin, an Outcome goes out.

It prints `begin` and `end` at the ends of its window, so that whoever started it can measure the
server meanwhile, then the Outcome as one line of JSON.
"""

import asyncio
import gc
from collections.abc import Callable
from itertools import accumulate
from random import Random
from time import perf_counter, perf_counter_ns, process_time
from typing import Final

import uvloop

from benchmarks.alarm import Alarm
from benchmarks.client import Client, ClientError
from benchmarks.loads import carried, depths, weights
from benchmarks.messages import Messages
from benchmarks.plan import Outcome, Plan
from benchmarks.schedule import arrivals_ns
from benchmarks.traffic import Traffic
from benchmarks.worker import BEGIN, END, read_plan, say, tell

# An answer that takes longer than this will not come.
ANSWER_LIMIT_S: Final = 20.0
# Arrivals closer together than this leave in one wake-up.
_SHORTEST_SLEEP_NS: Final = 50_000
_NS: Final = 1_000_000_000
_NEVER_NS: Final = 3_600 * _NS


class Generator:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._traffic = Traffic(plan.bets_per_message)
        messages = Messages(plan.bet, plan.bets_per_message)
        self._clients = [
            Client(token, messages, self._traffic, self._fail)
            for token in carried(plan.load, plan.tokens)
        ]
        self._cores = 0.0

    def _fail(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    async def run(self) -> Outcome:
        """Connect, place bets, wait for the last answer, and leave.

        Raises:
            ClientError: A connection was lost, or an answer did not come.
        """
        plan = self._plan
        for client in self._clients:
            await client.connect(plan.url)
        start_ns = perf_counter_ns()
        begin_ns = start_ns + int(plan.warm_up_s * _NS)
        end_ns = begin_ns + int(plan.window_s * _NS)
        self._traffic.open_window(begin_ns, end_ns)
        marks = asyncio.ensure_future(self._mark(begin_ns, end_ns))
        if plan.messages_per_second is None:
            stop = self._closed_loop()
        else:
            stop = self._open_loop(start_ns)
        await asyncio.wait((marks, self._broken), return_when=asyncio.FIRST_COMPLETED)
        stop()
        await self._last_answers()
        for client in self._clients:
            client.close()
        return self._outcome()

    def _closed_loop(self) -> Callable[[], None]:
        """Send some messages on each connection, and another for each answer."""
        plan = self._plan
        in_flight = depths(plan.load, len(self._clients), plan.depth)
        for client, depth in zip(self._clients, in_flight, strict=True):
            client.refill = True
            for _ in range(depth):
                client.place(perf_counter_ns())
        return self._stop_refilling

    def _stop_refilling(self) -> None:
        for client in self._clients:
            client.refill = False

    def _open_loop(self, start_ns: int) -> Callable[[], None]:
        """Send a message whenever one is due, on a connection drawn by the load."""
        plan = self._plan
        arrivals = iter(arrivals_ns(plan))
        choices = Random(plan.seed).choices
        limits = list(accumulate(weights(plan.load, len(self._clients))))
        due_ns = start_ns + next(arrivals, _NEVER_NS)

        def send_what_is_due() -> None:
            nonlocal due_ns
            while due_ns <= perf_counter_ns():
                choices(self._clients, cum_weights=limits)[0].place(due_ns)
                due_ns = start_ns + next(arrivals, _NEVER_NS)
            alarm.set(max(due_ns, perf_counter_ns() + _SHORTEST_SLEEP_NS))

        def stop() -> None:
            # Everything was due by now: leaving out what is late would flatter the latencies.
            send_what_is_due()
            alarm.close()

        alarm = Alarm(asyncio.get_running_loop(), send_what_is_due)
        alarm.set(due_ns)
        return stop

    async def _mark(self, begin_ns: int, end_ns: int) -> None:
        await _sleep_until(begin_ns)
        cpu_s, at_s = process_time(), perf_counter()
        say(BEGIN)
        await _sleep_until(end_ns)
        self._cores = (process_time() - cpu_s) / (perf_counter() - at_s)
        say(END)

    async def _last_answers(self) -> None:
        limit_ns = perf_counter_ns() + int(ANSWER_LIMIT_S * _NS)
        while self._traffic.outstanding:
            if self._broken.done():
                break
            if perf_counter_ns() > limit_ns:
                raise ClientError(f"{self._traffic.outstanding} messages were never answered")
            await asyncio.sleep(0.01)
        if self._broken.done():
            self._broken.result()

    def _outcome(self) -> Outcome:
        traffic = self._traffic
        return Outcome(
            bets=traffic.bets_in_window,
            placed=traffic.placed,
            acknowledged=traffic.acknowledged,
            refused=dict(traffic.refused),
            latency=traffic.latency.sparse(),
            latency_max_ns=traffic.latency.max,
            lateness=traffic.lateness.sparse(),
            lateness_max_ns=traffic.lateness.max,
            cores=self._cores,
        )


async def _sleep_until(at_ns: int) -> None:
    await asyncio.sleep((at_ns - perf_counter_ns()) / _NS)


async def _main() -> None:
    plan = read_plan(Plan)
    # A pause to collect garbage would look like the server's; a run makes little of it.
    gc.disable()
    tell(await Generator(plan).run())


if __name__ == "__main__":
    uvloop.run(_main())
