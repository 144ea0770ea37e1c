"""Shards that move: locks that a connection claims and releases, and that others see and end."""

import asyncio
from collections.abc import Collection

import pytest

from actors.runtime.ports import Holder, Locks, Unreachable
from storage.lane import Lost, NotOurs, Writer
from storage.writer import LOCK_CLASS
from tests.contract.storages import InPostgres, Storage, contents
from tests.contract.test_writer import PATIENCE_S, SHARDS, entry, won

# Ids of members may have dashes, also where a name is put together with them.
ONE, TWO = "-o-ne_1-", "two"


async def connected(storage: Storage, member: str = ONE, lane: int = 0) -> Writer:
    """A member's connection, which has no locks yet."""
    return await storage.connector(member)(lane, ())


async def claimed(writer: Writer, shards: Collection[int] = SHARDS) -> None:
    """Claim shards, however long the server takes to see that their holder is gone."""
    async with asyncio.timeout(PATIENCE_S):
        while await writer.claim(shards) != set(shards):
            await asyncio.sleep(0.001)


async def freed(locks: Locks, shards: Collection[int] = SHARDS) -> None:
    """Until nobody holds any of the shards."""
    async with asyncio.timeout(PATIENCE_S):
        while await locks.holders(shards):
            await asyncio.sleep(0.01)


async def test_a_claim_wins_what_is_free(storage: Storage) -> None:
    first, second = await connected(storage), await connected(storage, TWO)
    assert await first.claim([0, 1]) == {0, 1}
    assert await second.claim([1, 2]) == {2}
    assert await first.claim([2, 3, 4]) == {3, 4}
    await first.write([entry(1, 1)], [])
    await second.write([entry(2, 1)], [])
    await first.close()
    await second.close()


async def test_lanes_of_one_member_exclude_each_other_too(storage: Storage) -> None:
    connect = storage.connector(ONE)
    first, second = await connect(0, ()), await connect(1, ())
    assert await first.claim([0]) == {0}
    assert await second.claim([0, 1]) == {1}
    await first.close()
    await second.close()


async def test_what_is_released_is_free_and_nothing_else(storage: Storage) -> None:
    first, second = await connected(storage), await connected(storage, TWO)
    await first.claim(SHARDS)
    await first.release([1])
    assert await second.claim(SHARDS) == {1}
    assert await first.claim(SHARDS) == {0, 2}
    await second.release([1])
    assert await first.claim([1]) == {1}
    await first.close()
    await second.close()


async def test_a_shard_claimed_twice_is_free_once_it_is_released(storage: Storage) -> None:
    first, second = await connected(storage), await connected(storage, TWO)
    assert await first.claim([0, 1]) == {0, 1}
    assert await first.claim([0, 1, 2]) == {0, 1, 2}
    await first.release([0, 1])
    assert await second.claim([0, 1, 2]) == {0, 1}
    await first.close()
    await second.close()


async def test_releasing_what_is_not_held_harms_nobody(storage: Storage) -> None:
    first, second = await connected(storage), await connected(storage, TWO)
    await first.claim([0])
    await second.release([0, 1])
    assert await second.claim([0]) == set()
    await first.release([0, 1])
    await first.release(())
    assert await second.claim([0]) == {0}
    await first.close()
    await second.close()


async def test_a_claim_of_nothing_is_a_sign_of_life(storage: Storage) -> None:
    writer = await connected(storage)
    assert await writer.claim(()) == set()
    await storage.end_backends()
    with pytest.raises(Lost):
        await writer.claim(())
    writer.terminate()


async def test_nothing_is_claimed_or_released_on_a_lost_connection(storage: Storage) -> None:
    writer = await connected(storage)
    await writer.claim(SHARDS)
    await storage.end_backends()
    with pytest.raises(Lost):
        await writer.release([0])
    with pytest.raises(Lost):
        await writer.claim([7])
    writer.terminate()


async def test_a_lost_connection_frees_what_it_claimed(storage: Storage) -> None:
    first = await connected(storage)
    await first.claim(SHARDS)
    await storage.end_backends()
    second = await connected(storage, TWO)
    await claimed(second)
    with pytest.raises(Lost):
        await first.write([entry(1, 1)], [])
    await second.write([entry(1, 1)], [])
    first.terminate()
    await second.close()


