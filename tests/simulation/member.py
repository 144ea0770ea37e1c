"""A member of a world's cluster: a process with its own loop, its own lines and its own place."""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.crash.commands import Join
from actors.crash.rules import CRASH
from actors.runtime.exchange import Callback, Exchange
from actors.runtime.frames import decode_ask
from actors.runtime.keeper import Keeper, Load
from actors.runtime.membership import Member, Membership
from actors.runtime.node import Node
from actors.runtime.ports import BusListener, Elsewhere, Holder, Lane, Write
from actors.runtime.routes import MAX_HOPS, PARK_LOOK_S, Routes
from storage.lane import Connect, Listener
from storage.lane import Lane as JournalLane
from tests.simulation.call import Call
from tests.simulation.gate import Abroad, Connecting, Hearing, ProcessLoop, Wire
from tests.simulation.process import SHARDS, Process, shard_of
from tests.simulation.storm import Line
from tests.support.memory import MemoryConnector, MemoryLocks, MemoryOutbox
from tests.support.memory_bus import MemoryBus
from tests.support.memory_registry import MemoryRegistry

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

# How long a drain may take to hand over, and to be answered.
DRAIN_S = 5.0
# How often a member is looked at while it lives, and how late its own timers may be.
LOOK_S = 0.2
LATE_S = 0.01
# No command takes longer, whatever happens, while its process runs: a table's message may be late
# by ten seconds on its way, and every leg has its time-outs.
PATIENCE_S = 40.0


class _Noting:
    """Tells the node what became of writes, and the world when a lane is known to be lost."""

    def __init__(self, member: "ClusterMember", node: Node) -> None:
        self._member = member
        self.committed = node.committed
        self.refused = node.refused

    def lost(self, lane: Lane, writes: Sequence[Write]) -> None:
        """The lane's shards are not ours, and we know it."""
        self._member.node.lost(lane, writes)
        self._member.cluster.noticed(self._member, cast(JournalLane, lane).shards)


class _Bus(Abroad):
    """The bus, whose words are heard when the process runs."""

    def __init__(self, member: "ClusterMember", bus: MemoryBus) -> None:
        super().__init__(member.loop, bus)
        self._member = member

    def bind(self, listener: BusListener) -> None:
        """Say who hears."""
        self._thing.bind(Hearing(self._member.loop, listener))


class _Locks(MemoryLocks):
    """The locks as a member sees them, which looks whether it may end what it ends."""

    def __init__(self, member: "ClusterMember") -> None:
        super().__init__(member.cluster.database, member.line)
        self._member = member
        self._seen: dict[int, Holder] = {}

    async def holders(self, shards: Collection[int]) -> dict[int, Holder]:
        """Who holds the locks of these shards."""
        self._seen = await super().holders(shards)
        return self._seen

    async def end(self, holder: Holder) -> None:
        """End a holder's backend."""
        shards = [shard for shard, seen in self._seen.items() if seen == holder]
        self._member.cluster.ends(self._member, holder, shards)
        await super().end(holder)


class _Registry(MemoryRegistry):
    """The registry, which notes what a member has seen."""

    def __init__(self, member: "ClusterMember") -> None:
        super().__init__(member.cluster.hub)
        self._silences = member.cluster.silences

    async def announce(self, mine: Member) -> list[Member]:
        """Announce oneself, and see everybody who does."""
        seen = await super().announce(mine)
        self._silences.saw(mine.id, seen)
        return seen


