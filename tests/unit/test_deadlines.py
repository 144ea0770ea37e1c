"""Deadlines of one length on one timer, on a clock that waits for nobody."""

import asyncio

from server.sockets.deadlines import SLICE_S, Deadlines
from tests.unit.virtual_loop import run, virtual_loop


class Due:
    """What fell due, and when."""

    def __init__(self, work_s: float = 0.0) -> None:
        self.at: dict[str, float] = {}
        self._work_s = work_s

    def __call__(self, key: str, _due_at: float) -> None:
        virtual_loop().advance(self._work_s)
        self.at[key] = round(virtual_loop().time(), 3)


def test_each_key_falls_due_after_its_own_delay() -> None:
    async def scenario() -> None:
        due = Due()
        deadlines = Deadlines(10.0, due)
        deadlines.add("a")
        await asyncio.sleep(3)
        deadlines.add("b")
        await asyncio.sleep(60)

        assert due.at == {"a": 10.0, "b": 13.0}
        assert len(deadlines) == 0
        deadlines.add("c")
        await asyncio.sleep(60)
        assert due.at["c"] == 73.0

    run(scenario())


def test_a_discarded_key_never_falls_due_and_an_added_one_starts_anew() -> None:
    async def scenario() -> None:
        due = Due()
        deadlines = Deadlines(10.0, due)
        for key in ("a", "b", "c"):
            deadlines.add(key)
        await asyncio.sleep(5)
        deadlines.discard("a")
        deadlines.discard("never added")
        deadlines.add("b")
        assert deadlines.running() == ["c", "b"]
        assert "a" not in deadlines
        assert "b" in deadlines
        await asyncio.sleep(60)

        assert due.at == {"c": 10.0, "b": 15.0}

    run(scenario())


def test_a_key_may_be_added_again_by_its_own_deadline() -> None:
    async def scenario() -> None:
        times: list[float] = []

        def again(key: str, due_at: float) -> None:
            times.append(round(due_at, 3))
            if len(times) < 4:
                deadlines.add(key, since=due_at)

        deadlines = Deadlines(0.05, again)
        deadlines.add("a")
        await asyncio.sleep(60)

        assert times == [0.05, 0.1, 0.15, 0.2]

    run(scenario())


def test_much_that_is_due_at_once_is_done_in_slices() -> None:
    async def scenario() -> None:
        loop = virtual_loop()
        due = Due(work_s=SLICE_S / 4)
        deadlines = Deadlines(1.0, due)
        for number in range(100):
            deadlines.add(str(number))
        longest_s = 0.0
        while len(due.at) < 100:
            before, began = len(due.at), loop.time()
            await asyncio.sleep(SLICE_S / 8)
            longest_s = max(longest_s, (len(due.at) - before) * SLICE_S / 4)
            assert loop.time() - began < 1.1

        assert longest_s <= 2 * SLICE_S

    run(scenario())


def test_a_fault_of_one_deadline_does_not_stop_the_timer() -> None:
    async def scenario() -> None:
        due = Due()

        def faulty(key: str, due_at: float) -> None:
            if key == "fault":
                raise RuntimeError(key)
            due(key, due_at)

        faults: list[object] = []
        virtual_loop().set_exception_handler(lambda _, context: faults.append(context))
        deadlines = Deadlines(1.0, faulty)
        deadlines.add("fault")
        deadlines.add("good")
        await asyncio.sleep(60)

        assert list(due.at) == ["good"]
        assert len(faults) == 1

    run(scenario())


def test_after_closing_nothing_falls_due() -> None:
    async def scenario() -> None:
        due = Due()
        deadlines = Deadlines(1.0, due)
        deadlines.add("a")
        deadlines.close()
        await asyncio.sleep(60)

        assert due.at == {}

    run(scenario())
