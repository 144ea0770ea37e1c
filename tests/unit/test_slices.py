"""Work in slices, on a clock that waits for nobody."""

import asyncio

import pytest

from server.sockets.deadlines import SLICE_S
from server.sockets.slices import Slices
from tests.unit.virtual_loop import run, virtual_loop


def test_a_crowd_s_work_leaves_the_loop_to_others_and_keeps_its_order() -> None:
    async def scenario() -> None:
        done: list[int] = []

        def work(item: int) -> None:
            virtual_loop().advance(SLICE_S / 4)
            done.append(item)

        slices = Slices(work)
        for number in range(100):
            slices.add(number)
        assert done == []
        turns = 0
        while slices:
            before = len(done)
            await asyncio.sleep(0)
            assert len(done) - before <= 6
            turns += 1
        assert done == list(range(100))
        assert turns >= 16

    run(scenario())


def test_what_fails_is_logged_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        done: list[int] = []

        def work(item: int) -> None:
            if item == 1:
                raise RuntimeError("this one is broken")
            done.append(item)
            if item == 2:
                slices.add(4)

        slices = Slices(work)
        for number in range(4):
            slices.add(number)
        await asyncio.sleep(0.01)
        assert done == [0, 2, 3, 4]
        slices.add(5)
        await asyncio.sleep(0.01)
        assert done[-1] == 5

    run(scenario())
    assert "a piece of work failed" in caplog.text
