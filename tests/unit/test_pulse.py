"""Rates over the last seconds, from counters and a clock that a test sets."""

import pytest

from server.pulse import MINUTE, Pulse
from server.totals import Totals


class Node:
    """A node's counters and its clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.totals = Totals()
        self.pulse = Pulse(lambda: self.totals, lambda: self.now_s)

    def after(self, seconds: float, totals: Totals) -> None:
        """Let time pass, then take a sample."""
        self.now_s += seconds
        self.totals = totals
        self.pulse.sample()


def test_before_the_first_sample_nothing_is_known() -> None:
    traffic = Node().pulse.traffic(1)
    assert traffic.seconds == 0
    assert traffic.packets_in_per_second == 0
    assert traffic.loop_lag_ms == 0


def test_each_counter_has_its_own_rate() -> None:
    node = Node()
    node.after(2.0, Totals(2, 4, 6, 8, 10, 12, 14, 16))
    traffic = node.pulse.traffic(1)
    assert traffic.seconds == 2.0
    assert (
        traffic.packets_in_per_second,
        traffic.packets_out_per_second,
        traffic.bytes_in_per_second,
        traffic.bytes_out_per_second,
        traffic.opened_per_second,
        traffic.ended_per_second,
        traffic.commands_per_second,
        traffic.bets_per_second,
    ) == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


def test_the_newest_second_and_all_of_them() -> None:
    node = Node()
    node.after(1.0, Totals(packets_in=100))
    node.after(1.0, Totals(packets_in=110))
    assert node.pulse.traffic(1).packets_in_per_second == 10
    minute = node.pulse.traffic(MINUTE)
    assert (minute.seconds, minute.packets_in_per_second) == (2.0, 55)


def test_what_was_longer_ago_than_a_minute_is_forgotten() -> None:
    node = Node()
    node.after(1.0, Totals(packets_in=1_000_000))
    for second in range(1, 1_000):
        node.after(1.0, Totals(packets_in=1_000_000 + 3 * second))
    minute = node.pulse.traffic(MINUTE)
    assert (minute.seconds, minute.packets_in_per_second) == (60.0, 3)
    assert len(node.pulse._samples) == MINUTE + 1


def test_a_sample_that_came_late_counts_for_as_long_as_it_took() -> None:
    node = Node()
    node.after(4.0, Totals(bets=8))
    assert node.pulse.traffic(1).bets_per_second == 2


def test_the_lag_is_the_worst_of_its_time() -> None:
    node = Node()
    for lag_s in (0.002, 0.25, 0.004):
        node.pulse.observe_lag(lag_s)
    node.after(1.0, Totals())
    assert node.pulse.traffic(1).loop_lag_ms == pytest.approx(250)
    node.pulse.observe_lag(0.001)
    node.after(1.0, Totals())
    assert node.pulse.traffic(1).loop_lag_ms == pytest.approx(1)
    assert node.pulse.traffic(MINUTE).loop_lag_ms == pytest.approx(250)
