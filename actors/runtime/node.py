"""The actors of one process: who is live, and the way from a command to its committed answer."""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from actors.decision import DEFERRED, Announcement, Context, Decision, Known, Push
from actors.kind import Kind
from actors.runtime.actor import Actor
from actors.runtime.alarms import Alarm, Alarms
from actors.runtime.answer import reject, resolve
from actors.runtime.hydration import Hydration
from actors.runtime.ports import (
    Elsewhere,
    Lane,
    Nowhere,
    Placement,
    Publisher,
    Reply,
    Store,
    Witness,
    Write,
)
from actors.runtime.post import Post
from protocol.bounds import MAX_INBOX
from protocol.errors import (
    DRAINING,
    EVICTED,
    INTERNAL,
    OVERLOADED,
    STORAGE_UNAVAILABLE,
    Failure,
)

log = logging.getLogger(__name__)

# Rows between snapshots: a wallet is read back in a few milliseconds.
SNAPSHOT_EVERY: Final = 1_000
# How long a wallet that ran into the unique index is looked up first, so that one client's old
# request ids cannot fail everybody's batch again and again.
SUSPECT_MS: Final = 60_000
# Actors that are looked at for one to let go, when another is wanted and there is no room.
MAKE_ROOM: Final = 64
# Actors put away in one turn of the loop: the snapshot of a wallet that remembers all its request
# ids takes 80 microseconds.
PUT_AWAY_TOGETHER: Final = 25
# How long an alarm waits that could not be taken when it rang.
RING_AGAIN_MS: Final = 1_000

_News = dict[tuple[str, str, str | int], tuple[Announcement, object | None]]
"""What rooms are to be told, and whom the answer has told already. States by room, event and key:
of what several writes of one commit say of the same, only the newest is told. All else by a number
of its own, so that each is told, in order."""


