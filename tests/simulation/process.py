"""One process of Pitboss: a real node and a real journal over the twins of storage."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

from actors.crash.rules import CRASH, crash_kind
from actors.crash.stake import RULES as CRASH_STAKES
from actors.decision import Announcement, Push
from actors.dice.rules import DICE
from actors.instant import instant_rule
from actors.kind import Rule
from actors.limbo.rules import LIMBO
from actors.limits import Limits
from actors.mines.rules import mines_rules
from actors.plinko.rules import PLINKO
from actors.runtime.node import Node
from actors.runtime.ports import Elsewhere, Reply
from actors.runtime.post import Post
from actors.wallet.rules import WALLET, wallet_kind
from protocol.commands.dice import RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.plinko import DropPlinko
from protocol.commands.rain import RainFell
from protocol.errors import STORAGE_UNAVAILABLE, Failure
from server.tables import Tables
from storage.journal import Journal, shards_of
from storage.lane import Connect, Lane, Listener
from storage.stores import Stores
from tests.simulation.call import Call
from tests.simulation.tables import caller_of, handlers_of
from tests.support.memory import (
    MemoryConnector,
    MemoryOutbox,
    MemoryStore,
    MemoryTables,
    Weather,
)

if TYPE_CHECKING:
    from tests.simulation.world import World

SHARDS = 8
COMMIT_TIMEOUT_S = 1.5
HYDRATE_TIMEOUT_S = 1.5
LIMITS = {"USD": Limits(10, 50_000, 200_000), "BTC": Limits(1, 10**9, 10**10)}

GAMES: dict[type, Rule] = {
    RollDice: instant_rule(DICE, LIMITS),
    PlayLimbo: instant_rule(LIMBO, LIMITS),
    DropPlinko: instant_rule(PLINKO, LIMITS),
    **mines_rules(LIMITS),
    **CRASH_STAKES,
}


def shard_of(key: int, kind: str = WALLET) -> int:
    """The shard of a wallet, or of another actor, computed here again."""
    return (key + crc32(kind.encode())) % SHARDS


class _Unheard:
    """The reply to a delivery that the network made twice: nobody waits for it."""

    origin = None

    def resolve(self, value: Any) -> None:
        """Nobody is told."""

    def reject(self, failure: Failure) -> None:
        """Nobody is told."""


class Process:
    """Starts in its constructor; ends by `kill`, of which it knows nothing, or by `stop`."""

    world: "World"

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.dead = False
        self.stopping = False
        self.calls: list[Call] = []
        self._late: dict[Reply, asyncio.TimerHandle] = {}
        """Deliveries that are on their way, by who waits for them."""
        self._rng = Random(f"process {world.seed} {number}")
        self.weather = self._weather()
        self.connector = self._connector()
        self.lanes = [self._lane(number) for number in range(world.plan.lanes)]
        self.journal = Journal(self.lanes, SHARDS)
        self.store = MemoryStore(world.database, self.weather)
        self.outbox = self._outbox()
        self.tables = MemoryTables(world.database, self.weather, lambda table: world.chains[table])
        self._post = Post(self._reached(self.outbox))
        self.kind = wallet_kind(GAMES)
        self.crash = crash_kind(world.tables, ())
        self.node = self._node(self._elsewhere())
        self._post.bind(self._deliver)
        self.journal.bind(self._listener())
        self._lane_tasks = [self._start(lane.run()) for lane in self.lanes]
        self._crash = handlers_of(self.node, world.tables, world.database)
        self._wake = Tables(self.node, world.tables).wake
        self._jobs = [self._start(job) for job in self._all_jobs()]

    # What a member of a cluster has otherwise.

    def _weather(self) -> Weather:
        """What happens between this process and the database."""
        return self.world.storm

    def _connector(self) -> MemoryConnector:
        return MemoryConnector(self.world.database, self.weather)

    def _outbox(self) -> MemoryOutbox:
        world = self.world
        return MemoryOutbox(world.database, lambda: self.journal.owned, self.weather, world.now_ms)

    def _reached(self, thing: Any) -> Any:
        """Something outside, as this process reaches it."""
        return thing

    def _elsewhere(self) -> Elsewhere | None:
        """The way to actors that are not here."""
        return None

    def _listener(self) -> Listener:
        """Who is told what became of writes."""
        return self.node

    def _all_jobs(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on beside the lanes."""
        return [self._sweep(), self._behind(), self._keep_tables()]

    def _lane(self, lane: int, *, moving: bool = False) -> Lane:
        plan = self.world.plan
        return Lane(
            lane,
            shards_of(lane, plan.lanes, SHARDS),
            self._connect,
            None,
            COMMIT_TIMEOUT_S,
            lambda _facts, _seconds: None,
            moving=moving,
        )

    @property
    def _connect(self) -> Connect:
        """How a lane gets its connection."""
        return self.connector

    def _node(self, elsewhere: Elsewhere | None) -> Node:
        world = self.world
        stores = {WALLET: self._reached(self.store), CRASH: self._reached(self.tables)}
        return Node(
            [self.kind, self.crash],
            self.journal,
            Stores(stores),
            self._post,
            self,
            world.now_ms,
            self._entropy,
            # Tables are live all the time, and the others come and go beside them.
            max_live=world.plan.max_live + len(world.tables),
            hydrate_timeout_s=HYDRATE_TIMEOUT_S,
            elsewhere=elsewhere,
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    def _entropy(self) -> str:
        return f"{self._rng.getrandbits(256):064x}"

    @property
    def takes_calls(self) -> bool:
        """Whether clients can reach it."""
        return not self.dead and not self.stopping

    def owns(self, key: int, kind: str = WALLET) -> bool:
        """Whether a live backend of this process holds the lock of the actor's shard."""
        holder = self.world.database.locks.get(shard_of(key, kind))
        return any(writer.backend is holder for writer in self.connector.writers.values())

    def fresh_from(self, call: Call) -> int:
        """The oldest row that an answer may rest on: any, if the shards are lost unnoticed.

        A process learns late that its backend has ended. Until then it may read what was true; it
        cannot write.
        """
        return call.seq_before if self.owns(call.wallet_id) else 0

    def knows_until(self, call: Call) -> int:
        """The newest row of a call's wallet that whoever refuses the call has to know."""
        return self.world.books.seq(call.wallet_id) if self.owns(call.wallet_id) else 0

    def follows(self, call: Call, table: int) -> bool:
        """Whether a table that answers this call knows all that is committed of it."""
        del call
        return self.owns(table, CRASH)

    def send(self, wallet_id: int, command: Any) -> Call:
        """Send a command as a client does."""
        call = Call(self.world, self, wallet_id, command, self.world.next_call())
        self.world.note(f"send {call.number} to {self.number}/{wallet_id}: {command}")
        self.calls.append(call)
        self.world.answers.sent(call)
        self._take(call)
        return call

    def _take(self, call: Call) -> None:
        handler = self._crash.get(type(call.command))
        if handler is None:
            self.node.send(WALLET, call.wallet_id, call.command, call)
        else:
            handler(caller_of(call.wallet_id), call.command, call)

    def publish(self, push: Announcement, _origin: object | None) -> None:
        """Check what the rooms are told: wallets tell states, tables what happened."""
        if self.dead:
            return
        self.world.note(f"push {self.number}: {push.data}")
        if isinstance(push, Push):
            self.world.answers.push(self.number, int(push.room.removeprefix("user:")), push)
        elif isinstance(push.data, RainFell):
            self.world.books.rains.told(push.data)
        else:
            self.world.rounds.told(push)

    def _deliver(self, kind: str, key: int, body: Any, reply: Reply) -> None:
        """A message goes from actor to actor: it may be lost, late or doubled on the way."""
        plan, storm = self.world.plan, self.world.storm
        if self.dead:
            return
        if storm.happens(plan.delivery_lost):
            reply.reject(Failure(STORAGE_UNAVAILABLE))
        elif storm.happens(plan.delivery_late):
            late_s = storm.within_s(10.0)
            self._late[reply] = asyncio.get_running_loop().call_later(
                late_s, self._arrive, kind, key, body, reply
            )
        else:
            self._arrive(kind, key, body, reply)
        if storm.happens(plan.delivery_twice):
            late_s = storm.within_s(5.0)
            asyncio.get_running_loop().call_later(late_s, self._arrive, kind, key, body, _Unheard())

    def _arrive(self, kind: str, key: int, body: Any, reply: Reply) -> None:
        self._late.pop(reply, None)
        if not self.dead:
            self.node.send(kind, key, body, reply)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                await self._post.sweep()
            except OSError:
                continue

    async def _keep_tables(self) -> None:
        while True:
            self._wake()
            await asyncio.sleep(self._rng.random())

    async def _behind(self) -> None:
        """Delete messages, write snapshots and let idle actors go, at odd times."""
        while True:
            await asyncio.sleep(self._rng.random() * 0.5)
            self.check_rehydrated()
            self.node.passivate(self.world.plan.idle_ms, self._rng.choice((1, 3, 100)))
            await self.store.flush_snapshots()
            await self.outbox.flush()

    def sever(self) -> None:
        """Break one of the connections."""
        if self.connector.writers:
            self.connector.writers[self._rng.choice(list(self.connector.writers))].sever()

    def kill(self) -> None:
        """End as `kill -9` does: nothing is finished, nobody is told."""
        self.dead = True
        for task in (*self._lane_tasks, *self._jobs):
            task.cancel()
        self.node.close()
        for writer in self.connector.writers.values():
            writer.sever()

    async def stop(self) -> None:
        """End as a drained process does: what was accepted is committed and answered."""
        self.stopping = True
        self.node.drain()
        await self._finish()
        await self._end()

    async def _finish(self) -> None:
        """Commit what was accepted, and stop whatever goes on."""
        for lane in self.lanes:
            lane.close()
        await asyncio.gather(*self._lane_tasks)
        await asyncio.sleep(HYDRATE_TIMEOUT_S + 0.1)  # reads under way end, one way or the other
        for reply, timer in self._late.items():
            timer.cancel()
            reply.reject(Failure(STORAGE_UNAVAILABLE))
        for task in self._jobs:
            task.cancel()
        self.node.close()

    async def _end(self) -> None:
        """Look whether everybody was answered, and be gone."""
        if not self.dead:
            self.check_answered()
            await self.store.flush_snapshots()
            await self.outbox.flush()
            self.dead = True

    def check_answered(self) -> None:
        """Every call that this process ever took has its answer."""
        for call in self.calls:
            if not call.answered.done():
                self.world.fail(f"call {call.number} was never answered: {call.command}")
                return

    def check_rehydrated(self) -> None:
        """What is live and committed equals what would be read back, with a snapshot or without."""
        for wallet_id, actor in self.node._live["wallet"].items():
            if actor.idle and self.owns(wallet_id):
                live = self._fields(actor.state)
                for snapshot in (self.world.database.snapshots.get(wallet_id), None):
                    stored = self.store.stored(wallet_id, snapshot)
                    state = self.kind.restore(wallet_id, stored.snapshot)
                    for fact in stored.facts:
                        self.kind.apply(state, fact)
                    read = self._fields(state)
                    if read != live:
                        self.world.fail(f"read back {read}, but live is {live}")
        for number, actor in self.node._live[CRASH].items():
            # A table is never idle, as it always has an alarm.
            if not actor.waits and not actor.pending and self.owns(number, CRASH):
                self._check_table(actor.state)

    def _check_table(self, live: Any) -> None:
        number = live.table.number
        stored = self.tables.stored(number)
        state = self.crash.restore(number, stored.snapshot)
        for fact in stored.facts:
            self.crash.apply(state, fact)
        if table_fields(state) != table_fields(live):
            found = f"read back {table_fields(state)}, but live is {table_fields(live)}"
            self.world.fail(f"table {number}: {found}")

    def _fields(self, state: Any) -> dict[str, Any]:
        """All that a wallet is; the words of its seed pair are made of the pair."""
        names = [name for name in type(state).__slots__ if name != "_words"]
        fields = {name: getattr(state, name) for name in names}
        return {**fields, "recent": list(state.recent)[-self.world.plan.remembered :]}

    def crashed(self) -> BaseException | None:
        """What a task of this process died of, which none should."""
        for task in (*self._lane_tasks, *self._jobs):
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None


def table_fields(state: Any) -> dict[str, Any]:
    """All that a table is, but for what it keeps for whoever asks and how it was read."""
    apart = {"round", "shown", "interrupted"}
    fields = {name: getattr(state, name) for name in type(state).__slots__ if name not in apart}
    current = state.round
    if current is not None:
        fields |= {f"round.{name}": getattr(current, name) for name in type(current).__slots__}
    return fields
