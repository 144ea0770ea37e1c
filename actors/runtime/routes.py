"""Commands to actors of other nodes, and their answers: asked once, answered once or given up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from actors.kind import Kind
from actors.runtime.answer import reject, resolve
from actors.runtime.exchange import Exchange
from actors.runtime.frames import (
    REFUSED,
    Ask,
    Codec,
    decode_ask,
    decode_told,
    encode,
)
from actors.runtime.ports import Placement, Reply
from protocol.errors import INTERNAL, MOVING, OVERLOADED, UNREACHABLE, Failure

log = logging.getLogger(__name__)

# How long a command waits for its shard to have an owner that is known: longer than a planned
# hand-over takes. Longer: `moving`.
PARK_S: Final = 1.5
# How often what is parked is looked through for what has waited too long.
PARK_LOOK_S: Final = 0.1
# Commands that wait so, at about a kilobyte each. More: `moving` at once.
MAX_PARKED: Final = 10_000
# How long an answer may take, a commit's time-out and what waits before it included. Longer:
# `unreachable`.
ANSWER_S: Final = 2.0
# How long after that a command may still be done, by the clock of whoever reads it: clocks differ a
# little. One that a node finds later, which stood still meanwhile, is dropped: its caller was told
# that nobody knows, and may have been answered otherwise elsewhere since.
SLACK_MS: Final = 1_000
# Commands under way to other nodes. More: `overloaded`; the owners would not keep up either.
MAX_ASKED: Final = 20_000
# Nodes that pass a command on: its shard may move while it travels, and rarely more than once.
# More: `moving`.
MAX_HOPS: Final = 3
# Answers whose askers are known for a moment, to be left out of what follows from the same commit.
MAX_ORIGINS: Final = 1_024

# How remote commands end, for the metrics.
DONE: Final = "done"
TIMED_OUT: Final = "timed_out"
LOST: Final = "lost"
PARKED_TOO_LONG: Final = "parked_too_long"
OUTCOMES: Final = (DONE, "refused", TIMED_OUT, LOST, PARKED_TOO_LONG)


class Asker(NamedTuple):
    """Who asked from afar: a member, and the number of its ask. The origin of such a reply."""

    member: str
    id: int


class _Parked(NamedTuple):
    """A command that waits until its shard's owner is known."""

    kind: str
    key: int
    command: Any
    reply: Reply
    hops: int
    expires_ms: int | None
    """When nobody waits for it any more; None: it has not been sent yet."""
    until_s: float


class _Asked(NamedTuple):
    """A command on its way, and who waits for it."""

    route: _Route
    reply: Reply
    until_s: float


class _Route:
    """The way to one shard's owner, and what is on it. Commands of one shard keep their order."""

    __slots__ = ("asked", "owner", "parked", "shard", "via")

    def __init__(self, shard: int) -> None:
        self.shard = shard
        # Who owns it, as far as is known.
        self.owner: str | None = None
        # How many asks are unanswered, and whom they went to.
        self.asked = 0
        self.via: str | None = None
        self.parked: deque[_Parked] = deque()


