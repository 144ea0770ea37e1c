"""The feed, rain and sessions of several nodes, over a bus: what they ask and tell each other."""

import asyncio
from collections.abc import Collection, Mapping
from random import Random
from typing import Any, cast
from uuid import UUID, uuid4

from actors.runtime.exchange import Exchange
from protocol.commands.feed import Feed, FeedBet
from protocol.commands.floor import Game
from server.activity import Activity
from server.cluster.activity import ANSWER_S, FarActivity
from server.cluster.feed import FarFeed
from server.cluster.sessions import FarSessions
from server.feed import LiveFeed, Moment
from server.hub import Hub
from tests.support.memory_bus import MemoryBus, MemoryHub
from tests.unit.fake_sockets import FakeSocket, inside
from tests.unit.virtual_loop import run

A_WHILE_S = 2.0


class Session:
    """What is known of a socket's player."""

    active_s = 0.0

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id


async def no_names(_users: Collection[int]) -> Mapping[int, str]:
    return {}


class Desk:
    """One node's floor."""

    def __init__(self, redis: MemoryHub, name: str, everybody: Collection[str]) -> None:
        loop = asyncio.get_running_loop()
        self.bus = MemoryBus(redis, name)
        self.hub = Hub()
        exchange = Exchange(name, self.bus)
        self.feed = LiveFeed(self.hub, no_names, {"PLAY": 100})
        self.far_feed = FarFeed(exchange, self.feed)
        activity = Activity(self.hub, loop.time, Random(name))
        self.activity = FarActivity(exchange, activity, Random(name), lambda: everybody)
        self.ended: list[UUID] = []
        self.sessions = FarSessions(exchange, self.ended.append)
        self.bus.start()

    def seat(self, *users: int, room: str = "here") -> None:
        for user_id in users:
            [socket] = inside(self.hub, room)
            socket.session = Session(user_id)

    def watch(self) -> FakeSocket:
        [socket] = inside(self.hub, "feed")
        watcher: FakeSocket = socket
        return watcher


async def desks(*names: str, redis: MemoryHub | None = None) -> list[Desk]:
    redis = redis or MemoryHub()
    made = [Desk(redis, name, names) for name in names]
    await asyncio.sleep(A_WHILE_S)
    return made


def seen(payout: int) -> FeedBet:
    return FeedBet("zoe", Game.DICE, "PLAY", 100, payout, payout, 1_000 + payout)


def test_everybody_who_is_active_on_any_node_is_found_once() -> None:
    async def scenario() -> None:
        one, two, three = await desks("one", "two", "three")
        one.seat(1, 2)
        two.seat(2, 3)
        three.seat(9, room="elsewhere")
        three.seat(1, 4)
        loop = asyncio.get_running_loop()
        asked_s = loop.time()

        found = await one.activity.active("here", 60, 50, without=1)
        assert sorted(found) == [2, 3, 4]
        assert loop.time() == asked_s, "all have answered"
        assert len(await one.activity.active("here", 60, 2, without=9)) == 2
        assert await one.activity.active("nowhere", 60, 2, without=9) == ()

    run(scenario())


def test_who_does_not_answer_in_time_is_not_counted() -> None:
    async def scenario() -> None:
        redis = MemoryHub()
        one, two, three = await desks("one", "two", "three", redis=redis)
        one.seat(1)
        two.seat(2)
        three.seat(3)
        redis.cut("three")
        loop = asyncio.get_running_loop()
        asked_s = loop.time()

        assert sorted(await one.activity.active("here", 60, 50, without=9)) == [1, 2]
        assert round(loop.time() - asked_s, 6) == ANSWER_S
        redis.heal("three")
        await asyncio.sleep(A_WHILE_S)
        assert sorted(await one.activity.active("here", 60, 50, without=9)) == [1, 2, 3]

    run(scenario())


def test_without_the_bus_those_here_are_found_at_once() -> None:
    async def scenario() -> None:
        redis = MemoryHub()
        one, two = await desks("one", "two", redis=redis)
        one.seat(1)
        two.seat(2)
        redis.go_down()
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        asked_s = loop.time()

        assert await one.activity.active("here", 60, 50, without=9) == (1,)
        assert loop.time() == asked_s

    run(scenario())


def test_a_moment_reaches_watchers_on_all_nodes() -> None:
    async def scenario() -> None:
        one, two = await desks("one", "two")
        here, there = one.watch(), two.watch()
        assert one.feed._share is not None
        one.feed._share(Moment(True, [seen(50)], 3))
        await asyncio.sleep(A_WHILE_S)
        await two.feed.tell()

        assert here.heard() == []
        assert [bet.payout for bet in there.heard()[0].bets] == [50]
        assert there.heard()[0].skipped == 3
        assert two.feed._watched_elsewhere > 0

    run(scenario())


def test_a_node_that_comes_asks_for_the_lists_once() -> None:
    async def scenario() -> None:
        redis = MemoryHub()
        [old] = await desks("old", redis=redis)
        for payout in (10, 20):
            old.feed.heard(Moment(False, [seen(payout)], 0))
            await old.feed.tell()
        [new] = await desks("new", redis=redis)
        answers: list[Feed] = []
        join, feed = new.feed.join_lists, cast(Any, new.feed)

        def listen_in(shown: Feed) -> None:
            answers.append(shown)
            join(shown)

        feed.join_lists = listen_in
        assert old.feed._share is not None
        for payout in (30, 40):
            old.feed._share(Moment(True, [seen(payout)], 0))
            await asyncio.sleep(A_WHILE_S)
            await new.feed.tell()

        assert [bet.payout for bet in new.feed.shown().recent] == [40, 30, 20, 10]
        assert [bet.payout for bet in new.feed.shown().high] == [40, 30, 20, 10]
        assert len(answers) == 1
        redis.break_off("new")
        await asyncio.sleep(A_WHILE_S)
        old.feed._share(Moment(True, [seen(50)], 0))
        await asyncio.sleep(A_WHILE_S)
        assert len(answers) == 2, "what was told meanwhile is missed"

    run(scenario())


def test_a_session_that_ends_on_one_node_ends_on_all_others() -> None:
    async def scenario() -> None:
        one, two, three = await desks("one", "two", "three")
        session = uuid4()
        one.sessions.revoked(session)
        await asyncio.sleep(A_WHILE_S)

        assert one.ended == [], "its own node has ended it"
        assert two.ended == three.ended == [session]

    run(scenario())
