"""One thing at a time befalls a cluster in fair weather, and others take over in time."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final
from uuid import uuid4

from actors.runtime.keeper import CLAIM_S
from actors.runtime.membership import ANNOUNCE_S, EXPIRES_MS, SILENT_S
from actors.wallet.commands import Adjust
from protocol.errors import Failure
from tests.simulation.client import OPERATOR
from tests.simulation.cluster import CONVERGED_S, Cluster
from tests.simulation.loop import run_virtually
from tests.simulation.member import ClusterMember
from tests.simulation.plan import ClusterPlan, Plan
from tests.simulation.process import SHARDS, shard_of

# When the announcement of a member is gone that says nothing more, and everybody has looked.
EXPIRED_S: Final = EXPIRES_MS / 1_000 + 2 * ANNOUNCE_S
# When its connections are ended, if they still hold locks.
MISSED_S: Final = EXPIRED_S + SILENT_S + 2 * CLAIM_S
# What a planned hand-over may take.
HANDED_OVER_S: Final = 0.2
WALLET: Final = 1


class Fair(Cluster):
    """A cluster of three in fair weather, without players."""

    def _plan(self) -> Plan:
        stormy = super()._plan()
        self.cluster_plan = ClusterPlan(3, 4, 0.001, 0.0, 0.0, 0)
        calm: Any = {name: 0.0 for name, value in stormy._asdict().items() if type(value) is float}
        return stormy._replace(**calm, lanes=2, max_live=100, leaps=False)

    def owner(self) -> ClusterMember:
        """Who owns the wallet that is asked for."""
        backend = self.database.locks[shard_of(WALLET)]
        return self.members[backend.member]

    def other(self) -> ClusterMember:
        """Somebody else."""
        return next(member for member in self.live if member is not self.owner())

    async def settled(self, limit_s: float) -> None:
        """Wait until everything is in its place. Raises TimeoutError."""
        async with asyncio.timeout(limit_s):
            while self._misplaced() is not None:
                await asyncio.sleep(0.01)

    async def pay(self, by: ClusterMember) -> Any:
        """What a member answers to a payment into the wallet."""
        call = by.send(WALLET, Adjust("faucet", "USD", 1, OPERATOR, uuid4()))
        async with asyncio.timeout(10.0):
            return await asyncio.shield(call.answered)

    async def paid(self, by: ClusterMember, limit_s: float) -> None:
        """Wait until a payment is done. Raises TimeoutError."""
        async with asyncio.timeout(limit_s):
            while isinstance(await self.pay(by), Failure):
                await asyncio.sleep(0.05)


def in_fair_weather(
    test: Callable[[Fair], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Run a test on a cluster that has settled."""

    async def live() -> None:
        cluster = Fair(7)
        cluster.begin()
        try:
            await cluster.settled(CONVERGED_S)
            await test(cluster)
        finally:
            await cluster.take_away()
        assert cluster.finding is None, "\n".join(cluster.trace)

    @wraps(test)
    def run() -> None:
        run_virtually(live())

    # Without this the suite would look for a fixture named as the test's argument is.
    del run.__wrapped__
    return run


@in_fair_weather
async def test_each_member_does_what_belongs_to_another(cluster: Fair) -> None:
    for member in cluster.live:
        assert not isinstance(await cluster.pay(member), Failure)
    assert cluster.books.seq(WALLET) == 3


@in_fair_weather
async def test_a_killed_member_is_replaced_as_soon_as_it_is_not_seen(cluster: Fair) -> None:
    cluster.owner().kill()
    await cluster.settled(EXPIRED_S)
    assert not isinstance(await cluster.pay(cluster.other()), Failure)


@in_fair_weather
async def test_a_member_that_stands_still_loses_its_shards_and_writes_nothing(
    cluster: Fair,
) -> None:
    still, other = cluster.owner(), cluster.other()
    still.pause()
    late = still.send(WALLET, Adjust("faucet", "USD", 1, OPERATOR, uuid4()))
    await cluster.paid(other, MISSED_S)
    assert cluster.owner() is not still
    rows = cluster.books.seq(WALLET)
    still.go_on()
    await asyncio.wait_for(late.answered, 10.0)
    assert isinstance(late.outcome, Failure)
    assert cluster.books.seq(WALLET) == rows
    await cluster.settled(CONVERGED_S)
    assert cluster.owner() is still


@in_fair_weather
async def test_a_member_without_redis_is_replaced_when_it_was_silent(cluster: Fair) -> None:
    alone = cluster.owner()
    cluster.hub.cut(alone.id)
    await asyncio.sleep(EXPIRED_S)
    assert cluster.owner() is alone
    assert not isinstance(await cluster.pay(alone), Failure)
    await cluster.paid(cluster.other(), MISSED_S)
    assert cluster.owner() is not alone
    cluster.hub.heal(alone.id)
    await cluster.settled(CONVERGED_S)


@in_fair_weather
async def test_a_member_without_its_database_is_replaced(cluster: Fair) -> None:
    alone, other = cluster.owner(), cluster.other()
    alone.cut_from_database(at_once=False)
    await cluster.paid(other, MISSED_S)
    assert cluster.owner() is not alone
    alone.line.cut = False
    await cluster.settled(CONVERGED_S)


@in_fair_weather
async def test_without_redis_everybody_keeps_what_they_have(cluster: Fair) -> None:
    before = {shard: backend.member for shard, backend in cluster.database.locks.items()}
    owner, other = cluster.owner(), cluster.other()
    cluster.hub.go_down()
    await asyncio.sleep(60.0)
    assert not isinstance(await cluster.pay(owner), Failure)
    assert isinstance(await cluster.pay(other), Failure)
    cluster.hub.come_up()
    await cluster.settled(CONVERGED_S)
    after = {shard: backend.member for shard, backend in cluster.database.locks.items()}
    assert after == before


@in_fair_weather
async def test_a_flushed_redis_moves_nothing(cluster: Fair) -> None:
    backends = dict(cluster.database.locks)
    cluster.hub.forget()
    await asyncio.sleep(10.0)
    assert cluster.database.locks == backends


@in_fair_weather
async def test_a_member_that_leaves_hands_over_at_once(cluster: Fair) -> None:
    leaver = cluster.owner()
    leaving = asyncio.ensure_future(leaver.stop())
    async with asyncio.timeout(HANDED_OVER_S):
        while leaver.journal.owned:
            await asyncio.sleep(0.001)
        while len(cluster.database.locks) < SHARDS:
            await asyncio.sleep(0.001)
    await leaving
    await cluster.settled(EXPIRED_S)


@in_fair_weather
async def test_a_member_that_joins_moves_only_what_it_gets(cluster: Fair) -> None:
    before = {shard: backend.member for shard, backend in cluster.database.locks.items()}
    newcomer = cluster.start()
    await cluster.settled(CONVERGED_S)
    after = {shard: backend.member for shard, backend in cluster.database.locks.items()}
    moved = {shard for shard, member in after.items() if member != before[shard]}
    assert moved == {shard for shard, member in after.items() if member == newcomer.id}
