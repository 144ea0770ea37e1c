"""Shards that leave a node: what waits goes elsewhere, and what was decided is still answered."""

from typing import Any

from actors.runtime.ports import Reply
from tests.support.bench import Bench, quiet
from tests.support.counter import Add, Read, number


class Way:
    """The way elsewhere, which a test looks at."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int, Any]] = []
        self.waiting: set[int] = set()

    def send(self, shard: int, _kind: str, key: int, command: Any, _reply: Reply) -> None:
        self.taken.append((shard, key, command))


def leaving(bench: Bench, shard: int) -> Way:
    """Give a shard up, as its keeper does before the node is told."""
    way = Way()
    bench.node._elsewhere = way
    bench.lanes[shard].open = False
    return way


async def test_what_was_decided_is_answered_after_its_commit_and_kept() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    decided = bench.send(2, Add(number(2)))
    way = leaving(bench, 0)
    actors = bench.node.leave({0})
    assert (decided.given, bench.node.live) == ([], 0)
    late = bench.send(2, Add(number(3)))
    bench.commit()
    assert (decided.given, late.given) == ([2], [])
    assert way.taken == [(0, 2, Add(number(3)))]
    assert list(bench.node.left(actors)) == []
    assert bench.store.snapshots == {2: (2, b"2 2 1 2")}


async def test_a_command_goes_behind_those_on_their_way_though_the_shard_is_ours_by_now() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    way = bench.node._elsewhere = Way()
    way.waiting.add(0)
    late = bench.send(2, Add(number(2)))
    assert (late.given, way.taken) == ([], [(0, 2, Add(number(2)))])
    way.waiting.clear()
    assert await bench.ask(2, Add(number(3))) == 2


async def test_what_is_not_committed_is_not_kept() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    decided = bench.send(2, Add(number(2)))
    leaving(bench, 0)
    actors = bench.node.leave({0})
    bench.lose()
    assert decided.given == ["storage_unavailable"]
    assert list(bench.node.left(actors)) == []
    assert bench.store.snapshots == {}


async def test_other_shards_stay() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    await bench.ask(3, Read())
    leaving(bench, 0)
    bench.node.leave({0})
    assert (bench.node.live, bench.send(3, Read()).given) == (1, [0])


async def test_those_that_wait_for_rows_go_elsewhere_in_order() -> None:
    bench = Bench()
    bench.store.gate.clear()
    waiting = [bench.send(2, Add(number(n))) for n in range(3)]
    await quiet()
    way = leaving(bench, 0)
    bench.node.leave({0})
    bench.store.gate.set()
    await quiet()
    assert way.taken == [(0, 2, Add(number(n))) for n in range(3)]
    assert [answer.given for answer in waiting] == [[], [], []]
    assert (bench.node.live, bench.lanes[0].writes) == (0, [])


async def test_a_look_up_that_is_under_way_is_given_up() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    bench.store.gate.clear()
    again, behind = bench.send(2, Add(number(1))), bench.send(2, Read())
    await quiet()
    way = leaving(bench, 0)
    bench.node.leave({0})
    bench.store.gate.set()
    await quiet()
    assert again.given == ["storage_unavailable"]
    assert (behind.given, way.taken) == ([], [(0, 2, Read())])


async def test_a_command_that_storage_refused_after_its_shard_left_goes_elsewhere() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    refused = bench.send(2, Add(number(1)))
    way = leaving(bench, 0)
    bench.node.leave({0})
    bench.refuse(2)
    assert (refused.given, way.taken) == ([], [(0, 2, Add(number(1)))])


async def test_whether_an_actor_is_ours_is_a_matter_of_its_shard() -> None:
    bench = Bench()
    leaving(bench, 0)
    assert not bench.node.owns("counter", 4)
    assert bench.node.owns("counter", 5)
