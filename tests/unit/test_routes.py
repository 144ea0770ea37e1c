"""Commands to actors of other nodes: where they go, in what order, and how they end."""

import asyncio
import time
from collections import deque
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from actors.kind import Kind, Rule
from actors.runtime import routes
from actors.runtime.exchange import Exchange
from actors.runtime.frames import TYPED, Told, encode
from actors.runtime.ports import Bus, BusListener, Placement, Reply
from actors.runtime.routes import (
    ANSWER_S,
    DONE,
    MAX_HOPS,
    PARK_S,
    PARKED_TOO_LONG,
    TIMED_OUT,
    Asker,
    Routes,
)
from protocol.errors import INSUFFICIENT_BALANCE, Failure
from tests.simulation.loop import on_virtual_time

SHARDS = 4


class Bet(msgspec.Struct, frozen=True):
    """A command with what commands have."""

    stake: int
    request_id: UUID = UUID(int=1)
    refusal: Failure | None = None


class Won(msgspec.Struct, frozen=True):
    """An answer that goes to clients."""

    payout: int


class Looked(msgspec.Struct, frozen=True):
    """An answer that our own code looks into."""

    hold: int


KINDS = {"wallet": cast(Kind, SimpleNamespace(name="wallet", rules={Bet: cast(Rule, None)}))}


class Said:
    """A reply, and what it was told."""

    def __init__(self, origin: object | None = None) -> None:
        self.origin = origin
        self.told: list[Any] = []

    def resolve(self, value: Any) -> None:
        self.told.append(value)

    def reject(self, failure: Failure) -> None:
        self.told.append(failure.kind.code)


class Wire:
    """A bus whose frames lie still until a test delivers them."""

    def __init__(self) -> None:
        self.frames: deque[tuple[str, bytes]] = deque()
        self.members: dict[str, BusListener] = {}
        self.connected = True

    def of(self, member: str) -> Bus:
        """One member's end."""
        return cast(Bus, _End(self, member))

    def deliver(self) -> None:
        """Deliver everything, and what is said upon it."""
        while self.frames:
            member, frame = self.frames.popleft()
            self.members[member].heard(frame)


class _End:
    def __init__(self, wire: Wire, member: str) -> None:
        self._wire = wire
        self._member = member
        self.connected = True

    def bind(self, listener: BusListener) -> None:
        self._wire.members[self._member] = listener

    def post(self, member: str, frame: bytes) -> bool:
        if self._wire.connected:
            self._wire.frames.append((member, frame))
        return self._wire.connected


class Member:
    """One node's routes, and a node that answers by itself or leaves it to the test."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.name = name
        self.owned: set[int] = set()
        self.revision = 0
        self.taken: list[tuple[int, Bet, Reply]] = []
        self.answer: Any = None
        placement = SimpleNamespace(
            shard_of=lambda _kind, key: key % SHARDS, owns=lambda shard: shard in self.owned
        )
        self.routes = Routes(Exchange(name, wire.of(name)), cast(Placement, placement), SHARDS)
        self.routes.bind(self._take, KINDS, (Looked,))

    def _take(self, _kind: str, key: int, command: Any, reply: Reply) -> None:
        self.taken.append((key, command, reply))
        if isinstance(self.answer, Failure):
            reply.reject(self.answer)
        elif self.answer is not None:
            reply.resolve(self.answer)

    def send(self, key: int, command: Bet, origin: object | None = None) -> Said:
        reply = Said(origin)
        self.routes.send(key % SHARDS, "wallet", key, command, reply)
        return reply

    @property
    def stakes(self) -> list[int]:
        return [command.stake for _key, command, _reply in self.taken]


class Cluster:
    """Three members, who all hear who owns what."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.a, self.b, self.c = (Member(self.wire, name) for name in "abc")

    def give(self, member: Member, shards: Collection[int], *known_to: Member) -> None:
        """These shards are one member's from now on, and some know."""
        for one in (self.a, self.b, self.c):
            changed = one.owned - set(shards) if one is not member else one.owned | set(shards)
            if changed != one.owned:
                one.owned = changed
                one.revision += 1
        for one in known_to or (self.a, self.b, self.c):
            for other in (self.a, self.b, self.c):
                one.routes.learn(other.name, other.revision, other.owned)


@on_virtual_time
async def test_a_command_goes_to_its_owner_and_its_answer_comes_back() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    cluster.b.answer = Won(7)
    said = cluster.a.send(5, Bet(100, UUID(int=9)))
    assert (said.told, cluster.a.routes.asked) == ([], 1)
    cluster.wire.deliver()
    assert said.told == [{"payout": 7}]
    assert [(key, command) for key, command, _ in cluster.b.taken] == [(5, Bet(100, UUID(int=9)))]
    assert (cluster.a.routes.asked, cluster.b.routes.served) == (0, 1)
    assert cluster.a.routes.outcomes == {DONE: 1}


