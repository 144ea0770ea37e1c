"""Whose bets they are: the shares of wallets, in both loops."""

from collections import Counter, defaultdict
from time import perf_counter_ns
from typing import Any
from unittest.mock import create_autospec

import pytest

from benchmarks.client import Client
from benchmarks.generator import Arrivals
from benchmarks.loads import carried, depths, hot_connections, weights
from benchmarks.plan import Load, Plan

ALL: tuple[Load, ...] = ("uniform", "zipf", "hot")


@pytest.mark.parametrize("load", ALL)
@pytest.mark.parametrize("connections", [1, 2, 3, 64, 1_000])
def test_shares_add_up(load: Load, connections: int) -> None:
    shares = weights(load, connections)
    assert len(shares) == connections
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_the_nth_favourite_gets_about_an_nth_of_the_first_s() -> None:
    shares = weights("zipf", 100)
    assert shares == sorted(shares, reverse=True)
    assert 0.4 < shares[1] / shares[0] < 0.5
    assert 0.08 < shares[9] / shares[0] < 0.1


def test_the_hot_wallet_gets_half_on_a_quarter_of_the_connections() -> None:
    tokens = [f"t{number}" for number in range(64)]
    share: defaultdict[str, float] = defaultdict(float)
    for token, weight in zip(carried("hot", tokens), weights("hot", 64), strict=True):
        share[token] += weight
    assert share["t0"] == pytest.approx(0.5)
    assert carried("hot", tokens).count("t0") == hot_connections("hot", 64) == 16
    assert len(share) == 49
    assert share["t16"] == share["t63"] == pytest.approx(0.5 / 48)


@pytest.mark.parametrize("load", ["uniform", "zipf"])
def test_others_have_a_connection_each(load: Load) -> None:
    assert carried(load, ["a", "b", "c"]) == ["a", "b", "c"]


@pytest.mark.parametrize("load", ALL)
@pytest.mark.parametrize("depth", [1, 8])
def test_a_closed_loop_has_as_many_in_flight_whatever_the_load(load: Load, depth: int) -> None:
    in_flight = depths(load, 64, depth)
    assert sum(in_flight) == 64 * depth
    for share, count in zip(weights(load, 64), in_flight, strict=True):
        assert abs(count - share * 64 * depth) < 1


@pytest.mark.parametrize("load", ALL)
def test_an_open_loop_draws_connections_by_their_shares(load: Load) -> None:
    placed: Counter[int] = Counter()

    def client(number: int) -> Any:
        made = create_autospec(Client, instance=True)
        made.place_due.side_effect = lambda due: placed.update({number: len(due)})
        return made

    plan = Plan("", [], {}, 1, 1, 50_000, 0, 1, 3, load=load)
    arrivals = Arrivals(plan, [client(number) for number in range(10)])
    arrivals.start(perf_counter_ns() - 10**10)
    arrivals.send_what_is_due()
    total = placed.total()
    assert 49_000 < total < 51_000
    for number, share in enumerate(weights(load, 10)):
        assert placed[number] / total == pytest.approx(share, abs=0.01)
