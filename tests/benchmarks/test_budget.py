"""The budget's figures: shares of a commit, marks, and what a sample counts for."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import budget
from benchmarks.own_node import own_node
from benchmarks.sampler import ELSEWHERE, STAGES, Sampler, stage_of
from benchmarks.stages import Costs, measure

COSTS = Costs(
    frame=1.0,
    frame_alone=3.0,
    packet=1.0,
    decode=0.5,
    route=2.5,
    decide=5.0,
    ack=2.0,
    ack_alone=8.0,
    # 100 for the commit, and 4 for each row.
    commit_us={512: 2_148.0, 64: 356.0, 8: 132.0, 1: 104.0},
    whole=20.0,
    rows_per_commit=50.0,
)


@pytest.fixture
def usual_collector() -> Iterator[None]:
    """The garbage collector as it was, after a node that sets it up for itself."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_commit_is_shared_by_its_rows() -> None:
    assert budget.row_us(COSTS) == pytest.approx(4.0)
    assert budget.commit_us(COSTS, 1) == pytest.approx(100.0)
    assert budget.commit_us(COSTS, 50) == pytest.approx(2.0)


def test_the_budget_is_25_microseconds() -> None:
    assert sum(budget.BUDGET.values()) == 25.0
    assert budget.STAGES.keys() == budget.BUDGET.keys()


def test_the_table_marks_what_is_over_and_says_what_is_unexplained() -> None:
    lines = {line.split("|")[1].strip(): line for line in budget.table([COSTS]).splitlines()}
    assert "**over**" in lines["route"]
    assert "**over**" not in lines["decide"]
    # 1 + 1 + 0.5 + 2.5 + 5 + 4 + 2 + 2 of 20.
    assert "| 18.00 | 25.0 | 90% |" in lines["sum of the stages"]
    assert "| 2.00 |  | 10% |" in lines["unexplained"]


@pytest.mark.parametrize(
    ("file", "function", "stage"),
    [
        ("server/sockets/connection.py", "receive_text", "frame"),
        ("server/sockets/connection.py", "flush", "ack"),
        ("protocol/socketio.py", "decode", "packet"),
        ("server/router.py", "_decode", "decode"),
        ("actors/instant.py", "decide", "decide"),
        ("storage/rows.py", "entry_row", "encode rows"),
        ("server/serve.py", "serve", None),
    ],
)
def test_a_function_belongs_to_a_stage(file: str, function: str, stage: str | None) -> None:
    assert stage_of(file, function) == stage


def test_every_file_with_stages_is_there() -> None:
    root = Path(budget.__file__).parents[1]
    assert all((root / file).is_file() for file in STAGES)


def test_the_sampler_counts_what_is_of_no_stage_apart() -> None:
    sampler = Sampler()
    sampler.start()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        sum(range(1_000))
    sampler.stop()
    assert set(sampler.samples) == {ELSEWHERE}


@pytest.mark.slow
@pytest.mark.usefixtures("usual_collector")
@pytest.mark.usefixtures("copied_cluster")
async def test_the_stages_of_a_real_node_are_measured_with_bets_that_reach_its_ledger() -> None:
    async with own_node() as node:
        # Raises unless the ledger has exactly what was acknowledged.
        (costs,) = await measure(node, rounds=1, depth=2)
    assert min(costs.frame, costs.decode, costs.ack, costs.whole, *costs.commit_us.values()) > 0
    assert costs.rows_per_commit > 1
