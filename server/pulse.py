"""How fast things go: the node's counters, sampled once a second, as rates over the last seconds.

Nothing is added where a packet passes: the counters are there anyway, and are read by a job.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from protocol.commands.node import Traffic
from server.totals import Totals

SAMPLE_S: Final = 1.0
MINUTE: Final = 60
# A minute of intervals has one more end than intervals. The oldest sample is forgotten.
_KEPT: Final = MINUTE + 1


class _Sample(NamedTuple):
    at_s: float
    totals: Totals
    # The worst since the sample before.
    lag_s: float


class Pulse:
    """The last minute of a node. `read` is cheap; `clock_s` is monotonic, in seconds."""

    def __init__(self, read: Callable[[], Totals], clock_s: Callable[[], float]) -> None:
        self._read = read
        self._clock_s = clock_s
        # The node has just been made: it has done nothing yet.
        self._samples = deque([_Sample(clock_s(), Totals(), 0.0)], maxlen=_KEPT)
        self._lag_s = 0.0

    def observe_lag(self, seconds: float) -> None:
        """The event loop was so late a moment ago."""
        self._lag_s = max(self._lag_s, seconds)

    def sample(self) -> None:
        """Read the counters; to be called every `SAMPLE_S`."""
        self._samples.append(_Sample(self._clock_s(), self._read(), self._lag_s))
        self._lag_s = 0.0

    def traffic(self, samples: int) -> Traffic:
        """Rates over the last so many samples, or as many as there are: none at the very start."""
        newest = self._samples[-1]
        oldest = self._samples[max(0, len(self._samples) - 1 - samples)]
        now, before = newest.totals, oldest.totals
        seconds = newest.at_s - oldest.at_s

        def rate(now: int, before: int) -> float:
            return (now - before) / seconds if seconds else 0.0

        lags = [sample.lag_s for sample in self._samples if sample.at_s > oldest.at_s]
        return Traffic(
            seconds=seconds,
            packets_in_per_second=rate(now.packets_in, before.packets_in),
            packets_out_per_second=rate(now.packets_out, before.packets_out),
            bytes_in_per_second=rate(now.bytes_in, before.bytes_in),
            bytes_out_per_second=rate(now.bytes_out, before.bytes_out),
            opened_per_second=rate(now.opened, before.opened),
            ended_per_second=rate(now.ended, before.ended),
            commands_per_second=rate(now.commands, before.commands),
            bets_per_second=rate(now.bets, before.bets),
            loop_lag_ms=max(lags, default=0.0) * 1_000,
        )
