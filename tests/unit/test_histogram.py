"""The benchmarks' histogram against sorted lists."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.histogram import Histogram

durations = st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=200)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(durations, st.sampled_from([1, 25, 50, 90, 99, 99.9, 100]))
def test_a_percentile_is_at_most_a_128th_above_the_sorted_lists(
    values: list[int], percent: float
) -> None:
    exact = sorted(values)[max(1, math.ceil(percent / 100 * len(values))) - 1]
    found = filled(values).percentile(percent)
    assert exact <= found <= exact + exact // 128


@given(st.lists(st.integers(0, 255), min_size=1))
def test_small_durations_are_exact(values: list[int]) -> None:
    assert filled(values).percentile(50) == sorted(values)[math.ceil(len(values) / 2) - 1]


@pytest.mark.parametrize("value", [0, 1, 255, 256, 257, 511, 512, 513, 10**6, 2**40 - 1])
def test_one_duration_is_its_own_percentile_and_maximum(value: int) -> None:
    histogram = filled([value])
    assert (histogram.percentile(50), histogram.max, histogram.count) == (value, value, 1)


@given(durations, durations)
def test_added_histograms_are_the_histogram_of_both(first: list[int], second: list[int]) -> None:
    together = filled(first)
    together.add(filled(second))
    both = filled([*first, *second])
    assert together.sparse() == both.sparse()
    assert (together.count, together.max) == (both.count, both.max)


@given(durations)
def test_a_sparse_histogram_is_read_back(values: list[int]) -> None:
    histogram = filled(values)
    read = Histogram.from_sparse(histogram.sparse(), histogram.max)
    assert (read.sparse(), read.count, read.max) == (
        histogram.sparse(),
        histogram.count,
        histogram.max,
    )


def test_a_duration_too_long_for_the_buckets_is_still_the_maximum() -> None:
    histogram = filled([1, 2**50])
    assert histogram.max == 2**50
    assert histogram.percentile(100) == 2**40 - 1


def test_an_empty_histogram_has_nothing_to_tell() -> None:
    assert (Histogram().percentile(99), Histogram().max, Histogram().sparse()) == (0, 0, {})


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Histogram().record(-1)
