"""Shards that go to and fro between members under load: every wallet's rows stay without a gap."""

import asyncio
from collections.abc import Collection, Sequence

from actors.decision import Decision
from actors.runtime.actor import Actor
from actors.runtime.ports import Lane as LanePort
from actors.runtime.ports import Write
from actors.wallet.facts import Entry
from storage.journal import Journal, shards_of
from storage.lane import Lane
from tests.contract.storages import Storage, contents
from tests.contract.test_shards import claimed
from tests.contract.test_writer import PATIENCE_S, entry
from tests.support.bench import Answer, quiet
from tests.support.wallets import KIND

SHARDS = 4
LANES = 2
WALLETS = range(1, 13)
SWAPS = 20
# Few enough to be read back at once.
MOST_ROWS = 400


class Member:
    """A journal, and the wallets that it plays because their shards are its own."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.storage = storage
        connect = storage.connector(name)
        lanes = [
            Lane(
                number,
                shards_of(number, LANES, SHARDS),
                connect,
                None,
                PATIENCE_S,
                lambda _facts, _seconds: None,
                moving=True,
            )
            for number in range(LANES)
        ]
        self.journal = Journal(lanes, SHARDS)
        self.journal.bind(self)
        self.live: dict[int, tuple[Actor, int]] = {}
        """Wallets that are here, with the number of their newest row."""
        self.acknowledged: list[Entry] = []
        self.refusals = 0
        self.losses = 0
        self._tasks = [asyncio.get_running_loop().create_task(lane.run()) for lane in lanes]

    def committed(self, writes: Sequence[Write]) -> None:
        for write in writes:
            assert isinstance(write.outcome, Decision)
            self.acknowledged += write.outcome.facts

    def refused(self, writes: Sequence[Write]) -> None:
        self.refusals += len(writes)

    def lost(self, lane: LanePort, _writes: Sequence[Write]) -> None:
        self.losses += 1
        self.live = {key: one for key, one in self.live.items() if one[0].lane is not lane}

    def play(self) -> None:
        """One more row for every wallet that is here."""
        for wallet, (actor, seq) in self.live.items():
            lane = self.journal.lane_of(actor.shard)
            if seq < MOST_ROWS:
                self.live[wallet] = actor, seq + 1
                decision = Decision(None, (entry(wallet, seq + 1),))
                lane.append(Write(actor, None, Answer([], wallet), decision, False))

    async def leave(self, shards: Collection[int]) -> None:
        """Give shards to whoever wants them, with rows on their way."""
        self.play()
        self.journal.give_up(shards)
        for wallet, (actor, _seq) in list(self.live.items()):
            if actor.shard in shards:
                del self.live[wallet]
        await self.journal.release(shards)

    async def take(self, shards: Collection[int]) -> None:
        """Claim shards until they are here, and read their wallets."""
        missing = set(shards)
        async with asyncio.timeout(PATIENCE_S):
            while missing:
                missing -= await self.journal.claim(missing)
                await asyncio.sleep(0.001)
        places = {wallet: self.journal.shard_of("wallet", wallet) for wallet in WALLETS}
        mine = [wallet for wallet, shard in places.items() if shard in shards]
        for wallet, facts in (await contents(self.storage, mine)).items():
            shard = places[wallet]
            actor = Actor(KIND, wallet, shard, self.journal.lane_of(shard), 0)
            self.live[wallet] = actor, len(facts)

    async def end(self) -> None:
        """Commit what is queued, and be gone."""
        for lane in self.journal.lanes:
            lane.close()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks)


async def opened(storage: Storage, name: str) -> Member:
    member = Member(storage, name)
    async with asyncio.timeout(PATIENCE_S):
        for lane in member.journal.lanes:
            await lane.wait_open()
    return member


async def load(members: Sequence[Member]) -> None:
    while True:
        for member in members:
            member.play()
        await asyncio.sleep(0.001)


async def check_rows(storage: Storage, members: Sequence[Member]) -> None:
    """Rows have no gap, nobody was refused, and what was acknowledged is there."""
    rows = await contents(storage, WALLETS)
    for wallet, facts in rows.items():
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1)), wallet
    assert sum(member.refusals for member in members) == 0
    told = [(fact.wallet_id, fact.seq) for member in members for fact in member.acknowledged]
    assert len(told) == len(set(told))
    written = {(wallet, fact.seq) for wallet, facts in rows.items() for fact in facts}
    assert set(told) <= written
    if not any(member.losses - LANES for member in members):  # closing is one loss of each lane
        assert set(told) == written


async def test_a_shard_is_free_when_all_rows_of_it_are_there(storage: Storage) -> None:
    every = range(SHARDS)
    member = await opened(storage, "one")
    heir = await storage.connector("two")(0, ())
    await member.take(every)
    # The first are being written when the others come, and these when the shards are given up.
    member.play()
    await quiet()
    for _ in range(MOST_ROWS // 2):
        member.play()
    leaving = asyncio.get_running_loop().create_task(member.leave(every))
    await claimed(heir, every)
    rows = await contents(storage, WALLETS)
    assert {len(facts) for facts in rows.values()} == {1 + MOST_ROWS // 2 + 1}
    await leaving
    await heir.close()
    await member.end()
    await check_rows(storage, [member])


async def test_members_that_swap_their_shards_under_load(storage: Storage) -> None:
    first, second = await opened(storage, "one"), await opened(storage, "two")
    mine, theirs = {0, 1}, {2, 3}
    await asyncio.gather(first.take(mine), second.take(theirs))
    playing = asyncio.get_running_loop().create_task(load((first, second)))
    for _ in range(SWAPS):
        await asyncio.gather(
            first.take(theirs), second.take(mine), first.leave(mine), second.leave(theirs)
        )
        assert (set(first.journal.owned), set(second.journal.owned)) == (theirs, mine)
        mine, theirs = theirs, mine
    playing.cancel()
    await asyncio.gather(first.end(), second.end())
    await check_rows(storage, (first, second))
    for member in (first, second):
        assert {fact.wallet_id for fact in member.acknowledged} == set(WALLETS)


async def test_an_heir_that_ends_the_holder_goes_on_where_it_stopped(storage: Storage) -> None:
    first, second = await opened(storage, "one"), await opened(storage, "two")
    every = range(SHARDS)
    locks = storage.locks()
    await first.take(every)
    owner, heir = first, second
    for _ in range(5):
        playing = asyncio.get_running_loop().create_task(load((owner,)))
        await asyncio.sleep(0.02)
        for holder in set((await locks.holders(every)).values()):
            await locks.end(holder)
        await heir.take(every)
        heir.play()
        playing.cancel()
        async with asyncio.timeout(PATIENCE_S):
            while owner.journal.owned or not owner.journal.able:
                await asyncio.sleep(0.001)
        owner, heir = heir, owner
    await asyncio.gather(first.end(), second.end())
    await check_rows(storage, (first, second))
    assert first.losses > LANES
    assert second.losses > LANES
