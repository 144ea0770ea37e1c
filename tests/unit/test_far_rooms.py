"""Rooms across nodes: what members elsewhere hear, in what order, and what they learn they miss."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import msgspec
import pytest

from actors.decision import Item, Notice, Push
from actors.runtime.exchange import Exchange
from actors.runtime.membership import SILENT_S
from actors.runtime.routes import Asker
from protocol.catalogue import EVENTS, EventEntry
from protocol.commands.node import RoomInterrupted
from protocol.outgoing import JSON, Outgoing, form
from server.cluster import publisher
from server.cluster import rooms as far_rooms
from server.cluster.room_event import NOTICE, RoomEvent, decode
from server.cluster.rooms import FarRooms
from server.documents import examples
from server.hub import UPDATE_INTERVAL_S, Hub
from server.rooms.room import Items
from server.sockets.socket import Socket
from tests.support.memory_bus import MemoryBus, MemoryHub
from tests.unit.fake_sockets import FakeConnection, inside
from tests.unit.virtual_loop import run, virtual_loop

# Long enough for whatever is on its way, and for connections that were lost.
A_WHILE_S = 2.0


def on_the_clock(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a loop whose clock stands still unless everyone waits."""

    @wraps(test)
    def running() -> None:
        run(test())

    return running


class Desk:
    """One member of a cluster: its hub, and its rooms that know of others."""

    def __init__(self, redis: MemoryHub, name: str, *, alone: bool = False) -> None:
        self.alone = alone
        self.bus = MemoryBus(redis, name)
        self.hub = Hub()
        self.origins: dict[int, object] = {}
        exchange = Exchange(name, self.bus)
        self.rooms = FarRooms(exchange, self.hub, lambda: not self.alone, self.origins.get)
        self.bus.start()

    def swallow(self, *, told: bool) -> None:
        """Have the bus lose what rooms are told; `told` that it took it."""
        bus: Any = self.bus
        bus.publish = lambda _room, _frame: told

    def swallow_no_more(self) -> None:
        """Let the bus pass on again."""
        bus: Any = self.bus
        del bus.publish


class Phone(Socket):
    """A socket of a player that remembers what it was told."""

    def __init__(self, hub: Hub, room: str) -> None:
        connection: Any = FakeConnection(0.0)
        self.namespace = "/"
        self.rooms = set()
        self.connection = connection
        self.history = None
        self.events: list[Outgoing] = []
        hub.join(self, room)

    def deliver(self, event: Outgoing) -> None:
        self.events.append(event)


async def desks(*names: str, redis: MemoryHub | None = None) -> list[Desk]:
    """Members of one cluster, who have found each other."""
    redis = redis or MemoryHub()
    made = [Desk(redis, name) for name in names]
    await asyncio.sleep(A_WHILE_S)
    return made


async def entered(*seats: tuple[Desk, str]) -> list[Any]:
    """Sockets in rooms, one each, once these are heard."""
    sockets = [inside(desk.hub, room)[0] for desk, room in seats]
    await asyncio.sleep(A_WHILE_S)
    return sockets


def said(number: int, room: str = "crash:1") -> Notice:
    return Notice(room, "said", number)


def balance(seq: int, room: str = "user:1") -> Push:
    return Push(room, "wallet:updated", "PLAY", {"seq": seq})


def seqs(socket: Any) -> list[int]:
    return [event.args[0]["seq"] for event in socket.events if event.name == "wallet:updated"]


def interrupted(room: str) -> RoomInterrupted:
    return RoomInterrupted(room=room)


@on_the_clock
async def test_members_on_every_node_hear_in_order_and_other_nodes_hear_nothing() -> None:
    one, two, three = await desks("one", "two", "three")
    here, there, _ = await entered((one, "crash:1"), (two, "crash:1"), (three, "crash:2"))
    for number in range(3):
        one.rooms.publish(said(number), None)
        one.rooms.publish(Item("crash:1", "bet:joined", number), None)
    one.rooms.publish(said(3), None)
    await asyncio.sleep(A_WHILE_S)

    for socket in (here, there):
        assert socket.heard() == [
            0,
            Items([0], 0),
            1,
            Items([1], 0),
            2,
            Items([2], 0),
            3,
        ]
    assert two.rooms.heard == one.rooms.publisher.published == 7
    assert three.rooms.heard == 0
    assert two.rooms.gaps == two.rooms.interrupted == 0


