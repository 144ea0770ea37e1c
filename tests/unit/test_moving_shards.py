"""Shards that move: lanes claim and release them between two batches, and own what they hold."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

import pytest

from actors.decision import Decision
from actors.runtime.actor import Actor
from actors.runtime.ports import Lane as LanePort
from actors.runtime.ports import Unreachable, Write
from storage import lane as lanes
from storage.journal import Journal, shards_of
from storage.lane import Lane, Lost, NotOurs, Posted
from tests.simulation.loop import on_virtual_time
from tests.support.bench import Answer, BenchLane, quiet
from tests.support.counter import KIND
from tests.unit.test_journal import TIMEOUT_S, Scripted

SHARDS = 4
TAKES_S = 0.01


class Locksmith(Scripted):
    """A writer with locks: all are free but the `taken`. It notes what it did, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: set[int] = set()
        self.taken: set[int] = set()
        self.did: list[tuple[str, list[Any]]] = []
        self.trouble: deque[Exception | Callable[[], Awaitable[object]]] = deque()
        """What the next claims and releases end with, or wait for."""

    async def write(self, facts: Sequence[Any], messages: Sequence[Posted]) -> None:
        await super().write(facts, messages)
        self.did.append(("wrote", list(facts)))

    async def claim(self, shards: Collection[int]) -> set[int]:
        await self._travel()
        self.did.append(("claimed", sorted(shards)))
        self.locked |= set(shards) - self.taken
        return self.locked & set(shards)

    async def release(self, shards: Collection[int]) -> None:
        await self._travel()
        self.did.append(("released", sorted(shards)))
        self.locked -= set(shards)

    async def _travel(self) -> None:
        await asyncio.sleep(TAKES_S)
        if self.trouble:
            trouble = self.trouble.popleft()
            if isinstance(trouble, Exception):
                raise trouble
            await trouble()


class Yard:
    """A member's journal on locksmiths, one for each lane, and whoever it tells."""

    def __init__(self, lanes: int = 1) -> None:
        self.writers = [Locksmith() for _ in range(lanes)]
        self.asked: list[Sequence[int]] = []
        """What each connection was to win by itself."""
        self.told: list[tuple[str, list[str]]] = []
        self.gate = asyncio.Event()
        """While it is clear, nobody connects."""
        self.gate.set()
        self.journal = Journal([self._lane(number, lanes) for number in range(lanes)], SHARDS)
        self.journal.bind(self)
        self.actors: dict[int, Actor] = {}
        self._tasks: list[asyncio.Task[Any]] = [self.start(one.run()) for one in self.journal.lanes]

    def _lane(self, number: int, lanes: int) -> Lane:
        shards = shards_of(number, lanes, SHARDS)
        return Lane(
            number, shards, self.connect, None, TIMEOUT_S, lambda _facts, _s: None, moving=True
        )

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work)

    async def connect(self, lane: int, shards: Sequence[int]) -> Locksmith:
        self.asked.append(shards)
        await self.gate.wait()
        if self.writers[lane].closed:
            self.writers[lane] = Locksmith()
        return self.writers[lane]

    def committed(self, writes: Sequence[Write]) -> None:
        self.told.append(("committed", [write.command for write in writes]))

    def refused(self, writes: Sequence[Write]) -> None:
        raise AssertionError(f"nothing is refused here: {writes}")

    def lost(self, lane: LanePort, writes: Sequence[Write]) -> None:
        assert isinstance(lane, Lane)
        assert (lane.open, lane.held) == (False, set())
        self.told.append(("lost", [write.command for write in writes]))

    def put(self, *names: str) -> None:
        """Append writes named like `7a`: of actor 7, with the name as command and as its fact."""
        for name in names:
            key = int(name[:-1])
            actor = self.actors.setdefault(key, Actor(KIND, key, key % SHARDS, BenchLane(), 0))
            write = Write(actor, name, Answer([], name), Decision(None, (name,)), False)
            self.journal.lane_of(actor.shard).append(write)

    async def end(self) -> None:
        """Close the lanes and see that they end."""
        for lane in self.journal.lanes:
            lane.close()
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)


async def opened(lanes: int = 1) -> Yard:
    yard = Yard(lanes)
    for lane in yard.journal.lanes:
        await lane.wait_open()
    return yard


@on_virtual_time
async def test_a_connection_wins_no_shards_by_itself() -> None:
    yard = await opened(lanes=2)
    assert yard.asked == [(), ()]
    assert (yard.journal.able, set(yard.journal.owned)) == (True, set())
    assert not any(yard.journal.owns(shard) for shard in range(SHARDS))
    await yard.end()


