"""Keeps a member where it belongs: announced, and the owner of the shards that should be its.

Two loops: one announces and looks, and must never wait for the other, which moves shards.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

import msgspec

from actors.runtime.exchange import Exchange
from actors.runtime.heir import Heir
from actors.runtime.membership import ANNOUNCE_S, Member, Membership, bits_of, shards_of_bits
from actors.runtime.node import Node
from actors.runtime.ports import Locks, Registry, Shards, Unreachable
from actors.runtime.routes import Routes

log = logging.getLogger(__name__)

# How often shards are tried again that should be ours and are another's still. A planned hand-over
# says so, and need not wait for it.
CLAIM_S: Final = 0.1
# How long a member that lost shards without sight of Redis leaves them to those who can see it.
BLIND_S: Final = 2.0
# How often a lane is asked whether its connection lives, when there is nothing to claim.
PING_S: Final = 0.5
# How long a lane may be without its connection before that is announced: it mostly wins it back at
# once, and shards should not move to and fro for that.
UNABLE_S: Final = 1.0
# How long a shard may stay for the round that is played in it, whose bets would be given back if it
# moved now: longer than nearly all rounds take. A drain grants half of its own time.
LINGER_S: Final = 60.0
# How often a drain looks whether everything is handed over.
DRAIN_LOOK_S: Final = 0.01


class Load(NamedTuple):
    """What a member carries, for operators to see."""

    actors: int = 0
    connections: int = 0
    lag_ms: float = 0.0
    bets: float = 0.0


class Owned(msgspec.Struct, frozen=True, array_like=True):
    """A member's own words on what it owns, said when that changes."""

    revision: int
    shards: str


_decode_owned = msgspec.msgpack.Decoder(Owned).decode