def test_urgent_and_volatile_notices_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Hub, Any, dict[str, bool]]] = []

    def listen_in(hub: Hub, *event: Any, **how: bool) -> None:
        told.append((hub, event[3], how))

    async def scenario() -> None:
        one, two = await desks("one", "two")
        await entered((two, "crash:1"))
        monkeypatch.setattr(Hub, "emit", listen_in)
        for number, (volatile, urgent) in enumerate(
            ((False, False), (True, False), (False, True), (True, True))
        ):
            one.rooms.publish(Notice("crash:1", "said", number, volatile, urgent), None)
        await asyncio.sleep(A_WHILE_S)

        assert [event[1:] for event in told if event[0] is two.hub] == [
            (0, {"volatile": False, "urgent": False}),
            (1, {"volatile": True, "urgent": False}),
            (2, {"volatile": False, "urgent": True}),
            (3, {"volatile": True, "urgent": True}),
        ]

    run(scenario())


@on_the_clock
async def test_of_a_state_the_newest_goes_out_at_most_twenty_times_a_second() -> None:
    one, two = await desks("one", "two")
    [there] = await entered((two, "user:1"))
    for seq in range(1_000):
        one.rooms.publish(balance(seq), None)
        await asyncio.sleep(0.01)
    await asyncio.sleep(A_WHILE_S)

    # Ten seconds: the first at once, and then one every 50 ms.
    assert 150 < one.rooms.publisher.published <= 201
    heard = seqs(there)
    assert heard == sorted(heard)
    assert (heard[0], heard[-1]) == (0, 999)


@on_the_clock
async def test_the_socket_that_asked_is_skipped_wherever_it_is() -> None:
    one, two, three = await desks("one", "two", "three")
    asking, other = Phone(two.hub, "user:1"), Phone(two.hub, "user:1")
    [elsewhere] = await entered((three, "user:1"))
    two.origins[7] = asking
    three.origins[7] = elsewhere
    one.rooms.publish(balance(1), Asker("two", 7))
    await asyncio.sleep(A_WHILE_S)
    one.rooms.publish(balance(2), Asker("one", 7))
    await asyncio.sleep(A_WHILE_S)

    assert seqs(asking) == [2]
    assert seqs(other) == seqs(elsewhere) == [1, 2]


@on_the_clock
async def test_who_is_alone_says_nothing_until_somebody_comes() -> None:
    redis = MemoryHub()
    first = Desk(redis, "first", alone=True)
    await asyncio.sleep(A_WHILE_S)
    inside(first.hub, "crash:1")
    first.rooms.publish(said(1), None)
    first.rooms.publish(balance(1), None)
    assert first.rooms.publisher.published == 0

    # Nobody has announced the second yet, but it has said so itself.
    [second] = await desks("second", redis=redis)
    [there] = await entered((second, "crash:1"))
    first.rooms.publish(said(2), None)
    await asyncio.sleep(A_WHILE_S)
    assert there.heard() == [2]

    await asyncio.sleep(publisher.GRACE_S)
    first.rooms.publish(said(3), None)
    assert first.rooms.publisher.published == 1


@on_the_clock
async def test_a_room_is_heard_while_somebody_is_inside() -> None:
    one, two = await desks("one", "two")
    [there] = await entered((two, "crash:1"))
    one.rooms.publish(said(1), None)
    await asyncio.sleep(A_WHILE_S)
    two.hub.leave(there, "crash:1")
    assert two.bus._rooms == set()
    one.rooms.publish(said(2), None)
    await asyncio.sleep(A_WHILE_S)
    two.hub.join(there, "crash:1")
    await asyncio.sleep(A_WHILE_S)
    one.rooms.publish(said(3), None)
    await asyncio.sleep(A_WHILE_S)

    assert there.heard() == [1, 3]
    assert (two.rooms.heard, two.rooms.gaps) == (2, 0), "who comes anew has missed nothing"


# What is missed.


