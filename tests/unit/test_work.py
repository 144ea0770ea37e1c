"""Slow commands: a few of each user at a time, none after the drain has begun, and an end."""

import asyncio
from typing import Any

from server.caller import Caller
from server.turns import AT_ONCE, PATIENCE_S
from server.work import Work
from tests.simulation.loop import on_virtual_time
from tests.support.bench import Answer, quiet


class Desk:
    """A handler whose work goes on until the test lets it end."""

    def __init__(self) -> None:
        self.work = Work()
        self.running: list[int] = []
        self.gate = asyncio.Event()
        self._handle = self.work.answering(self._serve)

    async def _serve(self, caller: Caller, _command: Any) -> str:
        self.running.append(caller.user_id)
        try:
            await self.gate.wait()
        finally:
            self.running.remove(caller.user_id)
        return "done"

    def ask(self, user_id: int) -> Answer:
        caller = Caller(None, "here", {})
        caller.user_id = user_id
        answer: Any = Answer([], "")
        self._handle(caller, None, answer)
        assert isinstance(answer, Answer)
        return answer


async def test_of_one_user_a_few_run_at_a_time_and_the_rest_follows() -> None:
    desk = Desk()
    answers = [desk.ask(7) for _ in range(3 * AT_ONCE)]
    other = desk.ask(8)
    await quiet()
    assert sorted(desk.running) == [7] * AT_ONCE + [8]
    desk.gate.set()
    await desk.work.finish(1)
    assert [answer.given for answer in [*answers, other]] == [["done"]] * (3 * AT_ONCE + 1)
    assert len(desk.work._turns) == 0


@on_virtual_time
async def test_who_waits_too_long_for_a_turn_is_told_so() -> None:
    desk = Desk()
    answers = [desk.ask(7) for _ in range(AT_ONCE + 1)]
    await asyncio.sleep(PATIENCE_S + 0.01)
    assert [answer.given for answer in answers] == [[]] * AT_ONCE + [["overloaded"]]
    desk.gate.set()
    await desk.work.finish(1)
    assert (await asked(desk)).given == ["draining"]


async def asked(desk: Desk) -> Answer:
    answer = desk.ask(9)
    await quiet()
    return answer


async def test_strangers_have_no_turns() -> None:
    desk = Desk()
    for _ in range(3 * AT_ONCE):
        desk.ask(0)
    await quiet()
    assert len(desk.running) == 3 * AT_ONCE
    desk.gate.set()
    await desk.work.finish(1)


@on_virtual_time
async def test_the_end_takes_nothing_new_and_does_not_wait_for_ever() -> None:
    desk = Desk()
    answer = desk.ask(7)
    ending = asyncio.get_running_loop().create_task(desk.work.finish(5))
    await asyncio.sleep(1)
    assert (await asked(desk)).given == ["draining"]
    assert answer.given == []
    await ending
    assert asyncio.get_running_loop().time() == 5
    assert answer.given == ["storage_unavailable"]
    assert (desk.work.under_way, desk.running) == (0, [])
