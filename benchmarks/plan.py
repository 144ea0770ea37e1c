"""What a generator is told to do, and what it reports: JSON between two processes."""

from typing import Any, Literal

import msgspec

Arrivals = Literal["poisson", "burst"]
Load = Literal["uniform", "zipf", "hot"]


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """One run. Each token becomes one connection of one player.

    With `messages_per_second` the loop is open: messages arrive at that rate, whatever the server
    does. Without, it is closed: each connection keeps `depth` messages in flight on average, and
    `arrivals` means nothing.

    `arrivals` says when messages are due, see `schedule.py`: of each `burst_every_s`, the share
    `burst_share` comes as one burst. `load` says which wallets they are for, see `loads.py`.
    With `progress_every_s` the generator tells what it sees while it runs.
    """

    url: str
    tokens: list[str]
    bet: dict[str, Any]
    bets_per_message: int
    depth: int
    messages_per_second: float | None
    warm_up_s: float
    window_s: float
    seed: int
    arrivals: Arrivals = "poisson"
    burst_every_s: float = 5.0
    burst_share: float = 0.5
    load: Load = "uniform"
    progress_every_s: float | None = None


class Outcome(msgspec.Struct, forbid_unknown_fields=True):
    """What came of a run.

    `bets` were acknowledged within the window; `placed` and `acknowledged` count those of the
    whole run. Latencies, in nanoseconds, are of the messages due within the window of which any
    bet was settled, from the moment they were due (open loop) or sent (closed loop) to their
    acknowledgement. `lateness` is
    how long after that moment the generator sent them. `cores` is how much of a core the generator
    itself kept busy within the window.
    """

    bets: int
    placed: int
    acknowledged: int
    refused: dict[str, int]
    latency: dict[int, int]
    latency_max_ns: int
    lateness: dict[int, int]
    lateness_max_ns: int
    cores: float


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """How a run goes: figures since the last of these, and what came of it since the first bet.

    Percentiles are None where nothing was settled since the last.
    """

    elapsed_s: float
    bets_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    outcome: Outcome