@on_the_clock
async def test_a_room_where_a_number_is_missing_is_told_so() -> None:
    one, two = await desks("one", "two")
    there, unharmed = await entered((two, "crash:1"), (two, "crash:2"))
    one.rooms.publish(said(1), None)
    one.rooms.publish(said(1, "crash:2"), None)
    await asyncio.sleep(A_WHILE_S)
    one.swallow(told=True)
    one.rooms.publish(said(2), None)
    one.swallow_no_more()
    one.rooms.publish(said(3), None)
    one.rooms.publish(said(2, "crash:2"), None)
    one.rooms.publish(said(4), None)
    await asyncio.sleep(A_WHILE_S)

    assert there.heard() == [1, interrupted("crash:1"), 3, 4]
    assert there.events[1].name == "room:interrupted"
    assert unharmed.heard() == [1, 2]
    assert (two.rooms.gaps, two.rooms.interrupted) == (1, 1)


@on_the_clock
async def test_what_is_volatile_is_not_missed() -> None:
    one, two = await desks("one", "two")
    [there] = await entered((two, "crash:1"))
    one.rooms.publish(said(1), None)
    one.swallow(told=True)
    one.rooms.publish(Notice("crash:1", "round:ticked", 2, volatile=True), None)
    one.swallow_no_more()
    one.rooms.publish(said(3), None)
    await asyncio.sleep(A_WHILE_S)

    assert there.heard() == [1, 3]


def test_a_number_that_its_member_has_forgotten_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MAX_NUMBERED", 1)

    async def scenario() -> None:
        one, two = await desks("one", "two")
        first, second = await entered((two, "first"), (two, "second"))
        for number in range(3):
            one.rooms.publish(said(number, "first"), None)
            one.rooms.publish(said(number, "second"), None)
        await asyncio.sleep(A_WHILE_S)

        assert first.heard() == second.heard() == [0, 1, 2]
        assert two.rooms.gaps == 0
        assert len(one.rooms.publisher._numbers) == 1

    run(scenario())


def test_so_many_members_numbers_are_known_in_a_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_rooms, "MAX_TELLERS", 1)

    async def scenario() -> None:
        one, two, three = await desks("one", "two", "three")
        [there] = await entered((two, "crash:1"))
        for _ in range(3):
            one.rooms.publish(said(1), None)
            three.rooms.publish(said(1), None)
        await asyncio.sleep(A_WHILE_S)

        assert there.heard() == [1] * 6
        assert two.rooms.gaps == 0
        assert len(two.rooms._open["/ crash:1"] or ()) == 1

    run(scenario())


@on_the_clock
async def test_what_could_not_be_said_is_owned_up_to_before_anything_else_is_told() -> None:
    one, two = await desks("one", "two")
    there, quiet = await entered((two, "crash:1"), (two, "user:1"))
    one.swallow(told=False)
    one.rooms.publish(said(1), None)
    one.rooms.publish(balance(1), None)
    await asyncio.sleep(A_WHILE_S)
    assert one.rooms.publisher.owed == 2
    one.swallow_no_more()
    one.rooms.publish(said(2), None)
    await asyncio.sleep(A_WHILE_S)

    assert there.heard() == [interrupted("crash:1"), 2]
    assert quiet.heard() == [interrupted("user:1")], "without waiting for more to tell"
    assert one.rooms.publisher.owed == 0


def test_of_very_much_that_could_not_be_said_every_room_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "MAX_OWED", 2)

    async def scenario() -> None:
        one, two = await desks("one", "two")
        rooms = await entered(*((two, f"user:{number}") for number in range(5)))
        one.swallow(told=False)
        for number in range(3):
            one.rooms.publish(balance(1, f"user:{number}"), None)
        one.swallow_no_more()
        await asyncio.sleep(A_WHILE_S)

        assert [socket.heard() for socket in rooms] == [
            [interrupted(f"user:{number}")] for number in range(5)
        ]

    run(scenario())


@on_the_clock
async def test_after_the_bus_was_away_every_room_here_is_told_once() -> None:
    redis = MemoryHub()
    one, two = await desks("one", "two", redis=redis)
    rooms = await entered(*((two, f"crash:{number}") for number in range(3)))
    one.rooms.publish(said(1), None)
    await asyncio.sleep(A_WHILE_S)
    redis.break_off("two")
    await asyncio.sleep(0)
    one.rooms.publish(said(2), None)
    await asyncio.sleep(A_WHILE_S)
    one.rooms.publish(said(3), None)
    await asyncio.sleep(A_WHILE_S)

    assert rooms[0].heard() == [interrupted("crash:0")]
    assert rooms[1].heard() == [1, interrupted("crash:1"), 3]
    assert rooms[2].heard() == [interrupted("crash:2")]
    assert (two.rooms.interrupted, two.rooms.gaps) == (3, 0)


