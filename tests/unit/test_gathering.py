"""What happens to many at once: lists at a modest rate, in their place among other events."""

import asyncio
from typing import Any, cast

import pytest

from server.hub import GATHER_INTERVAL_S, Hub
from server.rooms.passes import FULL_PASS_INTERVAL_S, FULL_PASS_MEMBERS, MAX_WAITING
from server.rooms.room import MAX_ITEMS, Items
from server.sockets.socket import Socket
from tests.unit.fake_sockets import CROWD, FakeSocket, inside
from tests.unit.virtual_loop import run


def told(socket: Any) -> list[Any]:
    """What a socket was told: lists with how many more there were, and all else as it is."""
    return [(data.items, data.more) if isinstance(data, Items) else data for data in socket.heard()]


def test_a_small_room_is_told_a_list_of_all_that_came_within_an_interval() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice, bob] = inside(hub, "crash:1", 2)
        for number in range(3):
            hub.gather("/", "crash:1", "bet:joined", number)
        hub.gather("/", "crash:1", "player:cashed_out", "x")
        assert told(alice) == []
        await asyncio.sleep(GATHER_INTERVAL_S)

        assert told(alice) == told(bob) == [([0, 1, 2], 0), (["x"], 0)]
        assert [event.name for event in alice.events] == ["bet:joined", "player:cashed_out"]
        assert alice.events[0] is bob.events[0]

    run(scenario())


def test_lists_leave_at_most_ten_times_a_second() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "crash:1")
        for number in range(1000):
            hub.gather("/", "crash:1", "bet:joined", number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

        assert 80 < len(alice.events) <= 100
        assert [item for items, _ in told(alice) for item in items] == list(range(1000))

    run(scenario())


def test_too_many_are_counted_and_not_listed() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "crash:1")
        for number in range(MAX_ITEMS + 7):
            hub.gather("/", "crash:1", "bet:joined", number)
        await asyncio.sleep(1)
        hub.gather("/", "crash:1", "bet:joined", -1)
        await asyncio.sleep(1)

        assert told(alice) == [(list(range(MAX_ITEMS)), 7), ([-1], 0)]
        assert hub.unlisted == 7

    run(scenario())


def test_what_was_gathered_leaves_before_what_is_emitted_after_it() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "crash:1")
        hub.gather("/", "crash:1", "player:cashed_out", 1)
        hub.update("/", "crash:1", "state", "", "s")
        assert told(alice) == ["s"], "a state has no place among other events"
        hub.emit("/", "crash:1", "round:crashed", "c")
        hub.gather("/", "crash:1", "player:cashed_out", 2)
        assert told(alice) == ["s", ([1], 0), "c"]
        await asyncio.sleep(1)

        assert told(alice) == ["s", ([1], 0), "c", ([2], 0)]

    run(scenario())


def test_nothing_is_kept_for_nobody() -> None:
    async def scenario() -> None:
        hub = Hub()
        hub.gather("/", "crash:1", "bet:joined", 1)
        [alice] = inside(hub, "crash:1")
        hub.gather("/", "crash:1", "bet:joined", 2)
        hub.leave(alice, "crash:1")
        [bob] = inside(hub, "crash:1")
        await asyncio.sleep(1)

        assert told(alice) == told(bob) == []
        assert hub.emitted == 0

    run(scenario())


def test_a_large_room_is_told_one_list_in_each_of_its_passes() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", 4 * CROWD)
        interval_s = FULL_PASS_INTERVAL_S * len(crowd) / FULL_PASS_MEMBERS
        assert interval_s > GATHER_INTERVAL_S
        for number in range(20):
            hub.gather("/", "crash:1", "bet:joined", number)
            await asyncio.sleep(interval_s / 5)
        await asyncio.sleep(1)

        for socket in crowd:
            assert len(socket.events) == socket.connection.flushes <= 5
            assert [item for items, _ in told(socket) for item in items] == list(range(20))

    run(scenario())


def test_a_room_that_is_barely_large_is_not_told_more_often_than_a_small_one() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD)
        assert FULL_PASS_INTERVAL_S * CROWD / FULL_PASS_MEMBERS < GATHER_INTERVAL_S
        for number in range(1000):
            hub.gather("/", "crash:1", "bet:joined", number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

        assert 80 < len(crowd[0].events) <= 100
        assert [item for items, _ in told(crowd[0]) for item in items] == list(range(1000))

    run(scenario())


def test_an_urgent_event_takes_along_what_was_gathered_before_it() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD)
        hub.emit("/", "crash:1", "tick", 0)
        await asyncio.sleep(0)
        hub.gather("/", "crash:1", "player:cashed_out", 1)
        hub.emit("/", "crash:1", "round:crashed", 2, urgent=True)
        for _ in range(3):
            await asyncio.sleep(0)

        assert all(told(socket) == [0, ([1], 0), 2] for socket in crowd)

    run(scenario())


def test_nothing_is_dropped_for_a_list() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD)
        hub.emit("/", "crash:1", "tick", -1)
        await asyncio.sleep(0)
        for number in range(MAX_WAITING - 1):
            hub.emit("/", "crash:1", "tick", number)
        hub.gather("/", "crash:1", "bet:joined", "x")
        hub.update("/", "crash:1", "state", "", "s")
        await asyncio.sleep(1)

        assert hub.dropped == 0
        assert told(crowd[0]) == [-1, *range(MAX_WAITING - 1), "s", (["x"], 0)]

    run(scenario())


def test_what_comes_while_a_large_room_is_served_leaves_in_the_next_pass() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD, write_s=0.001)
        hub.emit("/", "crash:1", "tick", 0)
        await asyncio.sleep(0)
        assert len(crowd[-1].events) == 0
        hub.gather("/", "crash:1", "bet:joined", 1)
        # Due long before the half second that this pass takes is over.
        await asyncio.sleep(2)

        assert all(told(socket) == [0, ([1], 0)] for socket in crowd)

    run(scenario())


def test_a_list_that_cannot_be_encoded_keeps_nothing_else_from_the_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD)
        hub.gather("/", "crash:1", "bet:joined", object())
        hub.gather("/", "crash:1", "player:cashed_out", 1)
        hub.emit("/", "crash:1", "round:crashed", 2)
        await asyncio.sleep(1)

        assert all(told(socket) == [([1], 0), 2] for socket in crowd)

    run(scenario())
    assert "a list of bet:joined could not be told" in caplog.text


def test_after_closing_no_list_is_sent() -> None:
    async def scenario() -> None:
        hub = Hub()
        alice = FakeSocket()
        hub.join(cast(Socket, alice), "crash:1")
        hub.gather("/", "crash:1", "bet:joined", 1)
        hub.close()
        await asyncio.sleep(1)

        assert told(alice) == []

    run(scenario())
