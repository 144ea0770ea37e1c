"""Rooms, broadcasts and state events, with sockets that remember what they were told."""

import asyncio
from typing import cast

import pytest

from protocol.errors import Failure
from server import hub as hub_module
from server.hub import Hub
from server.rooms.room import MAX_STATES
from server.sockets.socket import Socket
from tests.unit.fake_sockets import FakeSocket, inside
from tests.unit.virtual_loop import run


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


def test_who_watches_is_told_which_rooms_open_and_close() -> None:
    class Watcher:
        def __init__(self) -> None:
            self.told: list[tuple[str, ...]] = []

        def room_opened(self, namespace: str, room: str) -> None:
            self.told.append(("opened", namespace, room))

        def room_closed(self, namespace: str, room: str) -> None:
            self.told.append(("closed", namespace, room))

    async def scenario() -> None:
        hub, watcher = Hub(), Watcher()
        inside(hub, "before")
        hub.watch(watcher)
        [alice, bob] = inside(hub, "room", 2)
        inside(hub, "elsewhere", namespace="/chat")
        hub.leave(alice, "room")
        assert watcher.told == [("opened", "/", "room"), ("opened", "/chat", "elsewhere")]
        [heir] = inside(hub, "other")
        watcher.told.clear()

        hub.hand_over(bob, heir)
        assert watcher.told == [], "it was never empty"
        hub.leave_all(heir)
        assert sorted(watcher.told) == [("closed", "/", "other"), ("closed", "/", "room")]

    run(scenario())