async def test_a_member_ends_its_own_lingering_backend(storage: Storage) -> None:
    connect = storage.connector(ONE)
    first = await connect(0, ())
    await first.claim(SHARDS)
    second = await connect(0, ())
    await claimed(second)
    with pytest.raises(Lost):
        await first.write([entry(1, 1)], [])
    assert await contents(storage, [1]) == {1: []}
    first.terminate()
    await second.close()


async def test_a_process_that_is_alone_and_a_member_exclude_each_other(storage: Storage) -> None:
    alone, member = await won(storage.connector()), await connected(storage)
    assert await member.claim([2, 3]) == {3}
    await alone.close()
    await claimed(member, [2])
    with pytest.raises(NotOurs):
        await storage.connector()(0, SHARDS)
    await member.close()


async def test_holders_are_known_by_their_member(storage: Storage) -> None:
    locks = storage.locks()
    assert await locks.holders(SHARDS) == {}
    first, second = await connected(storage), await connected(storage, TWO, lane=1)
    alone = await won(storage.connector(), [3], lane=12)
    await first.claim([0, 2])
    await second.claim([1])
    holders = await locks.holders([*SHARDS, 3, 4])
    members = {shard: holder.member for shard, holder in holders.items()}
    assert members == {0: ONE, 1: TWO, 2: ONE, 3: ""}
    assert holders[0] == holders[2]
    assert len({holder.pid for holder in holders.values()}) == 3
    assert set(await locks.holders([1, 4])) == {1}
    await first.release([0])
    assert set(await locks.holders([0, 2])) == {2}
    for writer in (first, second, alone):
        await writer.close()


async def test_a_holder_that_is_ended_loses_its_locks(storage: Storage) -> None:
    locks = storage.locks()
    first, second = await connected(storage), await connected(storage, TWO)
    await first.claim([0, 1])
    await second.claim([2])
    holder = (await locks.holders([0]))[0]
    await locks.end(holder)
    await freed(locks, [0, 1])
    async with asyncio.timeout(PATIENCE_S):
        await first.lost()
    assert await second.claim(SHARDS) == {0, 1, 2}
    # Once more, which is too late to matter.
    await locks.end(holder)
    await second.write([entry(1, 1)], [])
    first.terminate()
    await second.close()


async def test_only_the_same_backend_is_ended(storage: Storage) -> None:
    locks = storage.locks()
    first, second = await connected(storage), await connected(storage, TWO)
    await first.claim([0])
    await second.claim([1])
    holders = await locks.holders([0, 1])
    # As it is when a process number has a new owner.
    await locks.end(holders[0]._replace(started=holders[1].started))
    assert await locks.holders([0, 1]) == holders
    await first.write([entry(1, 1)], [])
    await first.close()
    await second.close()


async def test_locks_that_are_not_of_shards_are_none_of_ours(postgres: InPostgres) -> None:
    async with postgres.pool.acquire() as stranger:
        await stranger.execute("select pg_advisory_lock(1), pg_advisory_lock(7, 1)")
        # Locks by one large key are others than those by two.
        await stranger.execute(f"select pg_advisory_lock({LOCK_CLASS << 32 | 1})")
        assert await postgres.locks().holders([1]) == {}
        writer = await connected(postgres)
        assert await writer.claim([1]) == {1}
        await writer.close()
        await stranger.execute("select pg_advisory_unlock_all()")


async def test_holders_of_any_name_are_seen(postgres: InPostgres) -> None:
    async with postgres.pool.acquire() as stranger:
        await stranger.execute(f"select pg_advisory_lock({LOCK_CLASS}, 1)")
        for name in ("psql", "", "pitboss-lane-", "my pitboss-lane-1-me"):
            await stranger.execute("select set_config('application_name', $1, false)", name)
            assert (await postgres.locks().holders([1]))[1].member == ""
        await stranger.execute("select pg_advisory_unlock_all()")


async def test_locks_that_cannot_be_seen_are_unreachable(postgres: InPostgres) -> None:
    locks = postgres.locks()
    await postgres.pool.close()
    with pytest.raises(Unreachable):
        await locks.holders([1])
    with pytest.raises(Unreachable):
        await locks.end(Holder(ONE, 1, None))