@on_virtual_time
async def test_what_is_claimed_and_free_is_ours() -> None:
    yard = await opened(lanes=2)
    yard.writers[1].taken = {3}
    assert await yard.journal.claim([0, 1, 3]) == {0, 1}
    assert set(yard.journal.owned) == {0, 1}
    assert [yard.journal.owns(shard) for shard in range(SHARDS)] == [True, True, False, False]
    assert [writer.did for writer in yard.writers] == [[("claimed", [0])], [("claimed", [1, 3])]]
    await yard.end()


@on_virtual_time
async def test_only_lanes_that_are_concerned_are_asked_and_all_of_them_for_nothing() -> None:
    yard = await opened(lanes=2)
    await yard.journal.claim([2])
    assert [len(writer.did) for writer in yard.writers] == [1, 0]
    assert await yard.journal.claim(()) == set()
    assert [writer.did[-1] for writer in yard.writers] == [("claimed", [])] * 2
    assert set(yard.journal.owned) == {2}
    await yard.journal.release(())
    assert [len(writer.did) for writer in yard.writers] == [2, 1]
    await yard.end()


@on_virtual_time
async def test_lanes_are_asked_at_once() -> None:
    yard = await opened(lanes=4)
    began_s = asyncio.get_running_loop().time()
    await yard.journal.claim(range(4))
    assert asyncio.get_running_loop().time() - began_s < 2 * TAKES_S
    await yard.end()


@on_virtual_time
async def test_a_claim_is_done_between_two_batches() -> None:
    yard = await opened()
    await yard.journal.claim([1])
    yard.put("1a")
    await asyncio.sleep(TAKES_S / 2)
    claim = yard.start(yard.journal.claim([2]))
    await quiet()
    yard.put("1b")
    assert await claim == {2}
    await asyncio.sleep(1)
    assert yard.writers[0].did[1:] == [("wrote", ["1a"]), ("claimed", [2]), ("wrote", ["1b"])]
    await yard.end()


@on_virtual_time
async def test_what_is_given_up_is_not_ours_though_it_is_locked() -> None:
    yard = await opened(lanes=2)
    await yard.journal.claim(range(SHARDS))
    yard.journal.give_up([1, 2])
    assert set(yard.journal.owned) == {0, 3}
    assert [writer.locked for writer in yard.writers] == [{0, 2}, {1, 3}]
    await yard.journal.release([1, 2])
    assert [writer.locked for writer in yard.writers] == [{0}, {3}]
    await yard.end()


@on_virtual_time
async def test_a_release_waits_for_what_is_queued_and_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "MAX_BATCH", 1)
    yard = await opened()
    await yard.journal.claim(range(SHARDS))
    yard.put("1a", "2a", "1b", "2b", "2c")
    yard.journal.give_up([1])
    release = yard.start(yard.journal.release([1]))
    await release
    assert yard.told == [("committed", ["1a"]), ("committed", ["2a"]), ("committed", ["1b"])]
    await asyncio.sleep(1)
    did = [what for what, _shards in yard.writers[0].did[1:]]
    assert did == ["wrote", "wrote", "wrote", "released", "wrote", "wrote"]
    assert yard.writers[0].locked == {0, 2, 3}
    await yard.end()


@on_virtual_time
async def test_a_release_ends_while_writes_of_others_never_do() -> None:
    yard = await opened()
    await yard.journal.claim(range(SHARDS))

    async def play() -> None:
        while True:
            yard.put("2a", "3a")
            await asyncio.sleep(TAKES_S / 7)

    load = yard.start(play())
    yard.put("1a")
    yard.journal.give_up([1])
    async with asyncio.timeout(5 * TAKES_S):
        await yard.journal.release([1])
    load.cancel()
    await yard.end()


@on_virtual_time
async def test_a_claim_does_not_overtake_a_release_of_the_same_shard() -> None:
    yard = await opened()
    await yard.journal.claim([1])
    yard.put("1a")
    await asyncio.sleep(TAKES_S / 2)
    yard.put("1b")
    yard.journal.give_up([1])
    release = yard.start(yard.journal.release([1]))
    await quiet()
    assert await yard.journal.claim([1]) == {1}
    assert release.done()
    assert yard.writers[0].did[-2:] == [("released", [1]), ("claimed", [1])]
    assert (set(yard.journal.owned), yard.writers[0].locked) == ({1}, {1})
    await yard.end()


@on_virtual_time
async def test_what_was_claimed_after_it_was_given_up_is_not_ours_once_released() -> None:
    yard = await opened()
    claim = yard.start(yard.journal.claim([1]))
    await asyncio.sleep(TAKES_S / 2)
    yard.journal.give_up([1])
    await yard.journal.release([1])
    assert claim.done()
    assert (set(yard.journal.owned), yard.writers[0].locked) == (set(), set())
    await yard.end()


