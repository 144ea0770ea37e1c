"""The clock of actors never goes back."""

from server.clock import Clock


def test_it_stands_still_while_the_clock_below_is_behind() -> None:
    times = iter([100, 200, 150, 199, 201])
    clock = Clock(lambda: next(times))
    assert [clock() for _ in range(5)] == [100, 200, 200, 200, 201]
