"""Rooms, broadcasts and state events, with sockets that remember what they were told."""

import asyncio
from typing import Any, cast

import pytest

from protocol.errors import Failure
from protocol.outgoing import Outgoing
from server import hub as hub_module
from server.hub import (
    FULL_PASS_INTERVAL_S,
    FULL_PASS_MEMBERS,
    MAX_SMALL_ROOM,
    MAX_STATES,
    MAX_WAITING,
    Hub,
)
from server.sockets.deadlines import SLICE_S
from server.sockets.history import Bounds, History, Shelf
from server.sockets.socket import Socket
from tests.unit.virtual_loop import run, virtual_loop


class FakeConnection:
    """Takes a given time for every write, like a system call."""

    def __init__(self, write_s: float) -> None:
        self.writable = True
        self.flushes = 0
        self._write_s = write_s

    def flush(self) -> None:
        self.flushes += 1
        virtual_loop().advance(self._write_s)


class FakeSocket:
    """As much of a socket as the hub needs."""

    def __init__(self, namespace: str = "/", write_s: float = 0.0) -> None:
        self.namespace = namespace
        self.rooms: set[str] = set()
        self.connection = FakeConnection(write_s)
        self.history: object = None
        self.awaited = False
        self.events: list[Outgoing] = []

    def deliver(self, event: Outgoing) -> None:
        self.events.append(event)

    def heard(self) -> list[Any]:
        """The data of every event so far."""
        return [event.args[0] for event in self.events]


def inside(hub: Hub, room: str, count: int = 1, **kinds: Any) -> list[Any]:
    sockets = [FakeSocket(**kinds) for _ in range(count)]
    for socket in sockets:
        hub.join(cast(Socket, socket), room)
    return sockets


def test_everyone_inside_hears_and_nobody_else() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice, bob] = inside(hub, "chat:1", 2)
        [carol] = inside(hub, "chat:2")
        [elsewhere] = inside(hub, "chat:1", namespace="/chat")

        hub.emit("/", "chat:1", "message:posted", "hello", skip=bob)
        hub.emit("/", "nobody", "message:posted", "lost")

        assert alice.heard() == ["hello"]
        assert bob.heard() == carol.heard() == elsewhere.heard() == []

    run(scenario())


def test_a_broadcast_is_one_event() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice, bob] = inside(hub, "room", 2)

        hub.emit("/", "room", "x", {"n": 1})

        assert alice.events[0] is bob.events[0]

    run(scenario())


def test_membership() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice, bob] = inside(hub, "room", 2)
        hub.join(alice, "room")
        hub.join(alice, "other")

        assert hub.sockets_of("/", "room") == [alice, bob]
        assert hub.rooms == 2
        hub.leave(bob, "room")
        hub.leave(bob, "room")
        hub.leave(bob, "never entered")
        assert hub.sockets_of("/", "room") == [alice]
        hub.leave_all(alice)
        assert alice.rooms == set()
        assert hub.sockets_of("/", "room") == []
        assert hub.rooms == 0

    run(scenario())


def test_rooms_are_listed_oldest_first_with_those_away() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "first")
        [bob] = inside(hub, "second")
        hub.join(bob, "first")
        hub.leave(alice, "first")
        hub.leave(bob, "first")
        hub.join(alice, "first")
        rooms = hub.rooms_of("/")
        assert [room.name for room in rooms] == ["second", "first"]
        assert rooms[0].number < rooms[1].number
        assert hub.rooms_of("/nowhere") == []

        [heir] = inside(hub, "third")
        bob.awaited = True
        hub.awaiting(bob)
        assert [room.awaited for room in hub.rooms_of("/")] == [1, 0, 0]
        hub.hand_over(bob, heir)
        assert [room.awaited for room in hub.rooms_of("/")] == [0, 0, 0]

    run(scenario())


def test_the_number_of_rooms_of_a_socket_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_ROOMS_PER_SOCKET", 1)

    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "one")
        with pytest.raises(Failure) as caught:
            hub.join(alice, "two")
        assert caught.value.kind.code == "too_many_rooms"
        assert hub.sockets_of("/", "two") == []

    run(scenario())


