"""One run of a generator against a server, and the figures that follow from it.

A figure that is not known is not a number (NaN), which is null in JSON.
"""

import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.histogram import Histogram
from benchmarks.plan import Outcome, Plan, Progress
from benchmarks.server_process import Server
from benchmarks.usage import Meter, Usage, postmaster_pid
from benchmarks.worker import BEGIN, END, Worker, worker

# Reads how many transactions a server has committed, and how many rows in them.
_Count = Callable[[aiohttp.ClientSession, str], Awaitable[tuple[int, int]]]


class MeasurementError(Exception):
    """The run is worth nothing: bets were refused."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run showed. Usage and commits are those of its window."""

    window_s: float
    outcome: Outcome
    usage: Usage
    commits: int
    committed_rows: int

    @property
    def bets_per_second(self) -> float:
        """Bets acknowledged in a second."""
        return self.outcome.bets / self.window_s

    def us_per_bet(self, cores: float) -> float:
        """What some busy cores are for each bet, in microseconds of CPU; NaN without bets."""
        return cores * 1e6 / self.bets_per_second if self.outcome.bets else math.nan

    @property
    def refused(self) -> float:
        """The share of all bets of the run that were refused; NaN without any."""
        placed = self.outcome.placed
        return sum(self.outcome.refused.values()) / placed if placed else math.nan

    @property
    def others(self) -> float:
        """Cores that were busy with something that is no part of this, on average.

        NaN where a part is not known.
        """
        usage = self.usage
        others = usage.machine - usage.server - usage.postgres - self.outcome.cores
        # Processes are read one after another, so that little may come out below nothing.
        return others if math.isnan(others) else max(0.0, others)

    @property
    def rows_per_commit(self) -> float:
        """How many rows a transaction had on average; NaN without any."""
        return self.committed_rows / self.commits if self.commits else math.nan

    @property
    def latency(self) -> Histogram:
        """Times to the acknowledgement, in nanoseconds."""
        return Histogram.from_sparse(self.outcome.latency, self.outcome.latency_max_ns)

    @property
    def lateness(self) -> Histogram:
        """How late the generator itself was, in nanoseconds."""
        return Histogram.from_sparse(self.outcome.lateness, self.outcome.lateness_max_ns)


def milliseconds(histogram: Histogram, percent: float) -> float:
    """A percentile of durations; NaN if there were none."""
    return histogram.percentile(percent) / 1e6 if histogram.count else math.nan


def largest_ms(histogram: Histogram) -> float:
    """The longest of some durations; NaN if there were none."""
    return histogram.max / 1e6 if histogram.count else math.nan


async def meter_of(server: Server) -> Meter:
    """The meter of a server here; processes of other machines cannot be read."""
    postmaster = None
    if server.pid is not None and server.database_url is not None:
        postmaster = await postmaster_pid(server.database_url)
    return Meter(server.pid, postmaster)


async def _nothing() -> None:
    pass


async def measure(
    plan: Plan,
    meter: Meter,
    meanwhile: Callable[[], Awaitable[None]] = _nothing,
    *,
    commits: bool = True,
    refusals: Collection[str] | None = (),
    progress: Callable[[Progress], None] | None = None,
) -> Measurement:
    """Run the plan in a generator's process and read the meters at both ends of its window.

    `meanwhile` starts what else is to happen from the window's beginning. A server without
    Pitboss's metrics is measured without `commits`, which are 0 then; what processes use that the
    meter does not know is NaN. `progress` is told how it
    goes, if the plan says how often.

    Raises:
        WorkerError: The generator failed.
        MeasurementError: No bet was due, or the server settled none, or refused some for other
            reasons than these `refusals`, of which None are all there are.
    """
    count = _commits if commits else _no_commits

    def told(line: bytes) -> None:
        if progress is not None:
            progress(msgspec.json.decode(line, type=Progress))

    async with worker("benchmarks.generator", plan, told) as generator:
        measured = await _watch(generator, plan, meter, meanwhile, count)
    outcome = measured.outcome
    if plan.messages_per_second is not None and not outcome.lateness:
        raise MeasurementError(
            "no bet was due in the window: give a higher rate, or a longer window"
        )
    worthless = () if refusals is None else set(outcome.refused) - set(refusals)
    if worthless or not (outcome.bets or outcome.refused):
        raise MeasurementError(f"bets settled: {outcome.bets}; refused: {outcome.refused}")
    return measured


async def _watch(
    generator: Worker,
    plan: Plan,
    meter: Meter,
    meanwhile: Callable[[], Awaitable[None]],
    count: _Count,
) -> Measurement:
    async with aiohttp.ClientSession() as http:
        await generator.expect(BEGIN)
        before = meter.read()
        commits_before, rows_before = await count(http, plan.url)
        await meanwhile()
        await generator.expect(END)
        usage = meter.known(meter.read().since(before))
        commits, rows = await count(http, plan.url)
    outcome = await generator.outcome(Outcome)
    return Measurement(plan.window_s, outcome, usage, commits - commits_before, rows - rows_before)


async def _no_commits(_http: aiohttp.ClientSession, _url: str) -> tuple[int, int]:
    return 0, 0


async def _commits(http: aiohttp.ClientSession, url: str) -> tuple[int, int]:
    """How many transactions the server has committed, and how many rows in them."""
    async with http.get(f"{url}/metrics") as response:
        text = await response.text()
    samples = {
        sample.name: int(sample.value)
        for family in text_string_to_metric_families(text)
        if family.name == "pitboss_commit_rows"
        for sample in family.samples
        if not sample.labels
    }
    return samples["pitboss_commit_rows_count"], samples["pitboss_commit_rows_sum"]