class Keeper:
    """One member's place in the cluster.

    `me` is what it announces, but for what changes. `claimed` is told of shards that are ours now,
    so that what lives in them is woken; `leaving` of those that are given up, while their locks are
    still held; `gone` of members that are seen no more.
    """

    def __init__(
        self,
        me: Member,
        membership: Membership,
        shards: Shards,
        locks: Locks,
        registry: Registry,
        exchange: Exchange,
        routes: Routes,
        node: Node,
        load: Callable[[], Load],
        claimed: Callable[[Collection[int]], None],
        leaving: Callable[[Collection[int]], None] = lambda _shards: None,
        gone: Callable[[str], None] = lambda _member: None,
    ) -> None:
        self.membership = membership
        self._me = me
        self._shards = shards
        self._locks = locks
        self._heir = Heir(membership, locks)
        self._registry = registry
        self._exchange = exchange
        self._routes = routes
        self._node = node
        self._load = load
        self._claimed = claimed
        self._leaving = leaving
        self._gone = gone
        self._draining = False
        self._revision = 0
        self._owned: frozenset[int] = frozenset()
        # What was ours or should have been while Redis was in sight: it may be won back without.
        self._last_wanted: frozenset[int] = frozenset()
        self._able_s = float("-inf")
        # What others were last told to look at: whether this member drains, and whether it is able.
        self._shown = (False, False)
        # Shards that were lost without sight of Redis, and since when.
        self._lost: frozenset[int] = frozenset()
        self._lost_s = 0.0
        self._reachable = True
        self._warned: set[str] = set()
        # Until when shards may linger that should be another's, and how long they are granted.
        self._linger_until_s: dict[int, float] = {}
        self._linger_s = LINGER_S
        self._announce = asyncio.Event()
        self._place = asyncio.Event()
        self._pinged_s = float("-inf")
        self.counts: Counter[str] = Counter()
        """Shards claimed and handed over, and connections of silent members that were ended."""
        exchange.listen("owners", self._heard_owners)
        exchange.listen("look", lambda _sender, _body: self.rouse())
        exchange.on_joined(self.rouse)

    @property
    def draining(self) -> bool:
        """Whether this member hands everything over."""
        return self._draining

    @property
    def wanted(self) -> set[int]:
        """The shards that should be ours, by what was seen last."""
        return self.membership.wanted()

    @property
    def settled(self) -> bool:
        """Whether the cluster is in sight and has a place for us, and what should be ours is."""
        membership = self.membership
        if not membership.sighted or self._me.id not in membership.eligible():
            return False
        return self.wanted <= frozenset(self._shards.owned)

    @property
    def shut_out(self) -> bool:
        """Whether we own nothing, as somebody who is no member holds what should be ours.

        It is not so while members hand shards over, nor for one that has no place among so many.
        """
        return self._heir.shut_out and not self._shards.owned and bool(self.wanted)

    def reached_at(self, address: str) -> None:
        """Say where other members reach this one's sessions; before `run`."""
        self._me = msgspec.structs.replace(self._me, address=address)

    def rouse(self) -> None:
        """Announce and look now."""
        self._announce.set()
        self._place.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._keep_announced())
            loops.create_task(self._keep_placed())

    # Announcing and looking.

    async def _keep_announced(self) -> None:
        while True:
            self._announce.clear()
            try:
                await self._look()
            except Exception:
                log.exception("this member could not be announced")
            await _wait(self._announce, ANNOUNCE_S)

    def announcement(self) -> Member:
        """What this member says of itself now."""
        load, now_s = self._load(), asyncio.get_running_loop().time()
        if self._shards.able:
            self._able_s = now_s
        return msgspec.structs.replace(
            self._me,
            draining=self._draining,
            able=now_s - self._able_s <= UNABLE_S,
            shards=bits_of(self._owned),
            revision=self._revision,
            actors=load.actors,
            connections=load.connections,
            lag_ms=load.lag_ms,
            bets=load.bets,
        )

    async def _look(self) -> None:
        self._note_changes()
        mine = self.announcement()
        try:
            seen = await self._registry.announce(mine)
        except Unreachable as error:
            if self._reachable:
                log.warning("Redis is out of sight, so no shards are taken over: %s", error)
            self._reachable = False
            return
        if not self._reachable:
            log.info("Redis is in sight again")
        self._reachable = True
        if (mine.draining, mine.able) != self._shown:
            # Who should own what is another now: nobody is to find out half a second late.
            self._shown = (mine.draining, mine.able)
            self._exchange.say_all("look", None)
        before = self.membership.members.keys()
        self.membership.saw(seen)
        for member in before - self.membership.members.keys() - {self._me.id}:
            log.warning("member %s is not seen any more", member)
            self._routes.gone(member)
            self._tell(self._gone, member)
        self._routes.keep(self.membership.members.keys() | {self._me.id})
        self._warned &= self.membership.members.keys()
        for one in seen:
            if one.id != self._me.id:
                self._take_in(one, new=one.id not in before)
        self._place.set()

    @staticmethod
    def _tell(who: Callable[[Any], None], what: Any) -> None:
        """Tell somebody who minds. Their faults must keep no shard where it should not be."""
        try:
            who(what)
        except Exception:
            log.exception("a change of members or shards could not be taken in")

    def _take_in(self, one: Member, *, new: bool) -> None:
        if new:
            log.info("member %s (%s) is seen", one.id, one.name)
        if one.settings != self._me.settings and one.id not in self._warned:
            self._warned.add(one.id)
            log.error("member %s has other crash tables or limits: its settings differ", one.name)
        self._routes.learn(one.id, one.revision, shards_of_bits(one.shards))

    def _heard_owners(self, sender: str, body: msgspec.Raw) -> None:
        owned = _decode_owned(body)
        self._routes.learn(sender, owned.revision, shards_of_bits(owned.shards))
        self._place.set()

    # Moving shards.

    async def _keep_placed(self) -> None:
        while True:
            self._place.clear()
            try:
                await self._put_in_place()
            except Unreachable as error:
                log.info("shards wait for PostgreSQL: %s", error)
            except Exception:
                log.exception("shards could not be put in place")
            self._note_changes()
            await _wait(self._place, CLAIM_S)

    async def _put_in_place(self) -> None:
        owned = frozenset(self._shards.owned)
        self._note_changes()
        if self.membership.sighted:
            place = self.membership.place()
            leaving = {shard for shard in owned if place[shard] not in (None, self._me.id)}
            leaving -= self._lingering(leaving)
            if leaving:
                await self._hand_over(leaving)
            # While nobody can own anything, as without PostgreSQL, what was ours stays wanted.
            if self.membership.eligible():
                self._last_wanted = frozenset(self.membership.wanted())
            self._lost = frozenset()
        missing = self._last_wanted - owned
        if missing:
            await self._claim(missing)
        else:
            await self._ping()

    def _lingering(self, leaving: set[int]) -> set[int]:
        """Those of these that may stay for a moment, as something is under way in them."""
        busy = self._node.busy(leaving) if leaving else set()
        now_s = asyncio.get_running_loop().time()
        until_s, before = now_s + self._linger_s, self._linger_until_s
        self._linger_until_s = {one: min(until_s, before.get(one, until_s)) for one in leaving}
        return {shard for shard in busy if now_s < self._linger_until_s[shard]}

    async def _hand_over(self, leaving: set[int]) -> None:
        """Take no more commands for shards, commit what was decided, and free their locks."""
        self._shards.give_up(leaving)
        try:
            actors = self._node.leave(leaving)
            self._note_changes()
            self._tell(self._leaving, leaving)
        finally:
            # Whatever went wrong: nobody would ever free a lock of a shard that is no more ours.
            try:
                await self._shards.release(leaving)
            finally:
                # Whoever tried too early tries again by this.
                self._say_owned()
        self.counts["handed_over"] += len(leaving)
        for _few in self._node.left(actors):
            await asyncio.sleep(0)

    async def _claim(self, missing: frozenset[int]) -> None:
        sighted = self.membership.sighted
        if not sighted and not self._may_claim_blindly(missing):
            await self._ping()
            return
        won = await self._shards.claim(missing)
        self._note_changes()
        stuck = missing - won
        if not stuck:
            return
        if not sighted:
            # Who has won them can see Redis. Without, what is another's is not ours any more.
            self._last_wanted -= (await self._locks.holders(stuck)).keys()
        elif ended := await self._heir.end_silent(stuck):
            self.counts["ended"] += ended
            self._place.set()

    def _may_claim_blindly(self, missing: frozenset[int]) -> bool:
        """Whether shards may be won back that were lost without sight of Redis.

        Whoever can see it comes first, as it may be us alone that cannot.
        """
        now_s = asyncio.get_running_loop().time()
        if not missing <= self._lost:
            self._lost, self._lost_s = missing, now_s
        return now_s - self._lost_s >= BLIND_S

    async def _ping(self) -> None:
        """Find out whether the lanes' connections live, which say nothing when they are cut."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._pinged_s >= PING_S:
            self._pinged_s = now_s
            await self._shards.claim(())

    def _note_changes(self) -> None:
        """Tell everybody when what is ours has changed, a lost lane's shards included."""
        owned = frozenset(self._shards.owned)
        if owned == self._owned:
            return
        # Also what was won where another lane's part of the same claim failed.
        gained = owned - self._owned
        self._owned = owned
        self._revision += 1
        self._routes.learn(self._me.id, self._revision, owned)
        self._say_owned()
        self._announce.set()
        if gained:
            self.counts["claimed"] += len(gained)
            log.info("claimed %d shards", len(gained))
            self._tell(self._claimed, gained)

    def _say_owned(self) -> None:
        self._exchange.say_all("owners", Owned(self._revision, bits_of(self._owned)))

    # The end.

    async def drain(self, timeout_s: float) -> bool:
        """Hand everything over, if there is anybody to take it. Whether it was in time."""
        self._draining = True
        self._linger_s = timeout_s / 2
        self.rouse()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while loop.time() < until_s:
            told = self.membership.members.get(self._me.id)
            heirs = set(self.membership.eligible()) - {self._me.id}
            if told is not None and told.draining and (not heirs or not self._shards.owned):
                return not self._shards.owned
            if not self.membership.sighted:
                return False
            await asyncio.sleep(DRAIN_LOOK_S)
        return False

    async def withdraw(self) -> None:
        """Be seen no more."""
        try:
            await self._registry.withdraw(self._me.id)
        except Unreachable as error:
            log.warning("this member could not take its announcement back: %s", error)


async def _wait(event: asyncio.Event, limit_s: float) -> None:
    """Until the event is set, or the time is up.

    Raises CancelledError if the task was cancelled before: `asyncio.wait_for` of Python 3.11, which
    clients of Redis and PostgreSQL use, may keep that to itself, and the loop would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    if event.is_set():
        return
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return
