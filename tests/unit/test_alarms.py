"""Alarms: one an actor, the newest wish counts, and they are there again after hydration."""

import asyncio

from actors.runtime.actor import Actor
from actors.runtime.alarms import Alarms
from actors.runtime.node import RING_AGAIN_MS
from tests.simulation.loop import on_virtual_time
from tests.support.bench import Bench, BenchLane
from tests.support.counter import KIND, Add, Read, number


def loop_ms() -> int:
    """The time of the running loop."""
    return round(asyncio.get_running_loop().time() * 1_000)


class Clocked:
    """Alarms on the loop's own clock, and what rang when."""

    def __init__(self) -> None:
        self.rung: list[tuple[int, int]] = []
        self.alarms = Alarms(self._ring, loop_ms)

    def _ring(self, actor: Actor) -> None:
        self.rung.append((actor.key, loop_ms()))


def actors(count: int) -> list[Actor]:
    return [Actor(KIND, key, 0, BenchLane(), 0) for key in range(count)]


@on_virtual_time
async def test_alarms_ring_at_their_time_and_once() -> None:
    clocked, (a, b, c) = Clocked(), actors(3)
    for actor, at_ms in ((a, 300), (b, 100), (c, 200)):
        clocked.alarms.set(actor, at_ms)
    await asyncio.sleep(1)
    assert clocked.rung == [(1, 100), (2, 200), (0, 300)]
    assert [actor.alarm_ms for actor in (a, b, c)] == [0, 0, 0]


@on_virtual_time
async def test_the_newest_wish_counts() -> None:
    clocked, (a, b, c) = Clocked(), actors(3)
    clocked.alarms.set(a, 100)
    clocked.alarms.set(a, 500)
    clocked.alarms.set(b, 500)
    clocked.alarms.set(b, 50)
    clocked.alarms.set(c, 70)
    clocked.alarms.set(c, 0)
    await asyncio.sleep(1)
    assert clocked.rung == [(1, 50), (0, 500)]


@on_virtual_time
async def test_an_alarm_that_is_due_already_rings_soon() -> None:
    clocked, (a,) = Clocked(), actors(1)
    await asyncio.sleep(1)
    clocked.alarms.set(a, 5)
    assert clocked.rung == []
    await asyncio.sleep(0.001)
    assert clocked.rung == [(0, 1_000)]


@on_virtual_time
async def test_the_same_wish_twice_rings_once() -> None:
    clocked, (a,) = Clocked(), actors(1)
    for at_ms in (100, 0, 100):
        clocked.alarms.set(a, at_ms)
    await asyncio.sleep(1)
    assert clocked.rung == [(0, 100)]


@on_virtual_time
async def test_changed_alarms_do_not_pile_up() -> None:
    clocked, two = Clocked(), actors(2)
    for turn in range(10_000):
        for actor in two:
            clocked.alarms.set(actor, 1_000 + turn)
    assert len(clocked.alarms._heap) < 100
    await asyncio.sleep(20)
    assert clocked.rung == [(0, 10_999), (1, 10_999)]


@on_virtual_time
async def test_wishes_that_come_again_and_again_do_not_pile_up() -> None:
    clocked, (a, b) = Clocked(), actors(2)
    for turn in range(1_000):
        clocked.alarms.set(a, 500)
        clocked.alarms.set(b, 600 + turn % 2)
    assert len(clocked.alarms._heap) < 100
    await asyncio.sleep(1)
    assert clocked.rung == [(0, 500), (1, 601)]


@on_virtual_time
async def test_closed_alarms_ring_no_more() -> None:
    clocked, (a,) = Clocked(), actors(1)
    clocked.alarms.set(a, 100)
    clocked.alarms.close()
    await asyncio.sleep(1)
    assert clocked.rung == []


async def until(bench: Bench, at_ms: int) -> None:
    """Let time pass, and commit what rang."""
    await asyncio.sleep(at_ms / 1_000 - asyncio.get_running_loop().time())
    bench.commit()


@on_virtual_time
async def test_an_alarm_counts_from_its_commit_and_sends_a_command() -> None:
    bench = Bench(clock=loop_ms)
    await bench.ask(2, Read())
    bench.send(2, Add(number(1), alarm_ms=50))
    await until(bench, 100)  # committed only now, and due at once
    await until(bench, 102)
    assert await bench.ask(2, Read()) == 101


@on_virtual_time
async def test_a_decision_changes_or_clears_the_alarm_or_leaves_it() -> None:
    bench = Bench(clock=loop_ms)
    await bench.ask(2, Add(number(1), alarm_ms=50))
    await bench.ask(2, Add(number(2), alarm_ms=200))
    await bench.ask(2, Add(number(3)))
    await bench.ask(4, Add(number(4), alarm_ms=50))
    await bench.ask(4, Add(number(5), alarm_ms=0))
    await until(bench, 100)
    assert await bench.ask(2, Read()) == 3
    await until(bench, 201)
    assert await bench.ask(2, Read()) == 103
    assert await bench.ask(4, Read()) == 2


@on_virtual_time
async def test_hydration_sets_the_alarm_again_and_eviction_clears_it() -> None:
    bench = Bench(clock=loop_ms)
    await bench.ask(2, Add(number(1), alarm_ms=500))
    bench.lose()
    await until(bench, 300)
    bench.lanes[0].open = True
    assert await bench.ask(2, Read()) == 1
    await until(bench, 501)
    assert await bench.ask(2, Read()) == 101
    await bench.ask(2, Add(number(2), alarm_ms=800))
    bench.lose()
    bench.lanes[0].open = True
    await until(bench, 900)
    assert bench.lanes[0].writes == []
    assert bench.node.live == 0


@on_virtual_time
async def test_an_alarm_of_a_refused_decision_never_rings() -> None:
    bench = Bench(clock=loop_ms)
    await bench.ask(2, Read())
    bench.send(2, Add(number(1), alarm_ms=50))
    bench.lose()
    bench.lanes[0].open = True
    await until(bench, 100)
    assert await bench.ask(2, Read()) == 0


@on_virtual_time
async def test_an_alarm_that_cannot_be_taken_now_rings_again() -> None:
    bench = Bench(clock=loop_ms)
    await bench.ask(2, Add(number(1), alarm_ms=50))
    bench.lanes[0].full = True
    await until(bench, 100)
    assert bench.lanes[0].writes == []
    bench.lanes[0].full = False
    await until(bench, 60 + RING_AGAIN_MS)
    assert await bench.ask(2, Read()) == 101
