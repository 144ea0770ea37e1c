"""Coming back to another node: from one that is there, and from what a dead one has written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from protocol import disconnects
from protocol.outgoing import Outgoing
from server.cluster import recoveries
from tests.sockets.nodes_that_end import Cluster, Node, heard, member, passed
from tests.sockets.raw import Door
from tests.sockets.test_recovery import RECOVER, Comer, come

QUIET = {**RECOVER, "quiet": True}


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Node, Node]]:
    cluster = Cluster()
    async with member(cluster, "a") as a, member(cluster, "b") as b:
        yield a, b


async def left(node: Node) -> None:
    """Wait until a node has noticed that everybody has gone."""
    await node.served.until(lambda: node.served.connections == 0)


async def hear(comer: Comer, last: int) -> list[list[Any]]:
    """Everything up to what is said last."""
    events: list[list[Any]] = []
    while not events or events[-1][0] != "said" or events[-1][1]["n"] != last:
        events.append(await comer.event())
    return events


def again(comer: Comer, **changes: Any) -> dict[str, Any]:
    return comer.again(quiet=True, **changes)


@pytest.mark.parametrize("door", list(Door))
async def test_a_node_that_is_there_gives_what_was_missed(door: Door) -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET, door) as first:
            a.say(1, 2)
            assert heard([await first.event() for _ in range(2)]) == [1, 2]
        await left(a)
        a.say(3)
        b.say(4)
        await passed()

        async with come(b.served, again(first), door) as second:
            assert (second.sid, second.pid) == (first.sid, first.pid)
            b.say(5)
            assert heard(await hear(second, 5)) == [3, 4, 5]
            a.say(6)
            assert heard(await hear(second, 6)) == [6]
        assert b.outcomes == {"recovered_elsewhere": 1}
        assert a.served.server.recovery.absent == 0
        assert a.served.server.hub.rooms == 0


async def test_a_client_is_back_elsewhere_before_its_node_misses_it() -> None:
    async with two() as (a, b), come(a.served, QUIET) as first:
        a.say(1)
        await first.event()
        async with come(b.served, again(first)) as second:
            assert second.sid == first.sid
            assert await first.socket.close_code() == disconnects.TAKEN_OVER.close_code
            a.say(2)
            assert heard(await hear(second, 2)) == [2]
            assert a.served.server.hub.rooms == 0


async def test_what_is_said_while_it_moves_comes_once() -> None:
    """Both nodes tell of it: the former one in what it gives, the new one as it hears it."""
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            pass
        await left(a)
        talking = True
        said = 0

        async def talk() -> None:
            nonlocal said
            while talking:
                said += 1
                (a, b)[said % 2].say(said)
                await asyncio.sleep(0.001)

        talker = asyncio.create_task(talk())
        last = first
        events: list[list[Any]] = []
        for turn in range(6):
            await asyncio.sleep(0.01)
            async with come((b, a)[turn % 2].served, again(last)) as comer:
                comer.offset = comer.offset or last.offset
                events += [await comer.event() for _ in range(5)]
                last = comer
        talking = False
        await talker
        await passed()
        async with come(b.served, again(last)) as comer:
            b.say(said + 1)
            events += await hear(comer, said + 1)
        numbers = heard(events)
        assert sorted(numbers) == list(range(1, said + 2))
        # What one node says keeps its order.
        for parity in (0, 1):
            of_one = [number for number in numbers if number % 2 == parity]
            assert of_one == sorted(of_one)


async def test_a_dead_node_has_written_down_what_was_missed() -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            a.say(1)
            assert heard([await first.event()]) == [1]
        await left(a)
        a.say(2, 3)
        await passed()
        a.die()

        async with come(b.served, again(first)) as second:
            assert (second.sid, second.pid) == (first.sid, first.pid)
            events = [await second.event() for _ in range(4)]
            assert events[:2] == [["said", {"n": 2}], ["said", {"n": 3}]]
            # What the room was told in between, nobody knows.
            assert events[2] == ["room:interrupted", {"room": "table"}]
            assert events[3] == ["state", {"newest": True}]
            b.say(4)
            assert heard(await hear(second, 4)) == [4]
        assert b.outcomes == {"recovered_elsewhere": 1}


async def test_a_node_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recoveries, "CLAIM_LIMIT_S", 0.05)
    async with two() as (a, b):
        async with come(a.served, QUIET) as first, come(a.served, QUIET) as other:
            a.say(1)
            await first.event()
            await other.event()
            a.say(2)
            await passed()
            a.die(seen=True)
        for comer in (first, other):
            async with come(b.served, again(comer)) as second:
                assert second.sid == comer.sid
                assert heard([await second.event()]) == [2]


async def test_from_one_dead_node_to_the_next() -> None:
    cluster = Cluster()
    async with member(cluster, "a") as a, member(cluster, "b") as b, member(cluster, "c") as c:
        async with come(a.served, QUIET) as first:
            a.say(1)
            await first.event()
        await left(a)
        a.say(2)
        await passed()
        a.die()
        # It reads nothing of what it is sent again.
        async with come(b.served, again(first)) as second:
            assert second.sid == first.sid
        await left(b)
        b.say(3)
        await passed()
        b.die()
        async with come(c.served, again(first)) as third:
            assert third.sid == first.sid
            assert heard(await hear(third, 3)) == [2, 3]
            c.say(4)
            assert heard(await hear(third, 4)) == [4]
        await left(c)
        c.say(5)
        async with come(c.served, again(third)) as fourth:
            assert heard(await hear(fourth, 5)) == [5]
        assert c.outcomes == {"recovered_elsewhere": 1, "recovered": 1}


async def test_there_and_back() -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            a.say(1)
            await first.event()
        async with come(b.served, again(first)) as second:
            b.say(2)
            assert heard(await hear(second, 2)) == [2]
        await left(b)
        b.say(3)
        await passed()
        async with come(a.served, again(second)) as third:
            assert third.sid == first.sid
            assert heard(await hear(third, 3)) == [3]


async def test_a_greeting_is_not_lost_with_its_node() -> None:
    """What was said while a client was let in is numbered in the order in which it was told."""
    async with two() as (a, b):
        async with come(a.served, RECOVER) as first:
            assert (await first.event())[0] == "welcome"
            unread = first.again(quiet=True)
            unread.pop("offset")
            a.say(1)
            await first.event()
        a.die()
        async with come(b.served, unread) as second:
            events = [await second.event() for _ in range(2)]
            assert events[0][0] == "welcome"
            assert heard(events) == [1]


async def test_a_greeting_on_coming_back_is_not_lost_either() -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            pass
        await left(a)
        a.say(1)
        async with come(a.served, first.again()):
            pass  # it reads nothing
        await left(a)
        a.say(2)
        await passed()
        a.die()
        async with come(b.served, again(first)) as second:
            events = [await second.event() for _ in range(3)]
            assert [event[0] for event in events] == ["said", "welcome", "said"]
            assert heard(events) == [1, 2]


class Watching:
    """A transport that looks what is written down whenever it is written to."""

    name = "websocket"
    writable = True
    max_packets = 1_000

    def __init__(self, node: Node) -> None:
        self.node = node
        self.seen: list[int] = []

    def write(self, packets: list[bytes]) -> int:
        self.seen.append(len(self.node.cluster.shelves.streams[self.node.served.server.hub.epoch]))
        return sum(map(len, packets))

    def close(self, reason: object) -> None:
        """It has no end."""

    def abort(self) -> None:
        """It has no end."""


async def test_nothing_is_sent_before_it_is_written_down() -> None:
    """Also where the end of the turn has been ordered before the event."""
    async with two() as (a, _), come(a.served, QUIET) as first:
        [socket] = a.served.application.sockets
        await passed()
        before = len(a.cluster.shelves.streams[a.served.server.hub.epoch])
        connection = socket.connection
        transport, watching = connection.transport, Watching(a)
        connection.transport = watching
        socket.deliver(Outgoing("/", "volatile", ()))
        a.say(1)
        await passed()
        connection.transport = transport
        assert watching.seen == [before + 1]
        assert first.pid == socket.pid


async def test_rooms_come_along_and_those_that_were_left_do_not() -> None:
    async with two() as (a, b):
        async with come(a.served, {"recover": True, "quiet": True}) as first:
            first.socket.text('42["join","table"]')
            first.socket.text('42["join","other"]')
            first.socket.text('42["leave","other"]')
            await a.served.until(lambda: len(a.served.application.events) == 3)
        async with come(b.served, again(first, rooms=[])) as second:
            b.say(1)
            assert heard(await hear(second, 1)) == [1]
            assert [room.name for room in b.served.server.hub.rooms_of("/")] == ["table"]


@pytest.mark.parametrize("dead", [False, True])
async def test_only_the_same_owner_comes_back(dead: bool) -> None:
    async with two() as (a, b):
        async with come(a.served, {**QUIET, "owner": "alice"}) as alice:
            pass
        await left(a)
        a.say(1)
        await passed()
        if dead:
            a.die()
        async with come(b.served, again(alice, owner="mallory")) as mallory:
            assert mallory.pid != alice.pid
            b.say(2)
            assert heard(await hear(mallory, 2)) == [2]
        async with come(b.served, again(alice, owner="alice")) as back:
            assert back.pid == alice.pid
            assert heard([await back.event()]) == [1]


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("offset", ["text of an event", "-", 7, {"a": 1}])
async def test_what_is_no_offset_says_nothing_of_what_has_come(dead: bool, offset: Any) -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            pass
        await left(a)
        if dead:
            a.die()
        async with come(b.served, again(first, offset=offset, rooms=[])) as second:
            assert second.pid != first.pid
            assert b.served.server.hub.rooms == 0, "nor is it in the rooms of another"
        assert b.outcomes == {"forgotten": 1}


async def test_who_got_more_than_was_written_starts_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recoveries, "LOOK_PAUSE_S", 0.01)
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            a.streams.part()
            a.say(1)
            await first.event()
        a.die()
        async with come(b.served, again(first)) as second:
            assert second.pid != first.pid
        assert b.outcomes == {"forgotten": 1}


@pytest.mark.parametrize("farewell", ["41", '42["dismiss"]'])
async def test_ends_that_are_meant_are_final_everywhere(farewell: str) -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            first.socket.text(farewell)
            await a.served.until(lambda: a.served.application.ends)
        async with come(b.served, again(first)) as second:
            assert second.pid != first.pid
        assert b.outcomes == {"unknown": 1}


async def test_a_node_that_drains_leaves_its_clients_to_others() -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            a.say(1)
            await first.event()
            await a.served.server.drain(1.0, 100)
            assert await first.event() == ["server:draining", {"retry_after_ms": 100}]
        async with come(b.served, again(first)) as second:
            assert second.pid == first.pid
            assert (await second.event())[0] == "room:interrupted"


async def test_without_redis_clients_come_back_to_the_node_they_were_at() -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            pass
        await left(a)
        a.cluster.shelves.go_down()
        a.say(1)
        async with come(b.served, again(first)) as stranger:
            assert stranger.pid != first.pid
        async with come(a.served, again(first)) as second:
            assert second.pid == first.pid
            assert heard(await hear(second, 1)) == [1]


async def test_whoever_leaves_while_it_is_looked_for_was_let_in_and_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recoveries, "CLAIM_LIMIT_S", 30)
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            pass
        a.die(seen=True)
        task = asyncio.create_task(_come_and_wait(b, again(first)))
        await b.served.until(lambda: b.served.server.hub.rooms)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await b.served.until(lambda: len(b.served.application.ends) == 1)
        assert b.served.server.hub.rooms == 0


async def _come_and_wait(node: Node, auth: dict[str, Any]) -> None:
    async with come(node.served, auth):
        pass


async def test_as_many_are_looked_for_as_the_bound_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recoveries, "MAX_FETCHES", 0)
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            pass
        async with come(b.served, again(first)) as second:
            assert second.pid != first.pid


async def test_what_was_missed_is_bounded_as_it_is_here() -> None:
    async with two() as (a, b):
        async with come(a.served, QUIET) as first:
            pass
        await left(a)
        a.say(*range(1_100))
        await passed()
        a.die()
        async with come(b.served, again(first)) as second:
            assert second.pid != first.pid
        assert b.outcomes == {"forgotten": 1}
