"""The network fails one node, or Redis fails them all: temporary errors, and then all is well."""

import pytest
from redis.asyncio import Redis

from tests.cluster.floor import Floor

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_a_node_cut_off_from_redis_is_replaced_and_comes_back(floor: Floor) -> None:
    cluster = floor.cluster
    victim = cluster.nodes[0]
    victim.to_redis.hang()
    await floor.progress()
    await cluster.whole(without=[victim])
    victim.to_redis.mend()
    await cluster.whole()
    await floor.progress()
    await floor.check()


@pytest.mark.parametrize("failure", ["refuse", "hang"])
async def test_a_node_cut_off_from_postgres_is_replaced_and_comes_back(
    floor: Floor, failure: str
) -> None:
    cluster = floor.cluster
    victim = cluster.nodes[1]
    getattr(victim.to_postgres, failure)()
    await floor.progress()
    await cluster.whole(without=[victim])
    victim.to_postgres.mend()
    await cluster.whole()
    await floor.progress()
    await floor.check()


async def test_a_node_cut_off_from_everything_is_replaced_and_comes_back(floor: Floor) -> None:
    cluster = floor.cluster
    victim = cluster.nodes[2]
    victim.to_redis.hang()
    victim.to_postgres.hang()
    await floor.progress()
    await cluster.whole(without=[victim])
    victim.to_redis.mend()
    victim.to_postgres.mend()
    await cluster.whole()
    await floor.progress()
    await floor.check()


async def test_without_redis_every_node_serves_the_players_of_its_own_shards(floor: Floor) -> None:
    cluster = floor.cluster
    owners = await cluster.locks()
    cluster.redis.stop()
    # Each of them finds the node that owns their wallet.
    await floor.progress("dice:roll")
    assert await cluster.locks() == owners
    cluster.redis.start()
    await cluster.whole()
    await floor.progress()
    await floor.check()


async def test_while_redis_hangs_nothing_moves(floor: Floor) -> None:
    cluster = floor.cluster
    owners = await cluster.locks()
    cluster.redis.freeze()
    await floor.progress("dice:roll")
    assert await cluster.locks() == owners
    cluster.redis.thaw()
    await cluster.whole()
    await floor.progress()
    await floor.check()


async def test_a_redis_that_forgets_everything_is_told_again(floor: Floor) -> None:
    cluster = floor.cluster
    owners = await cluster.locks()
    async with Redis.from_url(cluster.redis.url) as redis:
        await redis.flushall()
    await cluster.whole()
    await floor.progress()
    assert await cluster.locks() == owners
    await floor.check()