@on_virtual_time
async def test_refusals_travel_within_commands_and_as_answers() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    cluster.b.answer = Failure(INSUFFICIENT_BALANCE, available=3)
    said = cluster.a.send(1, Bet(100, refusal=Failure(INSUFFICIENT_BALANCE, available=4)))
    cluster.wire.deliver()
    inner = cluster.b.taken[0][1].refusal
    assert inner is not None
    assert (inner.kind, dict(inner.details)) == (INSUFFICIENT_BALANCE, {"available": 4})
    assert said.told == ["insufficient_balance"]


@on_virtual_time
async def test_a_refusal_that_is_committed_resolves_as_one() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    said = cluster.a.send(1, Bet(100))
    cluster.wire.deliver()
    cluster.b.taken[0][2].resolve(Failure(INSUFFICIENT_BALANCE, available=3))
    cluster.wire.deliver()
    assert type(said.told[0]) is Failure
    assert dict(said.told[0].details) == {"available": 3}


@on_virtual_time
async def test_what_our_own_code_looks_into_keeps_its_type() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    cluster.b.answer = Looked(12)
    said = cluster.a.send(1, Bet(100))
    cluster.wire.deliver()
    assert said.told == [Looked(12)]


@on_virtual_time
async def test_the_origin_of_a_remote_reply_is_its_asker() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    socket = object()
    cluster.a.send(1, Bet(100), socket)
    cluster.wire.deliver()
    origin = cluster.b.taken[0][2].origin
    assert origin == Asker("a", 1)
    assert cluster.a.routes.origin_of(1) is None
    cluster.b.taken[0][2].resolve(Won(1))
    cluster.wire.deliver()
    assert cluster.a.routes.origin_of(1) is socket
    assert cluster.a.routes.origin_of(1) is None


@on_virtual_time
async def test_an_answer_that_never_comes_is_unreachable_and_a_late_one_is_dropped() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    said = cluster.a.send(1, Bet(100))
    cluster.wire.deliver()
    await asyncio.sleep(ANSWER_S - 0.1)
    later = cluster.a.send(1, Bet(200))
    cluster.wire.deliver()
    assert said.told == []
    await asyncio.sleep(0.2)
    assert (said.told, later.told) == (["unreachable"], [])
    cluster.b.taken[0][2].resolve(Won(1))
    cluster.b.taken[1][2].resolve(Won(2))
    cluster.wire.deliver()
    assert (said.told, later.told) == (["unreachable"], [{"payout": 2}])
    assert cluster.a.routes.outcomes == {TIMED_OUT: 1, DONE: 1}


@on_virtual_time
async def test_without_an_owner_commands_wait_in_order_and_not_for_ever() -> None:
    cluster = Cluster()
    first, second = cluster.a.send(1, Bet(1)), cluster.a.send(5, Bet(2))
    assert cluster.a.routes.parked == 2
    await asyncio.sleep(PARK_S - 0.5)
    late = cluster.a.send(1, Bet(3))
    await asyncio.sleep(0.7)
    assert (first.told, second.told, late.told) == (["moving"], ["moving"], [])
    cluster.give(cluster.b, {1})
    cluster.a.send(1, Bet(4))
    cluster.wire.deliver()
    assert cluster.b.stakes == [3, 4]
    assert cluster.a.routes.parked == 0
    assert cluster.a.routes.outcomes[PARKED_TOO_LONG] == 2


@on_virtual_time
async def test_what_waits_for_a_shard_that_comes_home_runs_here() -> None:
    cluster = Cluster()
    cluster.a.answer = Won(1)
    said = cluster.a.send(1, Bet(1))
    cluster.give(cluster.a, {1})
    assert (cluster.a.stakes, said.told) == ([1], [Won(1)])


@on_virtual_time
async def test_a_new_owner_gets_nothing_before_the_former_one_has_answered() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    first = cluster.a.send(1, Bet(1))
    cluster.wire.deliver()
    cluster.give(cluster.c, {1})
    cluster.a.send(1, Bet(2))
    cluster.wire.deliver()
    assert (cluster.c.stakes, cluster.a.routes.parked) == ([], 1)
    cluster.b.taken[0][2].resolve(Won(1))
    cluster.wire.deliver()
    assert (first.told, cluster.c.stakes) == ([{"payout": 1}], [2])


@on_virtual_time
async def test_a_former_owner_passes_a_command_on() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    cluster.give(cluster.c, {1}, cluster.b, cluster.c)
    cluster.c.answer = Won(3)
    said = cluster.a.send(1, Bet(1))
    cluster.wire.deliver()
    assert (said.told, cluster.b.stakes, cluster.c.stakes) == ([{"payout": 3}], [], [1])


@on_virtual_time
async def test_a_command_that_goes_round_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    members = (cluster.a, cluster.b, cluster.c)
    # Everybody believes that the next one owns it.
    for one, following in zip(members, (cluster.b, cluster.c, cluster.a), strict=True):
        one.routes.learn(following.name, 1, {1})
    monkeypatch.setattr(routes, "PARK_S", 60.0)
    monkeypatch.setattr(routes, "ANSWER_S", 60.0)
    said = cluster.a.send(1, Bet(1))
    cluster.wire.deliver()
    await asyncio.sleep(1)
    assert said.told == ["moving"]
    assert sum(one.routes.served for one in members) == MAX_HOPS + 1


