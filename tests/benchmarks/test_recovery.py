"""What broken promises look like to the benchmark of recovery, and a player who asks again."""

import asyncio
import json
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from benchmarks import recovery
from benchmarks.players import Player
from benchmarks.retrying import REPEATED, Promise, Retrying
from benchmarks.verdict import Verdict, compare

FIRST, SECOND = uuid4(), uuid4()
MADE = Promise("7-2", 1_234, 20, 90_000)


def nobody(_player: Retrying) -> None:
    """Nobody is told."""


def player(url: str = "http://127.0.0.1:1", *promised: UUID) -> Retrying:
    made = Retrying(url, Player(7, "token"), 2, nobody)
    made.promised = {str(one): MADE for one in promised}
    return made


def verdict(rows: list[tuple[UUID, Promise]], *promised: UUID) -> Verdict:
    found = Verdict()
    compare(found, player("http://127.0.0.1:1", *promised), rows)
    return found


def test_a_ledger_as_promised_is_clean() -> None:
    assert verdict([(FIRST, MADE), (SECOND, MADE)], FIRST, SECOND).clean


def test_a_promise_without_its_row_is_lost() -> None:
    assert verdict([(FIRST, MADE)], FIRST, SECOND) == Verdict(lost=[str(SECOND)])


def test_a_row_that_no_answer_promised_is_unpromised() -> None:
    rows = [(FIRST, MADE), (SECOND, MADE)]
    assert verdict(rows, FIRST) == Verdict(unpromised=[str(SECOND)])


@pytest.mark.parametrize(
    "other",
    [
        MADE._replace(bet_id="7-3"),
        MADE._replace(roll=0),
        MADE._replace(payout=0),
        MADE._replace(available=0),
    ],
)
def test_a_row_that_says_otherwise_is_changed(other: Promise) -> None:
    assert verdict([(FIRST, other)], FIRST) == Verdict(changed=[str(FIRST)])


Answer = Callable[[str, int], dict[str, object] | None]


def settled(roll: int) -> dict[str, object]:
    data = {"bet_id": "7-2", "roll": roll, "payout": 20, "balance": {"available": 90_000}}
    return {"success": True, "data": data}


def refusal(*, temporary: bool) -> dict[str, object]:
    return {"success": False, "error": {"code": "some", "temporary": temporary}}


class House:
    """A server that answers as it is told: `answer(request_id, how often it was asked)`.

    Where that is None, it ends the connection instead.
    """

    def __init__(self, answer: Answer) -> None:
        self.asked: dict[str, int] = {}
        self._answer = answer
        app = web.Application()
        app.router.add_get("/socket.io/", self._serve)
        self.server = TestServer(app)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("0{}")
        assert (await socket.receive()).data == '40{"token": "token"}'
        await socket.send_str("40{}")
        await socket.send_str("2")
        async for message in socket:
            assert message.type is WSMsgType.TEXT
            if message.data == "3":
                continue
            begin = message.data.index("[")
            request_id = json.loads(message.data[begin:])[1]["request_id"]
            self.asked[request_id] = self.asked.get(request_id, 0) + 1
            answer = self._answer(request_id, self.asked[request_id])
            if answer is None:
                break
            await socket.send_str(f"43{message.data[2:begin]}[{json.dumps(answer)}]")
        return socket


async def played(answer: Answer, bets: int) -> tuple[House, Retrying]:
    """A player who stops after so many bets."""
    house = House(answer)
    await house.server.start_server()

    def enough(one: Retrying) -> None:
        if len(one.promised) >= bets:
            one.finish()

    one = Retrying(str(house.server.make_url("")).rstrip("/"), Player(7, "token"), 2, enough)
    try:
        async with asyncio.timeout(20):
            await one.play()
    finally:
        await house.server.close()
    return house, one


async def test_what_was_not_answered_is_asked_again_under_the_same_id() -> None:
    cut: list[str] = []

    def answer(request_id: str, _times: int) -> dict[str, object] | None:
        if len(cut) < 3 and request_id not in cut:
            cut.append(request_id)
            return None
        return settled(5)

    house, one = await played(answer, bets=10)
    assert all(house.asked[request_id] > 1 for request_id in cut)
    assert one.promised.keys() == house.asked.keys()
    assert not one.unanswered
    assert one.resent >= len(cut)


async def test_an_answer_that_is_another_one_later_is_noticed() -> None:
    ended: list[str] = []

    def answer(request_id: str, times: int) -> dict[str, object] | None:
        if len(one_by_one) > 5 and not ended:
            ended.append(request_id)
            return None
        one_by_one.append(request_id)
        return settled(times)

    one_by_one: list[str] = []
    _house, one = await played(answer, bets=20)
    assert len(one.changed) == REPEATED
    assert one.repeated == REPEATED


async def test_a_temporary_refusal_is_asked_again_and_another_one_is_told() -> None:
    first: list[str] = []

    def answer(request_id: str, times: int) -> dict[str, object] | None:
        first.append(request_id)
        if request_id == first[0] and times == 1:
            return refusal(temporary=True)
        if len(set(first)) == 2 and request_id != first[0]:
            return refusal(temporary=False)
        return settled(5)

    house, one = await played(answer, bets=4)
    assert house.asked[first[0]] == 2
    assert first[0] in one.promised
    assert len(one.refused) >= 1


def test_throughput_is_back_once_a_part_has_nine_tenths_of_it() -> None:
    watch = recovery.Watch()
    assert watch.throughput_back_at_s(100) is None
    for _ in range(17):
        watch.count(10.05)
    assert watch.throughput_back_at_s(100) is None
    for _ in range(18):
        watch.count(10.3)
    assert watch.throughput_back_at_s(100) == pytest.approx(10.4)


def test_what_a_killed_server_had_sent_brings_nobody_and_no_throughput_back() -> None:
    watch, one = recovery.Watch(), player()
    watch.killed()
    one.joined_at_s = watch.killed_at_s - 1
    watch.acknowledged(one)
    assert watch.throughput_back_at_s(1) is None
    assert not watch.back_at_s
    one.joined_at_s = watch.killed_at_s + 1
    watch.acknowledged(one)
    assert watch.throughput_back_at_s(1) is not None
    assert watch.back_at_s.keys() == {one}
