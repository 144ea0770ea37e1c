"""Cold actors while storage is slow or hangs: nobody waits longer than the time-out."""

import asyncio
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest

from actors.kind import Kind
from actors.runtime import hydration
from actors.runtime.ports import NOT_YET, Stored
from protocol.errors import Failure
from tests.simulation.loop import on_virtual_time
from tests.support.bench import HYDRATE_TIMEOUT_S, Answer, Bench, BenchStore, quiet
from tests.support.counter import COUNTER, Add, Added, Read, number


class Slow(BenchStore):
    """A store that takes its time for every actor, and to clean up after who has no patience."""

    def __init__(self, takes_s: float, finds_s: float = 0.0, cleans_s: float = 0.0) -> None:
        super().__init__()
        self.takes_s = takes_s
        self.finds_s = finds_s
        self.cleans_s = cleans_s

    async def hydrate(self, kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        await self._pass(self.takes_s * len(keys))
        return await super().hydrate(kind, keys)

    async def find(self, kind: Kind, key: int, request_id: UUID) -> Added | None:
        await self._pass(self.finds_s)
        return await super().find(kind, key, request_id)

    async def _pass(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(self.cleans_s)
            raise


class Timed(Answer):
    """An answer that knows how long it took, in virtual seconds."""

    def __init__(self) -> None:
        super().__init__([], "timed")
        self.asked_s = asyncio.get_running_loop().time()
        self.took_s = 0.0

    def resolve(self, value: object) -> None:
        super().resolve(value)
        self.took_s = asyncio.get_running_loop().time() - self.asked_s

    def reject(self, failure: Failure) -> None:
        super().reject(failure)
        self.took_s = asyncio.get_running_loop().time() - self.asked_s


def ask(bench: Bench, key: int) -> Timed:
    answer = Timed()
    bench.node.send(COUNTER, key, Read(), answer)
    return answer


@on_virtual_time
async def test_who_waits_behind_a_read_that_hangs_is_told_in_time_too() -> None:
    bench = Bench()
    bench.store.gate.clear()
    answers = []
    for key in range(30):
        answers.append(ask(bench, key))
        await asyncio.sleep(0.1)
    await asyncio.sleep(60)
    assert [answer.given for answer in answers] == [["storage_unavailable"]] * 30
    assert max(answer.took_s for answer in answers) <= HYDRATE_TIMEOUT_S + 1e-9


@on_virtual_time
async def test_nobody_waits_for_the_clean_up_after_a_read_that_hangs() -> None:
    bench = Bench(store=Slow(takes_s=60, cleans_s=60))
    answer = ask(bench, 2)
    await asyncio.sleep(HYDRATE_TIMEOUT_S + 0.1)
    assert answer.given == ["storage_unavailable"]


@on_virtual_time
async def test_nobody_waits_for_the_clean_up_after_a_look_up_that_hangs() -> None:
    bench = Bench(store=Slow(takes_s=0, finds_s=60, cleans_s=60))
    await bench.ask(2, Add(number(1)))
    twin = bench.send(2, Add(number(1)))
    await asyncio.sleep(HYDRATE_TIMEOUT_S + 0.1)
    assert twin.given == ["storage_unavailable"]


@on_virtual_time
async def test_where_more_come_than_can_be_read_storage_is_kept_busy_all_the_same() -> None:
    # Every 20 ms one actor can be read, and four come.
    bench = Bench(store=Slow(takes_s=0.02), max_live=10_000)
    answers = []
    for key in range(4_000):
        answers.append(ask(bench, key))
        await asyncio.sleep(0.005)
    await asyncio.sleep(60)
    read = sum(answer.given == [0] for answer in answers)
    assert sum(answer.given == ["storage_unavailable"] for answer in answers) == 4_000 - read
    assert read > 900, "of 1,000 that there was time for"
    assert max(answer.took_s for answer in answers) <= HYDRATE_TIMEOUT_S + 1e-9


@on_virtual_time
async def test_a_batch_that_takes_too_long_is_smaller_when_its_clients_come_back() -> None:
    store = Slow(takes_s=1.5 * HYDRATE_TIMEOUT_S / hydration.BATCH)
    bench = Bench(store=store)
    keys = range(hydration.BATCH)
    first = [ask(bench, key) for key in keys]
    await asyncio.sleep(60)
    assert [answer.given for answer in first] == [["storage_unavailable"]] * len(keys)
    again = [ask(bench, key) for key in keys]
    await asyncio.sleep(60)
    assert sum(answer.given == [0] for answer in again) >= hydration.BATCH // 2
    store.takes_s = 0
    store.reads.clear()
    for _ in range(10):
        for key in range(100, 100 + 2 * hydration.BATCH):
            bench.send(key, Read())
        await asyncio.sleep(60)
        while bench.node.passivate(-1, 1_000):
            pass
    assert max(map(len, store.reads)) == hydration.BATCH, "it grows again"


class Behind(BenchStore):
    """A store that cannot read some actors yet."""

    def __init__(self, *keys: int) -> None:
        super().__init__()
        self.behind = set(keys)

    async def hydrate(self, kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        return await super().hydrate(kind, keys) | dict.fromkeys(self.behind & {*keys}, NOT_YET)


async def test_who_cannot_be_read_yet_is_refused_alone(caplog: pytest.LogCaptureFixture) -> None:
    store = Behind(4)
    bench = Bench(store=store)
    store.facts[4] = [Added(4, 1, 5, number(1), None)]
    answers = [bench.send(key, Read()) for key in (2, 4, 6)]
    await quiet()
    assert [answer.given for answer in answers] == [[0], ["storage_unavailable"], [0]]
    assert store.reads == [[2, 4, 6]]
    assert not caplog.records, "it is no fault of its rows"
    store.behind.clear()
    assert await bench.ask(4, Read()) == 5


class Long(BenchStore):
    """A store with so many rows of each actor, which counts those that were looked at."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.looked_at = 0

    async def hydrate(self, _kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        return {key: Stored(None, 0, self._rows(key)) for key in keys}

    def _rows(self, key: int) -> Iterator[Added]:
        for seq in range(1, self.rows + 1):
            self.looked_at += 1
            yield Added(key, seq, 1, number(seq), None)


@pytest.mark.parametrize("rows", [0, 150, 5_000])
async def test_actors_are_folded_some_rows_at_a_time(rows: int) -> None:
    store = Long(rows)
    bench = Bench(store=store)
    answers = [bench.send(key, Read()) for key in range(0, 60, 2)]
    most_rows = most_actors = 0
    while not all(answer.given for answer in answers):
        looked_at, answered = store.looked_at, sum(len(answer.given) for answer in answers)
        await asyncio.sleep(0)
        most_rows = max(most_rows, store.looked_at - looked_at)
        answered = sum(len(answer.given) for answer in answers) - answered
        most_actors = max(most_actors, answered)
    assert [answer.given for answer in answers] == [[rows]] * 30
    assert most_rows <= hydration.FOLDED_TOGETHER
    assert most_actors <= hydration.FOLDED_TOGETHER // hydration.RESTORED_AS


async def test_an_actor_that_is_lost_while_it_is_folded_is_not_live() -> None:
    store = Long(1_000)
    bench = Bench(store=store)
    answer = bench.send(2, Read())
    while not store.looked_at:
        await asyncio.sleep(0)
    assert store.looked_at < store.rows
    bench.lose()
    while store.looked_at < store.rows:
        await asyncio.sleep(0)
    await quiet()
    assert answer.given == ["storage_unavailable"]
    assert bench.node.live == 0


@pytest.mark.parametrize("cold", [True, False])
async def test_a_node_that_closes_answers_who_waits_for_a_row(cold: bool) -> None:
    bench = Bench()
    if not cold:
        await bench.ask(2, Add(number(1)))
    bench.store.gate.clear()
    waiting = bench.send(2, Add(number(1)))
    await quiet()
    behind = [bench.send(key, Read()) for key in (2, 4)]
    bench.node.close()
    assert [answer.given for answer in (waiting, behind[1])] == [["storage_unavailable"]] * 2
    assert behind[0].given == (["storage_unavailable"] if cold else [1])
    bench.store.gate.set()
    await quiet()
    assert len(waiting.given) == 1


async def test_an_actor_that_waits_behind_its_own_ghost_gets_its_rows() -> None:
    """Evicted while it waited and asked for again: both are in one batch, and share a key."""
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    bench.lose()
    bench.lanes[0].open = True
    bench.store.gate.clear()
    bench.send(4, Read())
    await quiet()
    bench.send(2, Read())
    bench.lose()
    bench.lanes[0].open = True
    heir = bench.send(2, Read())
    bench.store.gate.set()
    await quiet()
    bench.commit()
    assert heir.given == [1]