def test_volatile_events_pass_by_those_who_cannot_take_them() -> None:
    async def scenario() -> None:
        hub = Hub()
        [slow, quick] = inside(hub, "room", 2)
        slow.connection.writable = False

        hub.emit("/", "room", "tick", 1, volatile=True)
        hub.emit("/", "room", "crashed", 2)

        assert slow.heard() == [2]
        assert quick.heard() == [1, 2]

    run(scenario())


CROWD = 5 * MAX_SMALL_ROOM
WRITE_S = 0.000_010


def test_a_large_room_is_served_in_slices_and_others_run_in_between() -> None:
    async def scenario() -> None:
        loop = virtual_loop()
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD, write_s=WRITE_S)
        longest_s, looks = 0.0, 0

        hub.emit("/", "crash:1", "round:crashed", 1)
        while any(not socket.events for socket in crowd):
            before_s = loop.time()
            await asyncio.sleep(0)
            longest_s = max(longest_s, loop.time() - before_s)
            looks += 1

        # A slice ends at the first look at the clock after its time.
        assert longest_s <= SLICE_S + 8 * WRITE_S
        assert looks >= CROWD * WRITE_S / (SLICE_S + 8 * WRITE_S)

    run(scenario())


def test_a_large_room_keeps_its_order_and_folds_what_waits_into_one_write() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD, write_s=WRITE_S)

        hub.emit("/", "crash:1", "tick", 0)
        await asyncio.sleep(0)
        for number in range(1, 10):
            hub.emit("/", "crash:1", "tick", number)
        await asyncio.sleep(1)

        assert all(socket.heard() == list(range(10)) for socket in crowd)
        assert all(socket.connection.flushes == 2 for socket in crowd)

    run(scenario())


def test_a_large_room_rests_in_proportion_to_its_size() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD)
        interval_s = FULL_PASS_INTERVAL_S * CROWD / FULL_PASS_MEMBERS
        for number in range(20):
            hub.emit("/", "room", "tick", number)
            await asyncio.sleep(interval_s / 5)
        await asyncio.sleep(1)

        # The first leaves at once, and then a pass for every five.
        assert all(socket.connection.flushes == 5 for socket in crowd)
        assert all(socket.heard() == list(range(20)) for socket in crowd)

        hub.emit("/", "room", "tick", 20)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(socket.heard()[-1] == 20 for socket in crowd), "after a rest one leaves at once"

    run(scenario())


def test_whoever_is_owed_by_a_pass_can_be_given_it_at_once_and_only_once() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD, write_s=WRITE_S)
        hub.emit("/", "room", "x", 1)
        await asyncio.sleep(0)
        hub.emit("/", "room", "x", 2)
        hub.emit("/", "room", "x", 3, skip=crowd[-1])

        hub.catch_up(crowd[-1])
        assert crowd[-1].heard() == [1, 2]

        await asyncio.sleep(1)
        assert crowd[-1].heard() == [1, 2]
        assert crowd[-2].heard() == [1, 2, 3]

    run(scenario())


def test_an_heir_takes_the_place_of_who_was_there() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "large", CROWD, write_s=WRITE_S)
        gone, heir = crowd[-1], FakeSocket(write_s=WRITE_S)
        hub.join(gone, "small")
        hub.emit("/", "large", "x", 1)
        await asyncio.sleep(0)

        hub.catch_up(gone)
        hub.hand_over(gone, cast(Socket, heir))
        hub.emit("/", "large", "x", 2)
        hub.emit("/", "small", "x", 3)
        await asyncio.sleep(1)

        assert gone.heard() == [1]
        assert sorted(heir.heard()) == [2, 3]
        assert gone.rooms == set()
        assert heir.rooms == {"large", "small"}

    run(scenario())


def test_an_heir_who_was_inside_already_gets_nothing_twice() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "large", CROWD, write_s=WRITE_S)
        [heir] = inside(hub, "large")
        hub.emit("/", "large", "x", 1)

        hub.catch_up(crowd[0])
        hub.hand_over(crowd[0], heir)
        await asyncio.sleep(1)

        assert crowd[0].heard() == [1]
        assert heir.heard() == []

    run(scenario())


