"""A world whose processes are one cluster: they divide the shards, and speak over a bus."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from random import Random
from string import ascii_letters, digits
from typing import Final, cast

from actors.crash.rules import CRASH
from actors.runtime.membership import winner
from actors.runtime.ports import Holder
from tests.simulation.burst import Burst
from tests.simulation.client import Client
from tests.simulation.disasters import strike
from tests.simulation.member import ClusterMember
from tests.simulation.plan import Plan, cluster_plan
from tests.simulation.process import SHARDS, shard_of
from tests.simulation.silences import LAST_S, Silences
from tests.simulation.world import World
from tests.support.memory_bus import MemoryHub
from tests.support.memory_database import Backend, MemoryDatabase

# How long a cluster without trouble may take until every shard is where it belongs, in virtual
# seconds: a round that is played to its end, silence, connecting again, and a few looks.
CONVERGED_S: Final = 90.0
# How long what travels may take to arrive, or to be given up.
QUIET_S: Final = 10.0
# Turns of the loop in which what was cancelled comes to its end.
MAX_UNWINDING: Final = 100
_LETTERS: Final = ascii_letters + digits + "-_"


class _Database(MemoryDatabase):
    """Tells whose locks have ended with their backend."""

    def __init__(self, freed: Callable[[str, Collection[int]], None]) -> None:
        super().__init__()
        self._freed = freed

    def end(self, backend: Backend) -> None:
        """End a backend."""
        held = [shard for shard, holder in self.locks.items() if holder is backend]
        super().end(backend)
        self._freed(backend.member, held)


class Cluster(World):
    """Members that come, go, stand still and are cut off, and all that a world has beside them."""

    is_cluster = True

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.hub = MemoryHub(self._delay_s)
        self.silences = Silences(self._loop.time)
        self.members: dict[str, ClusterMember] = {}
        """All that ever were."""
        self.slow_s = 0.0
        """How slow the bus is at the moment, beside what it always is."""
        self._struck: list[asyncio.Task[None]] = []
        # Who holds a shard for its own whose lock has ended, and until when anybody did.
        self._unnoticed: dict[int, dict[ClusterMember, None]] = {n: {} for n in range(SHARDS)}
        self._outdated_s = dict.fromkeys(range(SHARDS), -1.0)
        self._ids = Random(f"ids {seed}")
        self._is_over = False

    def _plan(self) -> Plan:
        plan, self.cluster_plan = cluster_plan(self.seed)
        return plan

    def _database(self) -> MemoryDatabase:
        return _Database(self._freed)

    def _process(self, number: int) -> ClusterMember:
        return ClusterMember(self, number)

    def begin(self) -> None:
        """Start the first members."""
        for _ in range(self.cluster_plan.members):
            self.start()

    def _players(self) -> list[Client]:
        wallets = self.wallets[: self.cluster_plan.bursts]
        return [*super()._players(), *(Burst(self, wallet_id, 100) for wallet_id in wallets)]

    def start(self) -> ClusterMember:
        """Start another member."""
        member = cast(ClusterMember, super().start())
        self.members[member.id] = member
        return member

    def new_id(self, number: int) -> str:
        """What only this member is called."""
        del number
        return "".join(self._ids.choices(_LETTERS, k=8))

    def fail(self, finding: str) -> None:
        """An invariant does not hold. How members are taken away at the end says nothing."""
        if not self._is_over:
            super().fail(finding)

    @property
    def live(self) -> list[ClusterMember]:
        """Those that take calls."""
        return [member for member in self.members.values() if member.takes_calls]

    def victim(self) -> ClusterMember:
        """Somebody to be struck."""
        return self._rng.choice(self.live)

    def lasts_s(self) -> float:
        """How long something passing lasts."""
        return self._rng.random() * self.cluster_plan.lasts_s

    def chance(self) -> bool:
        """Heads or tails."""
        return self._rng.random() < 0.5

    def _delay_s(self) -> float:
        return self.storm.within_s(self.cluster_plan.delay_s + self.slow_s)

    # Who knows what.

    def _freed(self, member: str, shards: Collection[int]) -> None:
        """The locks of these shards have ended with their backend."""
        holder = self.members.get(member)
        if holder is not None and not holder.dead:
            for shard in shards:
                self._unnoticed[shard][holder] = None

    def noticed(self, member: ClusterMember, shards: Sequence[int]) -> None:
        """A member knows, or cannot tell anybody any more, that it has lost these shards."""
        for shard in shards:
            if member in self._unnoticed[shard]:
                del self._unnoticed[shard][member]
                self._outdated_s[shard] = self._loop.time()

    def is_fresh(self, shard: int, since_s: float) -> bool:
        """Whether nobody has answered for a shard since then who had lost it unnoticed."""
        return not self._unnoticed[shard] and self._outdated_s[shard] < since_s

    def ends(self, ender: ClusterMember, holder: Holder, shards: Sequence[int]) -> None:
        """A member ends another one's connection, for these shards: only after its silence."""
        if self._loop.time() - ender.went_on_s < LAST_S:
            return  # it stood still between the thought and the deed
        if not any(self.silences.excuse(ender.id, holder.member, shard) for shard in shards):
            self.fail(f"process {ender.number} ends {holder}, which was not silent")

    # Bad weather, and its end.

    async def _strike(self, disaster: str) -> None:
        for task in self._struck:
            if task.done():
                task.result()
        self._struck.append(self._loop.create_task(strike(self, disaster)))

    async def _clear_up(self, chaos: asyncio.Task[None]) -> None:
        """Faults end, and whoever is about to leave is gone. The others remain."""
        self.storm.over = True
        if chaos.done():
            chaos.result()
        for task in (chaos, *self._struck):
            task.cancel()
        for outcome in await asyncio.gather(*self._struck, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        self.note("the storm is over")
        for member in self.members.values():
            if member.stopping and not member.dead:
                member.kill()

    async def _settle(self) -> None:
        """Wait until everything is in its place, then until the last message has arrived."""
        await self._until(self._misplaced, CONVERGED_S)
        await super()._settle()
        await self._until(self._busy, QUIET_S)
        await self._until(self._asleep, QUIET_S)

    async def _until(self, amiss: Callable[[], str | None], limit_s: float) -> None:
        """Wait until nothing is amiss; what still is after so long is a finding."""
        until_s = self._loop.time() + limit_s
        while (finding := amiss()) is not None:
            if self._loop.time() > until_s:
                self.fail(f"long after the faults, {finding}")
                return
            await asyncio.sleep(0.1)

    def _misplaced(self) -> str | None:
        """Something that is not where everybody sees that it should be."""
        live = self.live
        ids = sorted(member.id for member in live)
        for member in live:
            if sorted(member.keeper.membership.members) != ids:
                return f"process {member.number} sees {sorted(member.keeper.membership.members)}"
        for shard in range(SHARDS):
            owner = winner(shard, ids)
            backend = self.database.locks.get(shard)
            if backend is None or backend.member != owner:
                return f"the lock of shard {shard} has {backend and backend.member}, not {owner}"
            for member in live:
                if member.journal.owns(shard) is not (member.id == owner):
                    return f"process {member.number} is wrong about owning shard {shard}"
                if member.routes.owner_of(shard) != owner:
                    knows = member.routes.owner_of(shard)
                    return f"member {member.id} says {knows} owns shard {shard}, not {owner}"
        return None

    def _busy(self) -> str | None:
        """Something that is still on its way."""
        for member in self.live:
            if member.routes.asked or member.routes.parked:
                return f"{member.routes.asked} are asked and {member.routes.parked} are parked"
        return None

    def _asleep(self) -> str | None:
        """A table that does not run where it belongs, or elsewhere too."""
        for table in self.tables:
            runs_on = [one.id for one in self.live if table in one.node._live[CRASH]]
            owner = winner(shard_of(table, CRASH), sorted(one.id for one in self.live))
            if runs_on != [owner]:
                return f"table {table} runs on {runs_on}, and should on {owner}"
        return None

    async def run(self) -> None:
        """Live until everything is quiet or something was found, and take all members away."""
        try:
            await super().run()
        finally:
            await self.take_away()

    async def take_away(self) -> None:
        """End all members; nothing that they do meanwhile counts."""
        self._is_over = True
        for member in self.members.values():
            self.counts += member.counts()
            if not member.dead:
                member.kill()
        for _ in range(MAX_UNWINDING):
            await asyncio.sleep(0)
            if not any(member.loop.busy for member in self.members.values()):
                break
        for member in self.members.values():
            member.loop.close()
