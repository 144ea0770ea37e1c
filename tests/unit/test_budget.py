"""Token buckets: what they let through, and what a refused caller is told."""

import pytest

from protocol.errors import RATE_LIMITED, Failure
from server import budget
from server.budget import Budget, Budgets


def test_a_burst_passes_and_one_more_is_told_when_to_come_back() -> None:
    bucket = Budget(10, 5, now_s=0.0)
    for _ in range(5):
        bucket.take(1, 0.0)
    with pytest.raises(Failure) as refused:
        bucket.take(1, 0.0)
    assert refused.value.kind is RATE_LIMITED
    assert refused.value.details == {
        "limit_per_second": 10,
        "burst": 5,
        "retry_after_ms": 101,
    }


def test_coming_back_when_told_is_let_through() -> None:
    bucket = Budget(10, 1, now_s=0.0)
    bucket.take(1, 0.0)
    with pytest.raises(Failure) as refused:
        bucket.take(1, 0.0)
    bucket.take(1, refused.value.details["retry_after_ms"] / 1_000)


def test_a_refusal_takes_nothing() -> None:
    bucket = Budget(1, 3, now_s=0.0)
    with pytest.raises(Failure):
        bucket.take(4, 0.0)
    bucket.take(3, 0.0)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = Budget(10, 2, now_s=0.0)
    bucket.take(2, 1_000.0)
    with pytest.raises(Failure):
        bucket.take(1, 1_000.0)


def test_one_caller_shares_a_bucket_and_another_has_its_own() -> None:
    budgets = Budgets(1, 1, lambda: 0.0)
    assert budgets.of(1) is budgets.of(1)
    assert budgets.of(1) is not budgets.of(2)


def test_the_caller_unheard_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_CALLERS", 2)
    budgets = Budgets(1, 1, lambda: 0.0)
    first, second = budgets.of("a"), budgets.of("b")
    assert budgets.of("a") is first
    budgets.of("c")
    assert budgets.of("a") is first
    assert budgets.of("b") is not second


def test_what_is_put_back_can_be_taken_again_but_no_more_than_the_burst() -> None:
    bucket = Budget(1, 2, now_s=0.0)
    bucket.take(1, 0.0)
    bucket.put_back(1)
    bucket.put_back(1)
    bucket.take(2, 0.0)
    with pytest.raises(Failure):
        bucket.take(1, 0.0)