class Node:
    """All live actors of a process. Everything happens on one event loop, without locks."""

    def __init__(
        self,
        kinds: Iterable[Kind],
        placement: Placement,
        store: Store,
        post: Post,
        publisher: Publisher,
        clock: Callable[[], int],
        entropy: Callable[[], str],
        *,
        max_live: int,
        hydrate_timeout_s: float,
        witness: Witness | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.kinds: Mapping[str, Kind] = {kind.name: kind for kind in kinds}
        self._live: dict[str, dict[int, Actor]] = {name: {} for name in self.kinds}
        self._placement = placement
        self._store = store
        self._publisher = publisher
        self._witness = witness
        self._elsewhere = elsewhere or Nowhere()
        self._clock = clock
        self._context = Context(0, entropy)
        # Live actors are memory: about 2 KB for a wallet, up to 100 KB for one that remembers all
        # its request ids. Above the bound a command for another actor is `overloaded`.
        self._max_live = max_live
        self._hydration = Hydration(store, hydrate_timeout_s, self._hydrated, self._unreadable)
        self._alarms = Alarms(self._ring, clock)
        self._post = post
        post.bind(self.send)
        self._draining = False
        # Asked once: a line for every stage of every bet is for finding faults, not for play.
        self._traced = log.isEnabledFor(logging.DEBUG)
        self._sweep: list[Actor] = []

    @property
    def live(self) -> int:
        """How many actors are in memory."""
        return sum(map(len, self._live.values()))

    @property
    def hydrating(self) -> int:
        """How many actors wait to be read from storage."""
        return self._hydration.waiting

    @property
    def looking_up(self) -> int:
        """How many repeated request ids are being looked up."""
        return self._hydration.lookups

    def send(self, kind: str, key: int, command: Any, reply: Reply) -> None:
        """Give a command to its actor. `reply` is called after everything it rests on is committed.

        Never raises: a refusal, temporary ones included, goes to `reply` too.
        """
        waiting = self._elsewhere.waiting
        if waiting and not self._draining:
            shard = self._placement.shard_of(kind, key)
            if shard in waiting:
                # Ours by now or not: those that were sent earlier come first.
                self._elsewhere.send(shard, kind, key, command, reply)
                return
        self.take(kind, key, command, reply)

    def take(self, kind: str, key: int, command: Any, reply: Reply) -> None:
        """Like `send`, for a command that comes from elsewhere, or of itself: nothing is before it.

        Never raises.
        """
        if self._draining:
            reject(reply, Failure(DRAINING))
            return
        actor = self._live[kind].get(key)
        if actor is None:
            actor = self._found(kind, key, command, reply)
            if actor is None:
                return
        if actor.inbox is None:
            self._run(actor, command, reply, False)
        else:
            self._wait(actor, command, reply, False)

    def owns(self, kind: str, key: int) -> bool:
        """Whether an actor's shard is ours, whether it is live or not."""
        return self._placement.owns(self._placement.shard_of(kind, key))

    def _found(self, kind: str, key: int, command: Any, reply: Reply) -> Actor | None:
        """An actor that is not live, on its way; None if the command is elsewhere's, or refused."""
        shard = self._placement.shard_of(kind, key)
        if not self._placement.owns(shard):
            self._elsewhere.send(shard, kind, key, command, reply)
            return None
        try:
            return self._awaken(kind, key, shard)
        except Failure as failure:
            reject(reply, failure)
            return None

    def _wait(self, actor: Actor, command: Any, reply: Reply, retried: bool) -> None:
        if len(actor.queue) >= MAX_INBOX:
            reject(reply, Failure(OVERLOADED, retry_after_ms=1_000))
        else:
            actor.queue.append((command, reply, retried))

    def _awaken(self, kind: str, key: int, shard: int) -> Actor:
        if self._draining:
            raise Failure(DRAINING)
        lane = self._placement.lane_of(shard)
        if self.live >= self._max_live and not self.passivate(0, MAKE_ROOM):
            raise Failure(OVERLOADED, retry_after_ms=1_000)
        actor = Actor(self.kinds[kind], key, shard, lane, self._clock())
        self._live[kind][key] = actor
        self._hydration.add(actor)
        return actor

    def _hydrated(self, actor: Actor) -> None:
        alarm_ms = actor.kind.alarm(actor.state)
        if alarm_ms is not None:
            self._alarms.set(actor, alarm_ms)
        self._resume(actor)

    def _unreadable(self, actor: Actor) -> None:
        self._evict(actor)
        self._reject_inbox(actor)

    def _resume(self, actor: Actor) -> None:
        """Run what has waited, in order, until something makes it wait again."""
        waiting = actor.inbox or deque()
        actor.inbox = None
        while waiting and not actor.waits:
            self._run(actor, *waiting.popleft())
        if waiting:
            actor.queue.extend(waiting)

    def _run(self, actor: Actor, command: Any, reply: Reply, retried: bool) -> None:
        if actor.suspect_until_ms:
            if actor.suspect_until_ms <= self._clock():
                actor.suspect_until_ms = 0
            elif actor.kind.rules[type(command)].replay is not None:
                self._look_up(actor, command, reply, retried)
                return
        self._decide(actor, command, reply, retried)

    def _decide(self, actor: Actor, command: Any, reply: Reply, retried: bool) -> None:
        if actor.lane.full:
            reject(reply, Failure(OVERLOADED, retry_after_ms=1_000))
            return
        context = self._context
        context.now_ms = actor.touched_ms = self._clock()
        kind = actor.kind
        outcome: Decision | Failure
        try:
            outcome = kind.rules[type(command)].decide(actor.state, command, context)
        except Known as known:
            self._look_up(actor, command, reply, retried, known.otherwise)
            return
        except Failure as failure:
            outcome = failure
        except Exception:
            log.exception(
                "the rule of %s failed", type(command).__name__, extra=_about(actor, command)
            )
            outcome = Failure(INTERNAL)
        if self._traced:
            _trace("decided", actor, command)
        write = Write(actor, command, reply, outcome, retried)
        if type(outcome) is Decision and (outcome.facts or outcome.messages):
            self._apply(actor, outcome, write)
        elif not actor.pending:
            news: _News = {}
            self._settle(write, news)
            self._tell(news)
            return
        actor.pending += 1
        actor.lane.append(write)

    def _apply(self, actor: Actor, decision: Decision, write: Write) -> None:
        kind, state = actor.kind, actor.state
        for fact in decision.facts:
            kind.apply(state, fact)
        version = kind.version(state)
        if version - actor.snapshot_version >= SNAPSHOT_EVERY:
            actor.snapshot_version = version
            write.snapshot = (version, kind.snapshot(state))

    def committed(self, writes: Sequence[Write]) -> None:
        """What these writes rest on is durable: answer, tell the rooms, send the messages."""
        news: _News = {}
        for write in writes:
            write.actor.pending -= 1
            if self._traced:
                _trace("committed", write.actor, write.command)
            try:
                self._settle(write, news)
            except Exception:
                # What follows from one commit must not keep the others from their answers.
                log.exception("what follows from a commit failed")
        self._tell(news)
        if self._witness is not None:
            try:
                self._witness.committed(writes)
            except Exception:
                log.exception("a commit could not be looked at")

    def _tell(self, news: _News) -> None:
        for push, origin in news.values():
            try:
                self._publisher.publish(push, origin)
            except Exception:
                log.exception("a room could not be told")

    def _settle(self, write: Write, news: _News) -> None:
        outcome, reply = write.outcome, write.reply
        if type(outcome) is not Decision:
            assert isinstance(outcome, Failure)
            reject(reply, outcome)
            return
        deferred = outcome.reply is DEFERRED
        if not deferred:
            resolve(reply, outcome.reply)
        for push in outcome.pushes:
            # The news grow with each number, so that none is given twice.
            key: str | int = push.key if type(push) is Push else len(news)
            news[push.room, push.event, key] = push, reply.origin
        for message in outcome.messages:
            self._post.deliver(message, reply if deferred else None)
        actor = write.actor
        if outcome.alarm_ms is not None and not actor.gone:
            self._alarms.set(actor, outcome.alarm_ms)
        if write.snapshot is not None:
            self._store.put_snapshot(actor.kind, actor.key, *write.snapshot)

    def _look_up(
        self,
        actor: Actor,
        command: Any,
        reply: Reply,
        retried: bool,
        otherwise: Failure | None = None,
    ) -> None:
        """Answer from the committed row, once all of this actor's facts are committed."""
        actor.inbox = deque()
        lookup = Lookup(self, actor, command, reply, retried, otherwise)
        if actor.pending:
            actor.pending += 1
            barrier = Write(actor, command, lookup, Decision(None), retried)
            actor.lane.append(barrier)
        else:
            lookup.resolve(None)

    def find(self, lookup: "Lookup") -> None:
        """Read the row that a lookup asks for."""
        self._hydration.find(lookup)

    def resume(self, actor: Actor) -> None:
        """Go on with what waits for an actor, if it is still ours."""
        if not actor.gone:
            self._resume(actor)

    def looked_up(self, lookup: "Lookup", fact: Any | None) -> None:
        """The row of a request id was read: replay its answer, refuse, or decide it as new."""
        actor, command, reply = lookup.actor, lookup.command, lookup.reply
        if actor.gone:
            reject(reply, Failure(STORAGE_UNAVAILABLE))
            return
        waiting = actor.queue
        actor.inbox = None
        rule = actor.kind.rules[type(command)]
        assert rule.replay is not None
        if fact is not None:
            self._replay(rule.replay, command, fact, reply)
        elif lookup.otherwise is not None:
            reject(reply, lookup.otherwise)
        else:
            self._decide(actor, command, reply, lookup.retried)
        if actor.waits:
            actor.queue.extend(waiting)
        else:
            actor.inbox = waiting
            self._resume(actor)

    def _replay(
        self, replay: Callable[[Any, Any], Any], command: Any, fact: Any, reply: Reply
    ) -> None:
        try:
            answer = replay(command, fact)
        except Failure as failure:
            reject(reply, failure)
        except Exception:
            log.exception("the replay of %s failed", type(command).__name__)
            reject(reply, Failure(INTERNAL))
        else:
            resolve(reply, answer)

    def refused(self, writes: Sequence[Write]) -> None:
        """Storage refused an actor's rows: read it again, and decide its commands once more."""
        actors = {id(write.actor): write.actor for write in writes}
        for actor in actors.values():
            self._evict(actor)
        for write in writes:
            reply = write.reply.reply if isinstance(write.reply, Lookup) else write.reply
            self._again(write.actor, write.command, reply, write.retried)
        for actor in actors.values():
            waiting, actor.inbox = actor.inbox or (), deque()
            for command, reply, retried in waiting:
                self._again(actor, command, reply, retried)

    def _again(self, old: Actor, command: Any, reply: Reply, retried: bool) -> None:
        if retried:
            reject(reply, Failure(EVICTED))
            return
        kind, key = old.kind.name, old.key
        actor = self._live[kind].get(key) or self._found(kind, key, command, reply)
        if actor is None:
            return
        actor.suspect_until_ms = self._clock() + SUSPECT_MS
        self._wait(actor, command, reply, True)

    def lost(self, lane: Lane, writes: Sequence[Write]) -> None:
        """A lane lost its connection: the outcome of `writes` is unknown, its actors are stale."""
        for actors in self._live.values():
            for actor in [actor for actor in actors.values() if actor.lane is lane]:
                self._evict(actor)
                self._reject_inbox(actor)
        for write in writes:
            reject(write.reply, Failure(STORAGE_UNAVAILABLE))

    def busy(self, shards: Collection[int]) -> set[int]:
        """Those of these shards that have an actor for which this is a bad moment to move."""
        return {
            actor.shard
            for kind in self.kinds.values()
            if kind.busy is not None
            for actor in self._live[kind.name].values()
            if actor.shard in shards and actor.state is not None and kind.busy(actor.state)
        }

    def leave(self, shards: Collection[int]) -> list[Actor]:
        """Let all actors of shards go that are ours no more; what waits for them goes elsewhere.

        What they have decided is still committed, and answered. They are for `left`, after that.
        """
        leaving = [
            actor
            for actors in self._live.values()
            for actor in actors.values()
            if actor.shard in shards
        ]
        for actor in leaving:
            self._evict(actor)
        for actor in leaving:
            waiting, actor.inbox = actor.inbox or (), deque()
            for command, reply, _retried in waiting:
                self._elsewhere.send(actor.shard, actor.kind.name, actor.key, command, reply)
        return leaving

    def left(self, actors: Sequence[Actor]) -> Iterator[None]:
        """Keep snapshots of actors that have left, where all they decided is committed.

        Stops for its caller to pause after every PUT_AWAY_TOGETHER.
        """
        for count, actor in enumerate(actors, 1):
            if actor.state is not None and actor.pending == 0:
                self._keep(actor)
            if count % PUT_AWAY_TOGETHER == 0:
                yield

    def _evict(self, actor: Actor) -> None:
        actor.gone = True
        self._alarms.clear(actor)
        live = self._live[actor.kind.name]
        if live.get(actor.key) is actor:
            del live[actor.key]

    def _reject_inbox(self, actor: Actor) -> None:
        waiting = actor.inbox or ()
        actor.inbox = deque()
        for _command, reply, _retried in waiting:
            reject(reply, Failure(STORAGE_UNAVAILABLE))

    def passivate(self, idle_ms: int, limit: int) -> int:
        """Look at up to `limit` actors, and let those go that were idle for that long.

        Call it again and again: each call goes on where the last one stopped, and stops early when
        PUT_AWAY_TOGETHER went. Returns how many went. Their snapshots are kept.
        """
        if not self._sweep:
            self._sweep = [actor for actors in self._live.values() for actor in actors.values()]
        before_ms = self._clock() - idle_ms
        count = 0
        for _ in range(min(limit, len(self._sweep))):
            actor = self._sweep.pop()
            count += actor.touched_ms <= before_ms and self._put_away(actor)
            if count == PUT_AWAY_TOGETHER:
                break
        return count

    def let_go(self, kind: str, key: int) -> None:
        """Let an actor go, if it is at rest: it is read again when the next command comes."""
        actor = self._live[kind].get(key)
        if actor is not None:
            self._put_away(actor)

    def put_all_away(self) -> Iterator[None]:
        """Let every actor go that is at rest, with its snapshot: the last step of a drain.

        Stops for its caller to pause after every PUT_AWAY_TOGETHER.
        """
        everyone = [actor for actors in self._live.values() for actor in actors.values()]
        for count, actor in enumerate(everyone, 1):
            self._put_away(actor)
            if count % PUT_AWAY_TOGETHER == 0:
                yield

    def _put_away(self, actor: Actor) -> bool:
        if actor.gone or not actor.idle:
            return False
        self._keep(actor)
        self._evict(actor)
        return True

    def _keep(self, actor: Actor) -> None:
        version = actor.kind.version(actor.state)
        if version > actor.snapshot_version:
            snapshot = actor.kind.snapshot(actor.state)
            self._store.put_snapshot(actor.kind, actor.key, version, snapshot)

    def _ring(self, actor: Actor) -> None:
        if not actor.gone:
            self.take(actor.kind.name, actor.key, Alarm(), _Rung(self, actor))

    def ring_again(self, actor: Actor) -> None:
        """An alarm could not be taken now: set it once more, unless the actor has a newer wish."""
        if not actor.gone and not actor.alarm_ms:
            self._alarms.set(actor, self._clock() + RING_AGAIN_MS)

    def drain(self) -> None:
        """Take no new actor in; those live finish what they have."""
        self._draining = True

    def close(self) -> None:
        """Stop the timers and reads. Nothing may be sent afterwards."""
        self._draining = True
        self._hydration.close()
        self._alarms.close()


def _trace(stage: str, actor: Actor, command: Any) -> None:
    log.debug(stage, extra=_about(actor, command))


def _about(actor: Actor, command: Any) -> dict[str, str]:
    return {
        "request_id": str(getattr(command, "request_id", None)),
        "actor": f"{actor.kind.name}:{actor.key}",
        "command": type(command).__name__,
    }


class _Rung:
    """The reply to a rung alarm, which nobody waits for."""

    __slots__ = ("_actor", "_node")

    origin = None

    def __init__(self, node: Node, actor: Actor) -> None:
        self._node = node
        self._actor = actor

    def resolve(self, value: Any) -> None:
        """The actor has done what it wanted the alarm for."""

    def reject(self, failure: Failure) -> None:
        """Refused for now, it rings again; refused for good, its rule is wrong."""
        if failure.kind.temporary:
            self._node.ring_again(self._actor)
        else:
            log.error("an alarm was refused: %s", failure)


class Lookup:
    """A barrier's reply: when the facts before it are committed, the row is read."""

    __slots__ = ("actor", "command", "node", "otherwise", "reply", "retried")

    origin = None

    def __init__(
        self,
        node: Node,
        actor: Actor,
        command: Any,
        reply: Reply,
        retried: bool,
        otherwise: Failure | None,
    ) -> None:
        self.node = node
        self.otherwise = otherwise
        self.actor = actor
        self.command = command
        self.reply = reply
        self.retried = retried

    @property
    def request_id(self) -> UUID:
        """The id to look for. Every command whose rule has a replay carries one."""
        request_id: UUID = self.command.request_id
        return request_id

    def resolve(self, _value: Any) -> None:
        """The facts before it are committed."""
        self.node.find(self)

    def reject(self, failure: Failure) -> None:
        """Its lane was lost, and the actor with it."""
        reject(self.reply, failure)

    def found(self, fact: Any | None) -> None:
        """The row was read."""
        self.node.looked_up(self, fact)

    def give_up(self, failure: Failure) -> None:
        """The row could not be read: refuse this command, and go on with those that wait."""
        reject(self.reply, failure)
        self.node.resume(self.actor)