def test_the_newest_states_are_kept_for_who_may_come_back() -> None:
    async def scenario() -> None:
        hub = Hub()
        alice, bob = FakeSocket(), FakeSocket()
        alice.history = object()
        for socket in (alice, bob):
            hub.join(cast(Socket, socket), "user:1")
        hub.update("/", "user:1", "wallet:updated", "USD", 1, origin=cast(Socket, bob))
        hub.update("/", "user:1", "wallet:updated", "USD", 2, origin=cast(Socket, alice))
        for number in range(MAX_STATES):
            hub.update("/", "user:1", "wallet:updated", number, -number)

        states = [event.args[0] for event in hub.states(cast(Socket, alice))]
        assert states == [-number for number in range(MAX_STATES)], "the oldest was forgotten"

        hub.leave(cast(Socket, alice), "user:1")
        hub.update("/", "user:1", "wallet:updated", "EUR", 5)
        assert not list(hub.states(cast(Socket, bob))), "nobody here may come back"

    run(scenario())


def test_order_is_kept_when_a_large_room_shrinks_while_it_is_served() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD, write_s=WRITE_S)
        hub.emit("/", "room", "x", 1)
        await asyncio.sleep(0)
        for socket in crowd[:-1]:
            hub.leave(socket, "room")

        hub.emit("/", "room", "x", 2)
        await asyncio.sleep(1)

        assert crowd[-1].heard() == [1, 2]

    run(scenario())


def test_who_joins_late_or_leaves_early_hears_only_its_own_time() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD, write_s=WRITE_S)
        hub.emit("/", "room", "x", 1)
        await asyncio.sleep(0)
        hub.emit("/", "room", "x", 2)
        [late] = inside(hub, "room")
        hub.emit("/", "room", "x", 3)
        hub.leave(crowd[-1], "room")
        await asyncio.sleep(1)

        assert crowd[0].heard() == [1, 2, 3]
        assert late.heard() == [3]
        assert crowd[-1].heard() == []

    run(scenario())


def test_large_rooms_take_turns_and_skip_is_kept() -> None:
    async def scenario() -> None:
        hub = Hub()
        first = inside(hub, "one", CROWD, write_s=WRITE_S)
        second = inside(hub, "two", CROWD, write_s=WRITE_S)

        hub.emit("/", "one", "x", 1, skip=first[3])
        hub.emit("/", "two", "x", 2)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert any(socket.events for socket in first)
        assert any(socket.events for socket in second)
        await asyncio.sleep(1)

        assert [socket for socket in first if not socket.events] == [first[3]]
        assert all(socket.heard() == [2] for socket in second)

    run(scenario())


def test_an_event_that_cannot_be_delivered_ends_its_pass_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(FakeSocket):
        def deliver(self, event: Outgoing) -> None:
            raise TypeError(f"{event.name} cannot be encoded")

    async def scenario() -> None:
        hub = Hub()
        hub.join(cast(Socket, Broken()), "broken")
        inside(hub, "broken", CROWD)
        crowd = inside(hub, "room", CROWD)
        hub.emit("/", "broken", "x", 1)
        hub.emit("/", "room", "x", 1)
        await asyncio.sleep(1)
        hub.emit("/", "broken", "x", 2)
        hub.emit("/", "room", "x", 2)
        await asyncio.sleep(1)

        assert all(socket.heard() == [1, 2] for socket in crowd)

    run(scenario())
    assert caplog.text.count("a pass over the room broken was cut short") == 2


def test_what_waits_for_a_large_room_is_bounded() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD, write_s=WRITE_S)
        for number in range(MAX_WAITING + 5):
            hub.emit("/", "room", "x", number)
        await asyncio.sleep(10)

        assert hub.dropped == 5
        assert crowd[0].heard() == list(range(5, MAX_WAITING + 5))

    run(scenario())