@on_the_clock
async def test_what_was_said_just_before_the_bus_went_is_owned_up_to() -> None:
    redis = MemoryHub()
    one, two = await desks("one", "two", redis=redis)
    old, new, meanwhile = await entered(*((two, room) for room in ("old", "new", "meanwhile")))
    one.rooms.publish(said(1, "old"), None)
    await asyncio.sleep(2 * publisher.IN_FLIGHT_S)
    one.rooms.publish(said(1, "new"), None)
    # Before it left the process.
    redis.break_off("one")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not one.bus.connected
    one.rooms.publish(said(1, "meanwhile"), None)
    await asyncio.sleep(A_WHILE_S)

    assert old.heard() == [1]
    assert new.heard()[-1:] == [interrupted("new")]
    assert meanwhile.heard() == [interrupted("meanwhile")]


@on_the_clock
async def test_a_member_that_is_gone_may_have_left_something_unsaid() -> None:
    one, two, three = await desks("one", "two", "three")
    told, untold = await entered((three, "crash:1"), (three, "crash:2"))
    one.rooms.publish(said(1), None)
    two.rooms.publish(said(1, "crash:2"), None)
    await asyncio.sleep(A_WHILE_S)
    one.bus.kill()
    three.rooms.gone("one")
    three.rooms.gone("one")
    two.rooms.publish(balance(1), None)
    two.rooms.close()
    await asyncio.sleep(A_WHILE_S)
    three.rooms.gone("two")
    await asyncio.sleep(A_WHILE_S)

    assert told.heard() == [1, interrupted("crash:1")]
    assert untold.heard() == [1], "who says farewell has said everything"


@on_the_clock
async def test_a_state_is_told_before_its_actor_is_another_s() -> None:
    one, two, three = await desks("one", "two", "three")
    [there] = await entered((three, "user:1"))
    for seq in (1, 2, 3):
        one.rooms.publish(balance(seq), None)
    one.rooms.publisher.hurry()
    one.rooms.publish(balance(4), None)
    await asyncio.sleep(UPDATE_INTERVAL_S / 10)
    two.rooms.publish(balance(5), None)
    await asyncio.sleep(A_WHILE_S)

    assert one.rooms.publisher.published == 3
    assert seqs(there)[-1] == 5


@on_the_clock
async def test_a_process_that_stood_still_does_not_tell_an_old_state() -> None:
    one, two = await desks("one", "two")
    [there] = await entered((two, "user:1"))
    one.rooms.publish(balance(1), None)
    one.rooms.publish(balance(2), None)
    await asyncio.sleep(UPDATE_INTERVAL_S / 10)
    virtual_loop().advance(SILENT_S + 1)
    await asyncio.sleep(A_WHILE_S)

    assert there.heard() == [{"seq": 1}, interrupted("user:1")]


@on_the_clock
async def test_what_waits_is_told_before_a_member_leaves() -> None:
    one, two = await desks("one", "two")
    [there] = await entered((two, "user:1"))
    one.rooms.publish(balance(1), None)
    one.rooms.publish(balance(2), None)
    one.rooms.close()
    one.bus.close()
    await asyncio.sleep(A_WHILE_S)

    assert seqs(there) == [1, 2]


@on_the_clock
async def test_what_another_version_says_is_passed_by() -> None:
    one, two = await desks("one", "two")
    [there] = await entered((two, "crash:1"))
    two.rooms._heard(
        "/ crash:1", "three", msgspec.Raw(msgspec.msgpack.encode(RoomEvent("sung", "", 1)))
    )
    two.rooms._heard_word("three", msgspec.Raw(msgspec.msgpack.encode("hum")))
    one.rooms.publish(said(1), None)
    await asyncio.sleep(A_WHILE_S)

    assert there.heard() == [1]


@pytest.mark.parametrize("event", [pytest.param(event, id=name) for name, event in EVENTS.items()])
def test_an_event_is_the_same_on_every_node(event: EventEntry) -> None:
    data = msgspec.convert(examples.event(event), event.data)
    travelled = decode(msgspec.msgpack.encode(RoomEvent(NOTICE, event.name, data, 1))).data
    plain = form(JSON, with_offset=False)

    here = Outgoing("/", event.name, (data,)).encoded(plain)
    assert Outgoing("/", event.name, (travelled,)).encoded(plain) == here
