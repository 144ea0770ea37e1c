"""The rate of the turnstile, on a clock that waits for nobody."""

import asyncio

import pytest

from protocol.errors import Failure
from server.sockets import turnstile as turnstile_module
from server.sockets.turnstile import Turnstile
from tests.unit.virtual_loop import run, virtual_loop


class Crowd:
    """Handshakes that note when they were let in."""

    def __init__(self, turnstile: Turnstile, work_s: float = 0.0) -> None:
        self.turnstile = turnstile
        self.work_s = work_s
        self.passed: list[tuple[int, float]] = []

    def come(self, count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            self.turnstile.queue(_Handshake(self, number))

    def passed_by(self, at_s: float) -> int:
        return sum(passed_at <= at_s for _, passed_at in self.passed)


class _Handshake:
    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.number = number

    def let_in(self) -> None:
        loop = virtual_loop()
        loop.advance(self.crowd.work_s)
        self.crowd.passed.append((self.number, loop.time()))
        if self.number == 1_313:
            raise RuntimeError("one that fails")


def test_a_crowd_passes_in_order_at_the_rate() -> None:
    async def scenario() -> None:
        crowd = Crowd(Turnstile(per_second=1_000))
        await asyncio.sleep(5)
        began = virtual_loop().time()
        crowd.come(2_000)
        await asyncio.sleep(60)
        assert [number for number, _ in crowd.passed] == list(range(2_000))
        # What the rate had saved up passes at once, and is little.
        assert crowd.passed_by(began) <= 11
        for second in (0.5, 1.0, 1.5):
            assert crowd.passed_by(began + second) == pytest.approx(1_000 * second, abs=15)
        assert crowd.passed_by(began + 2.1) == 2_000

    run(scenario())


def test_nobody_waits_in_quiet_times() -> None:
    async def scenario() -> None:
        crowd = Crowd(Turnstile(per_second=100))
        for number in range(20):
            await asyncio.sleep(0.02)
            crowd.come(1, first=number)
            assert crowd.passed[-1] == (number, virtual_loop().time())

    run(scenario())


def test_a_loop_that_is_kept_busy_lets_fewer_in_rather_than_catch_up() -> None:
    async def scenario() -> None:
        crowd = Crowd(Turnstile(per_second=1_000))
        crowd.come(1_000)
        await asyncio.sleep(0.1)
        before = len(crowd.passed)
        virtual_loop().advance(0.5)
        await asyncio.sleep(0.003)
        assert len(crowd.passed) - before <= 15

    run(scenario())


def test_slow_handshakes_leave_the_loop_to_others_between_them() -> None:
    async def scenario() -> None:
        crowd = Crowd(Turnstile(per_second=10_000))
        crowd.come(200)
        assert len(crowd.turnstile) > 90
        crowd.work_s = 0.001
        longest = 0
        while crowd.turnstile:
            before = len(crowd.passed)
            await asyncio.sleep(0.0001)
            longest = max(longest, len(crowd.passed) - before)
        assert 1 <= longest <= 3

    run(scenario())


def test_the_line_is_as_long_as_clients_have_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(turnstile_module, "MAX_WAIT_S", 3.0)
        turnstile = Turnstile(per_second=10)
        crowd = Crowd(turnstile)
        await asyncio.sleep(1)
        crowd.come(31)
        assert len(turnstile) == 30
        with pytest.raises(Failure) as refused:
            turnstile.check()
        assert refused.value.kind.code == "overloaded"
        assert refused.value.details == {"limit_per_second": 10, "retry_after_ms": 3_000}
        await asyncio.sleep(0.2)
        turnstile.check()

    run(scenario())


def test_a_turn_that_is_given_up_is_the_next_one_s() -> None:
    async def scenario() -> None:
        turnstile = Turnstile(per_second=1)
        tasks = [asyncio.create_task(turnstile.turn()) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert [task.done() for task in tasks] == [True, False, False]
        tasks[1].cancel()
        await asyncio.sleep(1)
        assert tasks[2].done()
        assert len(turnstile) == 0

    run(scenario())