class Routes:
    """The way elsewhere: of one member, to all shards. Lives on one event loop, without locks."""

    def __init__(
        self,
        exchange: Exchange,
        placement: Placement,
        shards: int,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._me = exchange.me
        self._clock_ms = clock_ms
        self._exchange = exchange
        self._placement = placement
        self._routes = [_Route(shard) for shard in range(shards)]
        self._revisions: dict[str, int] = {}
        self._number = 0
        # In the order of their time-outs, as all wait equally long.
        self._asked: dict[int, _Asked] = {}
        self._origins: dict[int, object] = {}
        # In the order in which they began to wait.
        self._parking: dict[_Route, None] = {}
        self.parked = 0
        self.waiting: set[int] = set()
        """Shards with commands of this member under way to their owner, or parked."""
        self.outcomes: Counter[str] = Counter()
        """How commands to other nodes ended."""
        self.served = 0
        """Commands that were taken for other nodes."""
        self.expired = 0
        """Commands of other nodes that came when nobody waited for them any more."""
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        exchange.listen("ask", self._heard_ask)
        exchange.listen("answer", self._heard_answer)

    def bind(
        self,
        send: Callable[[str, int, Any, Reply], None],
        kinds: Mapping[str, Kind],
        answers: Iterable[type[msgspec.Struct]],
    ) -> None:
        """Say how commands reach the actors that are here, which there are, and see Codec."""
        self._local = send
        self._codec = Codec(kinds, answers)

    @property
    def asked(self) -> int:
        """How many commands are under way to other nodes."""
        return len(self._asked)

    def keep(self, members: Collection[str]) -> None:
        """Forget what all other members said last."""
        for member in self._revisions.keys() - members:
            del self._revisions[member]

    def owner_of(self, shard: int) -> str | None:
        """Who owns a shard, as far as is known here."""
        return self._routes[shard].owner

    def origin_of(self, ask_id: int) -> object | None:
        """The socket behind an ask of this member that was answered a moment ago; asked once."""
        return self._origins.pop(ask_id, None)

    # What is known of owners.

    def learn(self, member: str, revision: int, shards: Collection[int]) -> None:
        """A member owns exactly these. What it said earlier than something known is too old.

        Nor does anybody's word count on what is ours: locks say so, and words may be stale.
        """
        if revision < self._revisions.get(member, -1):
            return
        self._revisions[member] = revision
        for route in self._routes:
            if member != self._me and self._placement.owns(route.shard):
                continue
            if route.shard in shards:
                self._set_owner(route, member)
            elif route.owner == member:
                self._set_owner(route, None)

    def gone(self, member: str) -> None:
        """A member is not seen any more. What it may have done is unknown; nobody waits for it.

        Its shards' owner is not known from here on: another one will say so.
        """
        self._revisions.pop(member, None)
        for route in self._routes:
            if route.owner == member:
                route.owner = None
        lost = [number for number, asked in self._asked.items() if asked.route.via == member]
        for number in lost:
            self._give_up(number, LOST)

    def _set_owner(self, route: _Route, owner: str | None) -> None:
        route.owner = owner
        self._flush(route)

    def _flush(self, route: _Route) -> None:
        """Send what is parked, in order, as far as there is a way."""
        parked = route.parked
        now_s = asyncio.get_running_loop().time()
        while parked:
            if parked[0].until_s <= now_s:
                self._park_no_more(route)
            elif route.owner == self._me and self._placement.owns(route.shard):
                if route.asked:
                    # A former owner passes these on to us, and they come first.
                    return
                waiting = self._unpark(route)
                self._local(waiting.kind, waiting.key, waiting.command, waiting.reply)
            elif self._passable(route):
                waiting = self._unpark(route)
                self._ask(route, waiting)
            else:
                return

    # Commands out.

    def send(self, shard: int, kind: str, key: int, command: Any, reply: Reply) -> None:
        """Take a command to its actor's owner. Never raises: a refusal goes to `reply` too."""
        self._send(shard, kind, key, command, reply, 0, None)

    def _send(
        self,
        shard: int,
        kind: str,
        key: int,
        command: Any,
        reply: Reply,
        hops: int,
        expires_ms: int | None,
    ) -> None:
        route = self._routes[shard]
        until_s = asyncio.get_running_loop().time() + PARK_S
        waiting = _Parked(kind, key, command, reply, hops, expires_ms, until_s)
        if hops > MAX_HOPS:
            reject(reply, Failure(MOVING))
        elif route.parked or not self._passable(route):
            self._park(route, waiting)
        else:
            self._ask(route, waiting)

    def _passable(self, route: _Route) -> bool:
        """Whether the owner is another member, and nothing is still on its way to a former one."""
        owner = route.owner
        if owner is None or owner == self._me:
            return False
        return not route.asked or route.via == owner

    def _park(self, route: _Route, waiting: _Parked) -> None:
        if self.parked >= MAX_PARKED:
            self.outcomes[PARKED_TOO_LONG] += 1
            reject(waiting.reply, Failure(MOVING))
            return
        self.parked += 1
        route.parked.append(waiting)
        self.waiting.add(route.shard)
        self._parking[route] = None
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(PARK_LOOK_S, self._look_through)

    def _unpark(self, route: _Route) -> _Parked:
        self.parked -= 1
        waiting = route.parked.popleft()
        if not route.parked:
            self._parking.pop(route, None)
            if not route.asked:
                self.waiting.discard(route.shard)
        return waiting

    def _park_no_more(self, route: _Route) -> None:
        """Refuse what has waited too long, also where this process stood still meanwhile."""
        self.outcomes[PARKED_TOO_LONG] += 1
        reject(self._unpark(route).reply, Failure(MOVING))

    def _look_through(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for route in tuple(self._parking):
            while route.parked and route.parked[0].until_s <= now_s:
                self._park_no_more(route)
        self._look = loop.call_later(PARK_LOOK_S, self._look_through) if self._parking else None

    def _ask(self, route: _Route, waiting: _Parked) -> None:
        owner, reply = route.owner, waiting.reply
        assert owner is not None, "only passable routes are taken"
        if len(self._asked) >= MAX_ASKED:
            reject(reply, Failure(OVERLOADED, retry_after_ms=1_000))
            return
        self._number += 1
        try:
            command = encode(waiting.command)
        except Exception:
            log.exception("%s cannot be written for other nodes", type(waiting.command).__name__)
            reject(reply, Failure(INTERNAL))
            return
        name = type(waiting.command).__name__
        expires_ms = waiting.expires_ms or self._clock_ms() + int(ANSWER_S * 1_000) + SLACK_MS
        ask = Ask(
            self._number,
            waiting.hops,
            expires_ms,
            route.shard,
            waiting.kind,
            waiting.key,
            name,
            command,
        )
        if not self._exchange.say(owner, "ask", ask):
            self.outcomes[LOST] += 1
            reject(reply, Failure(MOVING))
            return
        loop = asyncio.get_running_loop()
        route.asked += 1
        self.waiting.add(route.shard)
        route.via = owner
        self._asked[self._number] = _Asked(route, reply, loop.time() + ANSWER_S)
        if self._timer is None:
            self._timer = loop.call_later(ANSWER_S, self._time_out)

    def _time_out(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._timer = None
        while self._asked:
            number, oldest = next(iter(self._asked.items()))
            if oldest.until_s > now_s:
                self._timer = loop.call_at(oldest.until_s, self._time_out)
                return
            self._give_up(number, TIMED_OUT)

    def _give_up(self, number: int, outcome: str) -> None:
        asked = self._taken(number)
        if asked is not None:
            self.outcomes[outcome] += 1
            reject(asked.reply, Failure(UNREACHABLE))
            self._flush(asked.route)

    def _taken(self, number: int) -> _Asked | None:
        """An ask that waits no more; None if it does not any more already."""
        asked = self._asked.pop(number, None)
        if asked is not None:
            route = asked.route
            route.asked -= 1
            if not route.asked and not route.parked:
                self.waiting.discard(route.shard)
        return asked

    def _heard_answer(self, _sender: str, body: msgspec.Raw) -> None:
        answer = decode_told(body)
        asked = self._taken(answer.id)
        if asked is None:
            # It came after its time-out: the caller has been told that nobody knows.
            return
        reply = asked.reply
        origin = reply.origin
        if origin is not None:
            self._remember(answer.id, origin)
        try:
            value = self._codec.value(answer)
        except Exception:
            # Another version may answer what this one cannot read: it was done, or was not.
            log.exception("an answer of another node cannot be read")
            self.outcomes[LOST] += 1
            reject(reply, Failure(UNREACHABLE))
        else:
            refused = answer.how == REFUSED
            self.outcomes["refused" if refused else DONE] += 1
            (reject if refused else resolve)(reply, value)
        if asked.route.parked:
            self._flush(asked.route)

    def _remember(self, ask_id: int, origin: object) -> None:
        self._origins[ask_id] = origin
        if len(self._origins) > MAX_ORIGINS:
            del self._origins[next(iter(self._origins))]

    # Commands in.

    def _heard_ask(self, sender: str, body: msgspec.Raw) -> None:
        ask = decode_ask(body)
        if ask.expires_ms < self._clock_ms():
            self.expired += 1
            return
        reply = _Afar(self._exchange, self._codec, Asker(sender, ask.id))
        try:
            command = self._codec.command(ask)
        except Failure as failure:
            log.warning("a command of %s cannot be read: %s", sender, failure)
            reply.reject(failure)
            return
        self.served += 1
        shard = self._placement.shard_of(ask.kind, ask.key)
        route = self._routes[shard]
        owned = self._placement.owns(shard)
        if owned and route.parked:
            # Ours by now, which is noted in a moment: those that came earlier come first.
            self._set_owner(route, self._me)
        if owned and not route.parked:
            self._local(ask.kind, ask.key, command, reply)
            return
        if route.owner == sender:
            # It would not ask if it were.
            route.owner = None
        hops = ask.hops if owned else ask.hops + 1
        self._send(shard, ask.kind, ask.key, command, reply, hops, ask.expires_ms)

    def close(self) -> None:
        """Refuse what waits, and stop the timers."""
        for route in tuple(self._parking):
            while route.parked:
                reject(self._unpark(route).reply, Failure(MOVING))
        for number in tuple(self._asked):
            self._give_up(number, LOST)
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancel()


class _Afar:
    """The reply to a command of another node: its answer goes back over the bus.

    Should that be lost, the caller is told that nobody knows; its retry finds what is committed.
    """

    __slots__ = ("_codec", "_exchange", "origin")

    def __init__(self, exchange: Exchange, codec: Codec, origin: Asker) -> None:
        self._exchange = exchange
        self._codec = codec
        self.origin = origin

    def resolve(self, value: Any) -> None:
        """Tell the asking node. Raises what writing the value raises, having refused it."""
        member, number = self.origin
        try:
            answer = self._codec.told(number, value)
        except Exception:
            self.reject(Failure(INTERNAL))
            raise
        self._exchange.say(member, "answer", answer)

    def reject(self, failure: Failure) -> None:
        """Tell the asking node why not."""
        member, number = self.origin
        self._exchange.say(member, "answer", self._codec.refused(number, failure))