class ClusterMember(Process):
    """Joins when it is made; ends by `kill`, of which it knows nothing, or by `stop`."""

    def __init__(self, cluster: "Cluster", number: int) -> None:
        self.cluster = cluster
        self.loop = ProcessLoop(asyncio.get_running_loop())
        self.id = cluster.new_id(number)
        self.went_on_s = 0.0
        """When it went on after its last pause."""
        self.line = Line(cluster.storm, cluster.cluster_plan.lock_fails)
        self._unanswered: deque[Call] = deque()
        with self.loop.entered():
            super().__init__(cluster, number)
            self.keeper = self._keeper()
            # On the bus until the very end, when everything else has stopped.
            self._on_bus = self._start(self.bus.run())

    def _weather(self) -> Line:
        return self.line

    def _connector(self) -> MemoryConnector:
        return MemoryConnector(self.cluster.database, self.line, self.id)

    @property
    def _connect(self) -> Connect:
        return Connecting(self.loop, self.connector)

    def _lane(self, lane: int, *, moving: bool = True) -> JournalLane:
        return super()._lane(lane, moving=moving)

    def _outbox(self) -> MemoryOutbox:
        cluster = self.cluster
        return MemoryOutbox(cluster.database, lambda: self.journal.owned, self.line, cluster.now_ms)

    def _reached(self, thing: Any) -> Any:
        return Abroad(self.loop, thing)

    def _listener(self) -> Listener:
        return _Noting(self, self.node)

    def _elsewhere(self) -> Elsewhere | None:
        self._memory_bus = MemoryBus(self.cluster.hub, self.id, loop=cast(Any, Wire(self.loop)))
        self.bus = _Bus(self, self._memory_bus)
        self.exchange = Exchange(self.id, cast(Any, self.bus))
        self.routes = Routes(self.exchange, self.journal, SHARDS, self.cluster.now_ms)
        listeners = self.exchange._listeners
        listeners["ask"] = partial(self._overhear, listeners["ask"])
        return self.routes

    def _overhear(self, callback: Callback, sender: str, body: msgspec.Raw) -> None:
        """Look at an ask that is heard."""
        ask = decode_ask(body)
        self.cluster.counts[f"asks after {ask.hops} hops"] += 1
        if ask.hops > MAX_HOPS:
            self.cluster.fail(f"{ask} has been passed on too often")
        callback(sender, body)

    def _keeper(self) -> Keeper:
        cluster = self.cluster
        self.routes.bind(self.node.take, self.node.kinds, (Join,))
        name = f"process {self.number}"
        return Keeper(
            Member(id=self.id, name=name, started_at_ms=cluster.now_ms()),
            Membership(self.id, SHARDS, self.loop.time),
            self.journal,
            self._reached(_Locks(self)),
            self._reached(_Registry(self)),
            self.exchange,
            self.routes,
            self.node,
            Load,
            lambda _shards: self._wake(),
        )

    def _all_jobs(self) -> list[Coroutine[Any, Any, None]]:
        return [*super()._all_jobs(), self._keep_place(), self._look()]

    async def _keep_place(self) -> None:
        await self.keeper.run()

    def _take(self, call: Call) -> None:
        # A process that stands still takes it later.
        self._unanswered.append(call)
        self.loop.take(super()._take, call)

    # What may be expected of its answers.

    def _is_fresh(self, call: Call, key: int, kind: str = "wallet") -> bool:
        return self.cluster.is_fresh(shard_of(key, kind), call.sent_s)

    def fresh_from(self, call: Call) -> int:
        return call.seq_before if self._is_fresh(call, call.wallet_id) else 0

    def knows_until(self, call: Call) -> int:
        return self.fresh_from(call)

    def follows(self, call: Call, table: int) -> bool:
        return self._is_fresh(call, table, CRASH)

    # What befalls it.

    def pause(self) -> None:
        """Stand still, as by SIGSTOP."""
        self.loop.pause()

    def go_on(self) -> None:
        """Go on, as by SIGCONT."""
        if self.loop.paused:
            self.went_on_s = self.loop.time()
            self.loop.go_on()

    def cut_from_database(self, *, at_once: bool) -> None:
        """Let nothing through to the database. `at_once`: it knows, as connections break."""
        self.line.cut = True
        if at_once:
            self.sever_all()

    def sever_all(self) -> None:
        """Break every connection to the database."""
        for writer in self.connector.writers.values():
            writer.sever()

    def kill(self) -> None:
        """End as `kill -9` does: nothing is finished, nobody is told."""
        self.dead = True
        self.cluster.noticed(self, range(SHARDS))
        self._memory_bus.kill()
        self.loop.kill()
        self._close()
        self.sever_all()

    def _close(self) -> None:
        with self.loop.entered():
            self.node.close()
            self.routes.close()

    async def stop(self) -> None:
        """Hand everything over, end as a drained process does, and leave."""
        self.stopping = True
        ended = asyncio.Event()
        with self.loop.entered():
            end = self.loop.create_task(self._hand_over_and_end())
        end.add_done_callback(lambda _end: ended.set())
        await ended.wait()
        if not end.cancelled():
            end.result()
            self.loop.kill()

    async def _hand_over_and_end(self) -> None:
        handed_over = await self.keeper.drain(DRAIN_S)
        self.cluster.counts["drains that handed over" if handed_over else "drains in vain"] += 1
        if not handed_over:
            self.node.drain()
        await self._flush()
        self.node.drain()
        await self._flush()
        await self._finish()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.keeper.withdraw()
        self.routes.close()
        self.bus.close()
        self.cluster.noticed(self, range(SHARDS))
        await self._end()

    async def _flush(self) -> None:
        """Wait until everything accepted is committed, here and elsewhere, or time is up."""
        until_s = self.loop.time() + DRAIN_S
        while self.loop.time() < until_s and (
            self.routes.asked or any(lane.depth for lane in self.lanes)
        ):
            await asyncio.sleep(0.05)

    # What always holds while it runs.

    async def _look(self) -> None:
        while True:
            due_s = self.loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self._check_actors()
            # After a pause, everything else is as late.
            if self.loop.time() - due_s < LATE_S:
                self._check_patience()

    def _check_actors(self) -> None:
        """Only actors of shards that it takes for its own are live here."""
        for kind, live in self.node._live.items():
            for key, actor in live.items():
                if not self.journal.owns(actor.shard):
                    self.cluster.fail(f"{kind} {key} lives on in process {self.number}")

    def _check_patience(self) -> None:
        """Nothing waits for longer than it may."""
        now_s, routes = self.loop.time(), self.routes
        for route in routes._routes:
            if route.parked and route.parked[0].until_s < now_s - PARK_LOOK_S - LATE_S:
                self.cluster.fail(f"{route.parked[0]} is parked for ever")
        if len(routes._asked) != sum(route.asked for route in routes._routes):
            self.cluster.fail(f"{routes._asked} are asked, but counted otherwise")
        if routes.parked != sum(len(route.parked) for route in routes._routes):
            self.cluster.fail(f"{routes.parked} are parked, but counted otherwise")
        oldest = next(iter(routes._asked.values()), None)
        if oldest is not None and oldest.until_s < now_s - LATE_S:
            self.cluster.fail(f"nobody gives up on {oldest}")
        waiting = self._unanswered
        while waiting and waiting[0].answered.done():
            waiting.popleft()
        if waiting and max(waiting[0].sent_s, self.went_on_s) < now_s - PATIENCE_S:
            call = waiting[0]
            self.cluster.fail(f"nobody answers call {call.number}: {call.command}")

    def counts(self) -> Counter[str]:
        """What it did for the cluster."""
        outcomes = {f"remote {how}": count for how, count in self.routes.outcomes.items()}
        kept = {f"shards {what}": count for what, count in self.keeper.counts.items()}
        return Counter(outcomes) + Counter(kept)