@on_virtual_time
async def test_two_who_take_each_other_for_the_owner_wait_for_better_news() -> None:
    cluster = Cluster()
    cluster.a.routes.learn("b", 1, {1})
    cluster.b.routes.learn("a", 1, {1})
    said = cluster.a.send(1, Bet(1))
    cluster.wire.deliver()
    assert (cluster.b.routes.parked, cluster.b.routes.asked) == (1, 0)
    cluster.b.answer = Won(5)
    cluster.b.owned = {1}
    cluster.b.routes.learn("b", 1, {1})
    cluster.wire.deliver()
    assert said.told == [{"payout": 5}]


@on_virtual_time
async def test_nobody_waits_for_a_member_that_has_gone() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1, 2})
    cluster.give(cluster.c, {3})
    lost, kept = cluster.a.send(1, Bet(1)), cluster.a.send(3, Bet(2))
    cluster.wire.deliver()
    cluster.a.routes.gone("b")
    assert (lost.told, kept.told) == (["unreachable"], [])
    assert [cluster.a.routes.owner_of(shard) for shard in (1, 2, 3)] == [None, None, "c"]
    cluster.a.send(1, Bet(3))
    assert cluster.a.routes.parked == 1


@on_virtual_time
async def test_old_news_do_not_undo_newer_ones() -> None:
    cluster = Cluster()
    cluster.a.routes.learn("b", 5, {2})
    cluster.a.routes.learn("c", 1, {1})
    cluster.a.routes.learn("b", 4, {1, 2})
    assert cluster.a.routes.owner_of(1) == "c"


@on_virtual_time
async def test_without_a_bus_nothing_is_done_and_that_is_said() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    cluster.wire.connected = False
    assert cluster.a.send(1, Bet(1)).told == ["moving"]


@on_virtual_time
async def test_bounds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_PARKED", 2)
    monkeypatch.setattr(routes, "MAX_ASKED", 1)
    cluster = Cluster()
    parked = [cluster.a.send(1, Bet(n)).told for n in range(3)]
    assert parked == [[], [], ["moving"]]
    cluster.give(cluster.b, {2})
    asked = [cluster.a.send(2, Bet(n)).told for n in range(2)]
    assert asked == [[], ["overloaded"]]


@on_virtual_time
async def test_what_another_version_sends_is_refused_for_now() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})

    class Unheard(msgspec.Struct):
        """A command that only the sender knows."""

    reply = Said()
    cluster.a.routes.send(1, "wallet", 1, Unheard(), reply)
    cluster.wire.deliver()
    assert reply.told == ["internal"]
    assert cluster.b.taken == []


@on_virtual_time
async def test_closing_answers_everybody() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    asked, parked = cluster.a.send(1, Bet(1)), cluster.a.send(2, Bet(2))
    cluster.a.routes.close()
    assert (asked.told, parked.told) == (["unreachable"], ["moving"])


@on_virtual_time
async def test_closing_sends_nothing_that_waits_behind_a_former_owner() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    asked = cluster.a.send(1, Bet(1))
    cluster.give(cluster.c, {1})
    parked = cluster.a.send(1, Bet(2))
    cluster.a.routes.close()
    assert (asked.told, parked.told, cluster.a.routes.asked) == (["unreachable"], ["moving"], 0)


@on_virtual_time
async def test_an_answer_that_cannot_be_read_is_an_outcome_that_nobody_knows() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    said = cluster.a.send(1, Bet(1))
    cluster.wire.deliver()
    later = Told(1, TYPED, encode(("OfAnotherVersion", {})))
    cluster.b.routes._exchange.say("a", "answer", later)
    cluster.wire.deliver()
    assert said.told == ["unreachable"]
    assert cluster.a.routes.asked == 0


@on_virtual_time
async def test_a_command_that_comes_when_nobody_waits_any_more_is_dropped() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    cluster.a.send(1, Bet(1))
    cluster.b.routes._clock_ms = lambda: time.time_ns() // 1_000_000 + 3_500
    cluster.wire.deliver()
    assert (cluster.b.taken, cluster.b.routes.expired) == ([], 1)


@on_virtual_time
async def test_one_that_is_passed_on_expires_when_it_would_have() -> None:
    cluster = Cluster()
    cluster.give(cluster.b, {1})
    cluster.give(cluster.c, {1}, cluster.b, cluster.c)
    cluster.a.send(1, Bet(1))
    cluster.b.routes._clock_ms = lambda: time.time_ns() // 1_000_000 + 2_000
    cluster.c.routes._clock_ms = lambda: time.time_ns() // 1_000_000 + 3_500
    cluster.wire.deliver()
    assert (cluster.c.taken, cluster.c.routes.expired) == ([], 1)


@on_virtual_time
async def test_who_stood_still_sends_nothing_that_has_waited_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "PARK_LOOK_S", 60.0)
    cluster = Cluster()
    old = cluster.a.send(1, Bet(1))
    await asyncio.sleep(PARK_S)
    cluster.a.send(1, Bet(2))
    cluster.give(cluster.b, {1})
    cluster.wire.deliver()
    assert (old.told, cluster.b.stakes) == (["moving"], [2])
