"""The longest silence of a player, as the benchmark of several nodes counts it."""

import pytest

from benchmarks.moves import Moments
from benchmarks.players import Player
from benchmarks.retrying import Retrying


@pytest.mark.parametrize(
    ("at_s", "since_s", "silence"),
    [
        # It began before what is measured, and ended in it.
        ([0.0, 1.0, 4.0, 4.5], 2.0, (1.0, 4.0)),
        # One that was over before does not count.
        ([0.0, 3.0, 3.1, 3.3, 3.4], 3.05, (3.1, 3.3)),
        # The first longest of several.
        ([1.0, 2.0, 3.0], 0.5, (1.0, 2.0)),
    ],
)
def test_the_longest_silence_since_a_moment(
    monkeypatch: pytest.MonkeyPatch,
    at_s: list[float],
    since_s: float,
    silence: tuple[float, float],
) -> None:
    moments = Moments()
    player = Retrying("http://127.0.0.1", Player(1, "token"), 1, moments.acknowledged)
    clock = iter(at_s)
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    for _ in at_s:
        moments.acknowledged(player)
    assert moments.newest_s(player) == at_s[-1]
    assert moments.silence(player, since_s) == silence