@on_virtual_time
async def test_what_was_asked_is_done_though_nobody_waits_for_it() -> None:
    yard = await opened()
    claim = yard.start(yard.journal.claim([1]))
    await asyncio.sleep(TAKES_S / 2)
    claim.cancel()
    await asyncio.sleep(TAKES_S)
    assert (set(yard.journal.owned), yard.writers[0].locked) == ({1}, {1})
    assert await yard.journal.claim([2]) == {2}
    await yard.end()


@pytest.mark.parametrize("trouble", [Lost("gone"), NotOurs("a pooler"), ZeroDivisionError()])
def test_a_claim_that_fails_ends_the_connection(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    @on_virtual_time
    async def scene() -> None:
        yard = await opened()
        await yard.journal.claim([1])
        first = yard.writers[0]
        first.trouble.append(trouble)
        claim = yard.start(yard.journal.claim([2]))
        await quiet()
        behind = yard.start(yard.journal.release([1]))
        yard.put("1a")
        for task in (claim, behind):
            with pytest.raises(Unreachable):
                await task
        assert first.closed == ["terminated"]
        assert yard.told == [("lost", ["1a"])]
        assert set(yard.journal.owned) == set()
        assert await yard.journal.claim([1]) == {1}
        await yard.end()

    scene()
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert bool(faults) == isinstance(trouble, ZeroDivisionError)


@on_virtual_time
async def test_a_release_that_fails_ends_the_connection() -> None:
    yard = await opened()
    await yard.journal.claim([1, 2])
    first = yard.writers[0]
    first.trouble.append(Lost("not unlocked"))
    with pytest.raises(Unreachable):
        await yard.journal.release([1])
    assert (first.closed, set(yard.journal.owned)) == (["terminated"], set())
    await yard.end()


@on_virtual_time
async def test_an_errand_that_takes_too_long_ends_the_connection() -> None:
    yard = await opened()
    first = yard.writers[0]
    first.trouble.append(asyncio.Event().wait)
    async with asyncio.timeout(TIMEOUT_S + 2 * TIMEOUT_S / lanes.LOOKS):
        with pytest.raises(Unreachable):
            await yard.journal.claim([1])
    assert first.closed == ["terminated"]
    await yard.end()


@on_virtual_time
async def test_a_lost_connection_owns_nothing_until_it_is_claimed_again() -> None:
    yard = await opened(lanes=2)
    await yard.journal.claim(range(SHARDS))
    yard.writers[0].ended.set_result(None)
    await quiet()
    assert yard.told == [("lost", [])]
    assert set(yard.journal.owned) == {1, 3}
    await asyncio.sleep(1)
    assert (yard.journal.able, set(yard.journal.owned)) == (True, {1, 3})
    await yard.end()


@on_virtual_time
async def test_nothing_is_asked_of_a_lane_without_a_connection() -> None:
    yard = Yard(lanes=2)
    yard.gate.clear()
    assert not yard.journal.able
    with pytest.raises(Unreachable):
        await yard.journal.claim([1])
    with pytest.raises(Unreachable):
        await yard.journal.release([1])
    yard.gate.set()
    for lane in yard.journal.lanes:
        await lane.wait_open()
    await yard.end()
    with pytest.raises(Unreachable):
        await yard.journal.claim(())


@on_virtual_time
async def test_what_one_lane_wins_is_ours_though_another_fails() -> None:
    yard = await opened(lanes=2)
    yard.writers[1].trouble.append(Lost("gone"))
    with pytest.raises(Unreachable):
        await yard.journal.claim([0, 1])
    assert set(yard.journal.owned) == {0}
    await yard.end()


@on_virtual_time
async def test_a_lane_that_closes_fails_what_it_does_not_come_to() -> None:
    yard = await opened()
    claims = [yard.start(yard.journal.claim([shard])) for shard in (0, 1)]
    await quiet()
    await yard.end()
    assert await claims[0] == {0}
    with pytest.raises(Unreachable):
        await claims[1]
    assert yard.writers[0].closed == ["closed"]


@on_virtual_time
async def test_errands_are_bounded() -> None:
    yard = await opened()
    claims = [yard.start(yard.journal.claim(())) for _ in range(lanes.MAX_ERRANDS)]
    await quiet()
    with pytest.raises(Unreachable):
        await yard.journal.claim([1])
    await asyncio.gather(*claims)
    assert await yard.journal.claim([1]) == {1}
    await yard.end()
