"""A node is killed, frozen, or sent away: nobody loses a bet, and nothing happens twice."""

import pytest

from tests.cluster.floor import Floor

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_a_killed_node_is_replaced_and_comes_back(floor: Floor) -> None:
    cluster = floor.cluster
    victim = cluster.nodes[0]
    victim.process.kill()
    await floor.progress()
    await cluster.whole()
    await victim.start()
    await cluster.whole()
    await floor.progress()
    await floor.check()


async def test_a_frozen_node_is_replaced_and_writes_nothing_when_it_goes_on(floor: Floor) -> None:
    cluster, view = floor.cluster, floor.cluster.view
    victim = cluster.nodes[1]
    backends = await cluster.backends(victim)
    assert backends, "it owned nothing"
    victim.process.freeze()
    await floor.progress()
    await cluster.whole(without=[victim])
    assert await view.fetch("select from pg_stat_activity where pid = any($1)", backends) == []
    victim.process.thaw()
    await cluster.whole()
    await floor.progress()
    # Also that each row, by whichever connection, was written under the lock of its shard.
    await floor.check()


async def test_nodes_that_are_sent_away_one_after_another_leave_in_good_order(
    floor: Floor,
) -> None:
    for node in floor.cluster.nodes:
        assert await node.stop() == 0
        await floor.progress()
        await node.start()
        await floor.cluster.whole()
    await floor.progress()
    await floor.check()
