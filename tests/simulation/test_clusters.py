"""Worlds of clusters, in every test run; `python -m tests.simulation --cluster` runs many more."""

from collections import Counter

import pytest

from actors.runtime.routes import MAX_HOPS
from tests.simulation.__main__ import report
from tests.simulation.cluster import Cluster
from tests.simulation.plan import CLUSTER_DISASTERS
from tests.simulation.world import Result, run

SEEDS = range(24)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [run(seed, Cluster) for seed in SEEDS]


def test_every_invariant_holds_in_every_cluster(results: list[Result]) -> None:
    failed = [result for result in results if result.finding]
    assert not failed, report(failed[0])


def test_the_clusters_are_as_bad_as_they_claim(results: list[Result]) -> None:
    seen = sum((result.counts for result in results), Counter[str]())
    rare = [
        *(f"disaster {disaster}" for disaster in CLUSTER_DISASTERS),
        *(f"asks after {hops} hops" for hops in range(MAX_HOPS)),
        "drains that handed over",
        "drains in vain",
        "remote done",
        "remote refused",
        "remote timed_out",
        "remote lost",
        "remote parked_too_long",
        "shards claimed",
        "shards handed_over",
        "shards ended",
        "answer moving",
        "answer unreachable",
        "answer storage_unavailable",
        "answer DiceResult",
        "answer MinesStarted",
        "answer CashedOut",
        "answer CrashCancelled",
        "answer RainStarted",
        "fact tip_received",
        "fact rain_received",
        "fact cashed_out",
        "fact returned",
        "fact refunded",
        "fact voided",
    ]
    assert [what for what in rare if not seen[what]] == []


@pytest.mark.parametrize("seed", [3, 14])
def test_a_cluster_replays_step_by_step(seed: int, results: list[Result]) -> None:
    again = run(seed, Cluster)
    assert again == results[seed]
    assert again.digest != results[seed + 1].digest