def test_volatile_events_are_dropped_first() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD)
        for number in range(MAX_WAITING - 2):
            hub.emit("/", "room", "x", number)
        for number in (-1, -2):
            hub.emit("/", "room", "tick", number, volatile=True)
        hub.emit("/", "room", "x", MAX_WAITING - 2)
        await asyncio.sleep(10)

        assert hub.dropped == 1
        assert crowd[0].heard() == [*range(MAX_WAITING - 2), -2, MAX_WAITING - 2]

    run(scenario())


def test_a_room_that_is_told_much_does_not_rest() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD)
        hub.emit("/", "room", "x", -1)
        await asyncio.sleep(0)
        for number in range(MAX_WAITING):
            hub.emit("/", "room", "x", number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert crowd[0].heard() == [-1, *range(MAX_WAITING)]
        for number in range(MAX_WAITING):
            hub.emit("/", "room", "x", number)
        await asyncio.sleep(10)

        assert hub.dropped == 0
        assert len(crowd[0].heard()) == 1 + 2 * MAX_WAITING

    run(scenario())


def test_a_recoverable_member_s_history_has_a_gap_where_an_event_was_dropped() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD)
        crowd[0].history = history = History(0, Shelf(Bounds(60, 1_000, 100_000, 100_000)))
        for number in range(MAX_WAITING):
            hub.emit("/", "room", "x", number)
        await asyncio.sleep(10)
        assert history.after(None) is not None

        for number in range(MAX_WAITING + 1):
            hub.emit("/", "room", "x", number)
        await asyncio.sleep(10)
        assert history.after(None) is None

    run(scenario())


def test_what_cannot_be_encoded_is_refused_and_nothing_else_is_lost() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD)
        hub.emit("/", "room", "x", 1)
        with pytest.raises(TypeError):
            hub.emit("/", "room", "x", object())
        hub.emit("/", "room", "x", 2)
        await asyncio.sleep(10)

        assert all(socket.heard() == [1, 2] for socket in crowd)

    run(scenario())


def test_the_first_state_leaves_at_once_and_then_only_the_newest() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "user:1")
        for balance in range(5):
            hub.update("/", "user:1", "wallet:updated", "USD", balance)
        hub.update("/", "user:1", "wallet:updated", "BTC", 100)

        assert alice.heard() == [0, 100]
        await asyncio.sleep(1)
        assert alice.heard() == [0, 100, 4]

    run(scenario())


def test_states_of_one_key_leave_at_most_twenty_times_a_second() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "user:1")
        for balance in range(1000):
            hub.update("/", "user:1", "wallet:updated", "USD", balance)
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

        # Ten seconds of updates: at 0 s, and then every 50 ms.
        heard = alice.heard()
        assert 150 < len(heard) <= 201
        assert heard == sorted(heard)
        assert heard[-1] == 999

    run(scenario())


def test_the_origin_is_skipped_and_the_player_s_other_sockets_are_told() -> None:
    async def scenario() -> None:
        hub = Hub()
        [phone, desk] = inside(hub, "user:1", 2)
        hub.update("/", "user:1", "wallet:updated", "USD", 1, origin=phone)
        hub.update("/", "user:1", "wallet:updated", "USD", 2, origin=desk)
        hub.update("/", "user:1", "wallet:updated", "USD", 3, origin=phone)
        await asyncio.sleep(1)

        assert phone.heard() == []
        assert desk.heard() == [1, 3]

    run(scenario())


def test_an_origin_alone_is_told_nothing_and_nothing_older_comes_after_its_ack() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alone] = inside(hub, "user:1")
        hub.update("/", "user:1", "wallet:updated", "USD", 1)  # a tip from somebody
        hub.update("/", "user:1", "wallet:updated", "USD", 2)  # and another, which waits
        hub.update("/", "user:1", "wallet:updated", "USD", 3, origin=alone)
        await asyncio.sleep(1)

        assert alone.heard() == [1]

    run(scenario())


def test_after_closing_nothing_is_sent() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "user:1")
        hub.update("/", "user:1", "wallet:updated", "USD", 1)
        hub.update("/", "user:1", "wallet:updated", "USD", 2)
        hub.close()
        await asyncio.sleep(1)

        assert alice.heard() == [1]

    run(scenario())
