"""The stages of a bet's route in a loaded server, by samples of where its CPU time goes."""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.ledger import check_rows
from benchmarks.measurement import Measurement, measure, meter_of
from benchmarks.plan import Plan
from benchmarks.players import BET, enlist
from benchmarks.results import table
from benchmarks.sampled_server import START, STOP
from benchmarks.sampler import ELSEWHERE
from benchmarks.server_process import own_storage, serving

_WARM_UP_S: Final = 1.0
_LOOK_S: Final = 0.01
_TELL_LIMIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """A run under load, and the samples of its window by stage."""

    measured: Measurement
    samples: Mapping[str, int]

    @property
    def us_per_bet(self) -> float:
        """The server's CPU, sampling included."""
        return self.measured.us_per_bet(self.measured.usage.server)

    def stage_us(self, stage: str) -> float:
        """What of it fell to one stage, in microseconds a bet."""
        return self.us_per_bet * self.samples.get(stage, 0) / sum(self.samples.values())

    def figures(self) -> dict[str, Any]:
        """For the file of results."""
        return {
            "loaded": {
                "bets_per_second": self.measured.bets_per_second,
                "us_per_bet": self.us_per_bet,
                "rows_per_commit": self.measured.rows_per_commit,
                "samples": self.samples,
            }
        }

    def markdown(self, budget: Mapping[str, float]) -> str:
        """A table, stage by stage."""
        count = sum(self.samples.values())
        rows = [
            (
                stage,
                f"{self.stage_us(stage):.2f}",
                f"{budget[stage]:.1f}" if stage in budget else "",
                f"{self.samples.get(stage, 0) / count:.0%}",
            )
            for stage in (*budget, ELSEWHERE)
        ]
        whole = ("**whole**", f"{self.us_per_bet:.2f}", f"{sum(budget.values()):.1f}", "100%")
        head = (
            f"Loaded: {self.measured.bets_per_second:,.0f} bets/s,"
            f" {self.measured.rows_per_commit:.0f} rows a commit, {count:,} samples."
        )
        return f"{head}\n\n{table(('stage', 'µs/bet', 'budget', 'share'), [*rows, whole])}"


async def sample(connections: int, depth: int, window_s: float) -> Sampling:
    """Load a server of its own as fast as it goes, and sample it meanwhile.

    Raises:
        ServerError: It did not start, or ended badly.
        MeasurementError: It refused bets.
        LedgerError: The ledger does not have what was acknowledged.
    """
    with tempfile.TemporaryDirectory(prefix="pitboss-samples-") as folder:
        told = Path(folder) / "samples.json"
        command = ("-m", "benchmarks.sampled_server", str(told))
        async with own_storage() as storage, serving(storage, command=command) as server:
            players = await enlist(server.url, connections)
            plan = Plan(
                url=server.url,
                tokens=[player.token for player in players],
                bet=BET,
                bets_per_message=1,
                depth=depth,
                messages_per_second=None,
                warm_up_s=_WARM_UP_S,
                window_s=window_s,
                seed=1,
            )
            assert server.pid is not None
            pid = server.pid

            async def start() -> None:
                os.kill(pid, START)

            measured = await measure(plan, await meter_of(server), start)
            os.kill(pid, STOP)
            samples = await _told(told)
            user_ids = [player.user_id for player in players]
            await check_rows(storage.database_url, user_ids, measured.outcome.acknowledged)
    return Sampling(measured, samples)


async def _told(file: Path) -> dict[str, int]:
    async with asyncio.timeout(_TELL_LIMIT_S):
        while not file.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it, once
            await asyncio.sleep(_LOOK_S)
    return msgspec.json.decode(file.read_bytes(), type=dict[str, int])  # noqa: ASYNC240 - as above
