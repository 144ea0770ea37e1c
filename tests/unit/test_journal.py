"""The journal: group commit, refusals of one actor, retries, losses and an orderly end."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any
from uuid import UUID

import pytest

from actors.crash.rules import crash_kind
from actors.decision import Decision, Message
from actors.runtime.actor import Actor
from actors.runtime.ports import Lane as LanePort
from actors.runtime.ports import Write
from protocol.errors import INSUFFICIENT_BALANCE, Failure
from storage import lane as lanes
from storage.journal import Journal, shards_of
from storage.lane import Lane, Lost, Posted, Refused, Transient
from tests.simulation.loop import on_virtual_time
from tests.support.bench import Answer, BenchLane, quiet
from tests.support.counter import KIND, Add, number

TIMEOUT_S = 1.5


class Scripted:
    """A writer whose writes end as the test has scripted; without a script they succeed."""

    def __init__(self) -> None:
        self.script: deque[Exception | Callable[[], Awaitable[object]]] = deque()
        self.batches: list[list[Any]] = []
        self.posted: list[Posted] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: list[str] = []
        self.cut = asyncio.Event()
        self.takes_s = 0.01

    async def write(self, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        self.batches.append(list(facts))
        await asyncio.sleep(self.takes_s)
        if self.script:
            step = self.script.popleft()
            if isinstance(step, Exception):
                raise step
            await step()
        self.posted += messages

    async def claim(self, shards: Collection[int]) -> set[int]:
        raise AssertionError(f"nobody claims {shards} here")

    async def release(self, shards: Collection[int]) -> None:
        raise AssertionError(f"nobody releases {shards} here")

    def lost(self) -> Awaitable[None]:
        return asyncio.shield(self.ended)

    async def close(self) -> None:
        await asyncio.sleep(0.5)
        self.closed.append("closed")

    def terminate(self) -> None:
        if not self.cut.is_set():
            self.closed.append("terminated")
        self.cut.set()


class Office:
    """A lane, its writers and whoever it tells."""

    def __init__(self) -> None:
        self.writer = Scripted()
        self.connects: list[Exception] = []
        self.tried = 0
        self.told: list[tuple[str, list[str]]] = []
        self.lane = Lane(0, [0, 1], self.connect, self, TIMEOUT_S, self.observe)
        self.observed: list[int] = []
        self.actors: dict[int, Actor] = {}
        self.task = asyncio.get_running_loop().create_task(self.lane.run())

    async def connect(self, _lane: int, _shards: Sequence[int]) -> Scripted:
        self.tried += 1
        if self.connects:
            raise self.connects.pop(0)
        return self.writer

    def observe(self, facts: int, _seconds: float) -> None:
        self.observed.append(facts)

    def committed(self, writes: Sequence[Write]) -> None:
        self.told.append(("committed", [write.command for write in writes]))

    def refused(self, writes: Sequence[Write]) -> None:
        self.told.append(("refused", [write.command for write in writes]))

    def lost(self, lane: LanePort, writes: Sequence[Write]) -> None:
        assert lane is self.lane
        assert not lane.open
        self.told.append(("lost", [write.command for write in writes]))

    def put(self, *names: str, facts: bool = True, messages: tuple[Message, ...] = ()) -> None:
        """Append writes named like `7a`: of actor 7, with the name as command and as its fact."""
        for name in names:
            key = int(name[:-1])
            actor = self.actors.setdefault(key, Actor(KIND, key, key % 2, BenchLane(), 0))
            decision = Decision(None, (name,) if facts else (), (), messages)
            self.lane.append(Write(actor, name, Answer([], name), decision, False))

    async def end(self) -> None:
        """Close the lane and see that it ends."""
        self.lane.close()
        async with asyncio.timeout(60):
            await self.task


async def opened() -> Office:
    office = Office()
    await office.lane.wait_open()
    return office


@on_virtual_time
async def test_what_piles_up_while_one_batch_is_written_goes_into_the_next() -> None:
    office = await opened()
    office.put("1a", "2a", "1b")
    await asyncio.sleep(0.005)
    office.put("3a")
    office.put("2b")
    await asyncio.sleep(0.1)
    assert office.writer.batches == [["1a", "2a", "1b"], ["3a", "2b"]]
    assert office.told == [("committed", ["1a", "2a", "1b"]), ("committed", ["3a", "2b"])]
    assert office.observed == [3, 2]
    await office.end()


@on_virtual_time
async def test_a_batch_is_bounded() -> None:
    office = await opened()
    names = [f"{n}a" for n in range(lanes.MAX_BATCH + 1)]
    office.put(*names)
    await asyncio.sleep(0.1)
    assert office.writer.batches == [names[:-1], names[-1:]]
    await office.end()


@pytest.mark.parametrize("size", [1, lanes.DENSE - 1, lanes.ENOUGH])
@on_virtual_time
async def test_what_is_few_or_enough_is_written_at_once(size: int) -> None:
    office = await opened()
    office.writer.takes_s = lanes.PACE_S / 8
    loop = asyncio.get_running_loop()
    groups = 20
    began_s = loop.time()
    for _ in range(groups):
        office.put(*["1a"] * size)
        while office.lane.depth:
            await asyncio.sleep(lanes.PACE_S / 64)
    assert loop.time() - began_s < groups * lanes.PACE_S / 2
    assert [len(batch) for batch in office.writer.batches] == [size] * groups
    await office.end()


@on_virtual_time
async def test_dense_writes_share_commits_that_begin_a_pace_apart() -> None:
    office = await opened()
    office.writer.takes_s = lanes.PACE_S / 8
    moments = 20 * 32
    for _ in range(moments):
        office.put("1a", "2a")
        await asyncio.sleep(lanes.PACE_S / 32)
    await asyncio.sleep(lanes.PACE_S)
    batches = [len(batch) for batch in office.writer.batches]
    assert sum(batches) == 2 * moments
    assert set(batches[2:-1]) == {2 * 32}
    await office.end()


@on_virtual_time
async def test_a_queue_is_full_at_its_bound() -> None:
    office = await opened()
    office.put(*["1a"] * (lanes.MAX_QUEUE - 1))
    assert (office.lane.full, office.lane.depth) == (False, lanes.MAX_QUEUE - 1)
    office.put("1b")
    assert (office.lane.full, office.lane.depth) == (True, lanes.MAX_QUEUE)
    await asyncio.sleep(1)
    assert (office.lane.full, office.lane.depth) == (False, 0)
    await office.end()


@on_virtual_time
async def test_writes_without_facts_keep_their_place_and_cost_no_transaction() -> None:
    office = await opened()
    office.put("1a")
    office.put("1b", facts=False)
    refusal = Write(office.actors[1], "1c", Answer([], ""), Failure(INSUFFICIENT_BALANCE), False)
    office.lane.append(refusal)
    await asyncio.sleep(0.1)
    office.lane.append(refusal)
    await asyncio.sleep(0.1)
    assert office.writer.batches == [["1a"]]
    assert office.told == [("committed", ["1a", "1b", "1c"]), ("committed", ["1c"])]
    await office.end()


@on_virtual_time
async def test_messages_go_with_the_shard_of_their_sender() -> None:
    office = await opened()
    message = Message(UUID(int=1), "counter", 8, Add(number(1)))
    office.put("7a", messages=(message,))
    await asyncio.sleep(0.1)
    assert office.writer.posted == [(message, 1)]
    await office.end()


@on_virtual_time
async def test_one_refused_actor_leaves_with_all_its_writes_and_the_rest_is_written() -> None:
    office = await opened()
    office.writer.script.append(Refused(2, "again"))
    office.put("1a", "2a", "3a")
    await asyncio.sleep(0.005)
    office.put("2b", "1b")
    await asyncio.sleep(0.1)
    assert office.writer.batches == [["1a", "2a", "3a"], ["1a", "3a"], ["1b"]]
    assert office.told == [
        ("refused", ["2a", "2b"]),
        ("committed", ["1a", "3a"]),
        ("committed", ["1b"]),
    ]
    await office.end()


@on_virtual_time
async def test_several_offenders_leave_one_by_one() -> None:
    office = await opened()
    office.writer.script.extend([Refused(2, "again"), Refused(3, "again")])
    office.put("1a", "2a", "3a", "4a")
    await asyncio.sleep(0.1)
    assert office.told == [
        ("refused", ["2a"]),
        ("refused", ["3a"]),
        ("committed", ["1a", "4a"]),
    ]
    await office.end()


@pytest.mark.parametrize("key", [None, 99])
def test_a_refusal_that_names_nobody_here_refuses_the_batch(key: int | None) -> None:
    @on_virtual_time
    async def scene() -> None:
        office = await opened()
        office.writer.script.append(Refused(key, "a puzzle"))
        office.put("1a", "2a")
        await asyncio.sleep(0.005)
        office.put("3a")
        await asyncio.sleep(0.1)
        assert office.told[0] == ("refused", ["1a", "2a"])
        assert office.told[-1] == ("committed", ["3a"])
        await office.end()

    scene()


@on_virtual_time
async def test_too_many_offenders_refuse_the_batch() -> None:
    office = await opened()
    office.writer.script.extend(Refused(key, "again") for key in range(lanes.MAX_REFUSALS))
    office.put(*(f"{key}a" for key in range(20)))
    await asyncio.sleep(1)
    refusals = [names for told, names in office.told if told == "refused"]
    assert [len(names) for names in refusals] == [1] * 7 + [13]
    assert len(office.writer.batches) == lanes.MAX_REFUSALS
    await office.end()


@on_virtual_time
async def test_offenders_however_many_take_no_table_with_them() -> None:
    """Who could make a table be read again could have its round voided."""
    office = await opened()
    office.writer.script.extend(Refused(key, "again") for key in range(lanes.MAX_REFUSALS))
    table = office.actors[50] = Actor(crash_kind({}, ()), 50, 0, BenchLane(), 0)
    office.put("50a", *(f"{key}a" for key in range(20)), "50b")
    await asyncio.sleep(1)
    assert office.told[-1] == ("committed", ["50a", "50b"])
    assert sum(len(names) for told, names in office.told if told == "refused") == 20
    assert not table.gone
    await office.end()


@on_virtual_time
async def test_a_table_whose_own_rows_are_refused_is_given_back() -> None:
    office = await opened()
    office.writer.script.append(Refused(None, "a puzzle"))
    office.actors[50] = Actor(crash_kind({}, ()), 50, 0, BenchLane(), 0)
    office.put("50a")
    await asyncio.sleep(1)
    assert office.told[0] == ("refused", ["50a"])
    await office.end()


@on_virtual_time
async def test_a_passing_trouble_is_tried_again_with_the_same_batch() -> None:
    office = await opened()
    office.writer.script.extend([Transient("busy")] * len(lanes.RETRY_PAUSES_S))
    office.put("1a", "2a")
    await asyncio.sleep(0.005)
    office.put("3a")
    await asyncio.sleep(1)
    assert office.writer.batches == [["1a", "2a"]] * 4 + [["3a"]]
    assert [told for told, _names in office.told] == ["committed", "committed"]
    await office.end()


@on_virtual_time
async def test_a_trouble_that_does_not_pass_is_a_loss() -> None:
    office = await opened()
    office.writer.script.extend([Transient("busy")] * (len(lanes.RETRY_PAUSES_S) + 1))
    office.put("1a")
    await asyncio.sleep(0.005)
    office.put("2a")
    await asyncio.sleep(1)
    assert office.told == [("lost", ["1a", "2a"])]
    assert office.writer.closed == ["terminated"]
    assert office.tried == 2
    await office.end()


@on_virtual_time
async def test_no_answer_in_time_is_a_loss_whose_outcome_is_unknown() -> None:
    office = await opened()
    office.writer.script.append(asyncio.Event().wait)
    office.put("1a")
    # The time-out is counted in looks, so it may come one look early.
    await asyncio.sleep(TIMEOUT_S - 2 * TIMEOUT_S / lanes.LOOKS)
    assert (office.told, office.lane.open) == ([], True)
    await asyncio.sleep(2 * TIMEOUT_S / lanes.LOOKS + 0.01)
    assert office.told == [("lost", ["1a"])]
    assert office.writer.closed == ["terminated"]
    await office.end()


@on_virtual_time
async def test_a_server_that_does_not_even_roll_back_is_not_waited_for() -> None:
    office = await opened()

    async def in_transaction() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            # The transaction's rollback, on a network that swallows everything.
            await office.writer.cut.wait()

    office.writer.script.append(in_transaction)
    office.put("1a")
    await asyncio.sleep(TIMEOUT_S + 0.01)
    assert office.told == [("lost", ["1a"])]
    await office.end()


@on_virtual_time
async def test_all_tries_together_have_the_time_of_one() -> None:
    office = await opened()
    # As a locked table answers: busy, but only after a second.
    office.writer.takes_s = 1.0
    office.writer.script.extend([Transient("locked")] * 4)
    office.put("1a")
    await asyncio.sleep(TIMEOUT_S + TIMEOUT_S / lanes.LOOKS)
    assert office.told == [("lost", ["1a"])]
    assert office.writer.closed == ["terminated"]
    await office.end()


@on_virtual_time
async def test_a_lost_connection_gives_everything_back_and_is_won_again() -> None:
    office = await opened()
    office.writer.script.append(Lost("gone"))
    office.connects = [OSError("refused")] * 3
    office.put("1a")
    await asyncio.sleep(0.005)
    office.put("2a")
    await asyncio.sleep(0.02)
    assert (office.told, office.lane.open) == ([("lost", ["1a", "2a"])], False)
    await asyncio.sleep(sum(lanes.CONNECT_PAUSES_S[:3]))
    assert (office.tried, office.lane.open) == (5, True)
    office.put("3a")
    await asyncio.sleep(0.1)
    assert office.told[1:] == [("committed", ["3a"])]
    await office.end()


@on_virtual_time
async def test_a_connection_that_ends_while_idle_is_noticed() -> None:
    office = await opened()
    first, office.writer = office.writer, Scripted()
    first.ended.set_result(None)
    await quiet()
    assert office.told == [("lost", [])]
    assert (first.closed, office.tried, office.lane.open) == (["terminated"], 2, True)
    await office.end()


@on_virtual_time
async def test_a_connection_that_ends_while_its_last_answer_is_read_is_noticed() -> None:
    office = await opened()
    first, office.writer = office.writer, Scripted()

    async def end_and_answer() -> None:
        first.ended.set_result(None)
        await asyncio.sleep(0.001)

    first.script.append(end_and_answer)
    office.put("1a")
    await asyncio.sleep(0.1)
    assert office.told == [("committed", ["1a"]), ("lost", [])]
    assert (first.closed, office.tried, office.lane.open) == (["terminated"], 2, True)
    await office.end()


@on_virtual_time
async def test_a_fault_of_ours_is_a_loss_and_the_lane_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = await opened()
    office.writer.script.append(ZeroDivisionError())
    office.put("1a")
    await asyncio.sleep(0.1)
    assert office.told == [("lost", ["1a"])]
    errors = [record.levelno for record in caplog.records if record.levelno >= logging.WARNING]
    assert errors == [logging.ERROR]
    office.put("1a")
    await asyncio.sleep(0.1)
    assert office.told[1:] == [("committed", ["1a"])]
    await office.end()


@on_virtual_time
async def test_closing_writes_what_is_queued_and_gives_the_shards_back() -> None:
    office = await opened()
    office.put("1a", "2a")
    await asyncio.sleep(0.005)
    office.put("3a")
    await office.end()
    assert office.told == [
        ("committed", ["1a", "2a"]),
        ("committed", ["3a"]),
        ("lost", []),
    ]
    assert office.writer.closed == ["closed"]


@on_virtual_time
async def test_a_closing_lane_is_shut_before_its_locks_are_free() -> None:
    office = await opened()
    office.lane.close()
    await asyncio.sleep(0.1)
    assert office.writer.closed == []
    assert (office.lane.open, office.told) == (False, [("lost", [])])
    await office.task


@on_virtual_time
async def test_a_lane_that_is_not_open_closes_too() -> None:
    office = Office()
    office.connects = [OSError("refused")] * 1_000
    await asyncio.sleep(5)
    await office.end()
    assert office.told == []


@on_virtual_time
async def test_a_bound_listener_is_told() -> None:
    first, second = Office(), Office()
    books = Journal([first.lane], 2)
    books.bind(second)
    await first.lane.wait_open()
    assert books.open
    second.lane, mine = first.lane, second.lane
    first.put("1a")
    await asyncio.sleep(0.1)
    assert (first.told, second.told) == ([], [("committed", ["1a"])])
    await first.end()
    second.lane = mine
    await second.end()


def test_shards_are_dealt_out_and_every_actor_has_one() -> None:
    assert shards_of(0, 3, 8) == [0, 3, 6]
    dealt = [shard for lane in range(3) for shard in shards_of(lane, 3, 8)]
    assert sorted(dealt) == list(range(8))
    lanes = [
        Lane(n, shards_of(n, 3, 8), _never, None, TIMEOUT_S, lambda _facts, _seconds: None)
        for n in range(3)
    ]
    books = Journal(lanes, 8)
    shards = [books.shard_of("wallet", key) for key in range(1, 9)]
    # As they stand in the outbox: with other numbers nobody would deliver what waits there.
    assert shards == [0, 1, 2, 3, 4, 5, 6, 7]
    assert books.lane_of(5) is lanes[2]
    assert not books.open


async def _never(_lane: int, _shards: Sequence[int]) -> Scripted:
    raise AssertionError("nobody connects here")
