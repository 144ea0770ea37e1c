"""Large rooms: slices, rests, what is dropped, and what cannot wait."""

import asyncio
from typing import cast

import pytest

from protocol.outgoing import Outgoing
from server.hub import Hub
from server.rooms.passes import (
    FULL_PASS_INTERVAL_S,
    FULL_PASS_MEMBERS,
    MAX_SERVING,
    MAX_WAITING,
)
from server.sockets.deadlines import SLICE_S
from server.sockets.history import Bounds, History, Shelf
from server.sockets.socket import Socket
from tests.unit.fake_sockets import CROWD, WRITE_S, FakeSocket, inside
from tests.unit.virtual_loop import run, virtual_loop


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
        hub.emit("/", "room", "tick", -1, volatile=True)
        hub.emit("/", "room", "tock", -2, volatile=True)
        hub.emit("/", "room", "x", MAX_WAITING - 2)
        await asyncio.sleep(10)

        assert hub.dropped == 1
        assert crowd[0].heard() == [*range(MAX_WAITING - 2), -2, MAX_WAITING - 2]

    run(scenario())


def test_a_large_room_is_told_the_newest_of_what_is_volatile() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD)
        hub.emit("/", "room", "x", 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in range(1, 6):
            hub.emit("/", "room", "tick", number, volatile=True)
            hub.gather("/", "room", "joined", number)
        hub.emit("/", "room", "x", 6)
        await asyncio.sleep(10)

        heard = crowd[0].heard()
        assert heard[:2] == [0, 5]
        assert len(heard) == 4, "the list comes once, before what follows it"
        assert heard[3] == 6

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


async def turns(count: int = 2) -> None:
    """Let a pass begin, and as many slices run."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_an_urgent_event_ends_a_rest_and_takes_along_what_waited() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD)
        hub.emit("/", "crash:1", "tick", 0)
        await turns()
        hub.emit("/", "crash:1", "tick", 1)
        await turns()
        assert all(socket.heard() == [0] for socket in crowd), "the room rests"

        hub.emit("/", "crash:1", "round:crashed", 2, urgent=True)
        await turns()
        assert all(socket.heard() == [0, 1, 2] for socket in crowd)
        hub.emit("/", "crash:1", "tick", 3)
        await turns()
        assert all(socket.heard() == [0, 1, 2] for socket in crowd), "it rests again"

        await asyncio.sleep(1)
        assert all(socket.heard() == [0, 1, 2, 3] for socket in crowd)
        assert all(socket.connection.flushes == 3 for socket in crowd)

    run(scenario())


def test_an_urgent_event_begins_a_pass_of_a_room_that_does_not_rest() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD)
        hub.emit("/", "crash:1", "round:started", 1, urgent=True)
        hub.emit("/", "crash:1", "round:crashed", 2, urgent=True)
        await asyncio.sleep(1)

        assert all(socket.heard() == [1, 2] for socket in crowd)
        assert all(socket.connection.flushes == 1 for socket in crowd)

    run(scenario())


def test_an_urgent_event_comes_along_in_the_pass_that_is_under_way() -> None:
    async def scenario() -> None:
        loop = virtual_loop()
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD, write_s=WRITE_S)
        hub.emit("/", "crash:1", "tick", 1)
        await turns(1)
        hub.emit("/", "crash:1", "tick", 2)
        [between] = inside(hub, "crash:1", write_s=WRITE_S)
        passed = [socket for socket in crowd if socket.events]
        assert 0 < len(passed) < CROWD

        hub.emit("/", "crash:1", "round:crashed", 3, urgent=True)
        [late] = inside(hub, "crash:1", write_s=WRITE_S)
        began_s = loop.time()
        slices = 0
        while any(len(socket.events) < 3 for socket in crowd) or not between.events:
            await turns(1)
            slices += 1
            assert slices < CROWD, "it waits for the rest of the room"

        # One write for each, whether the pass had been there or not.
        assert loop.time() - began_s == pytest.approx((CROWD + 1) * WRITE_S)
        assert all(socket.heard() == [1, 2, 3] for socket in crowd)
        assert [socket for socket in crowd if socket.connection.flushes == 2] == passed
        assert between.heard() == [3]
        await asyncio.sleep(1)
        assert late.heard() == []
        assert late.connection.flushes == 0

    run(scenario())


def test_urgent_events_may_follow_one_another_within_a_pass() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD, write_s=WRITE_S)
        hub.emit("/", "crash:1", "tick", 0)
        for number in range(1, 8):
            await turns(1)
            hub.emit("/", "crash:1", "round:crashed", number, urgent=True)
        await turns(20)

        assert all(socket.heard() == list(range(8)) for socket in crowd)
        assert hub.rooms_of("/")[0].serving == ()
        assert not hub.rooms_of("/")[0].busy

    run(scenario())


def test_what_comes_along_in_a_pass_is_bounded_and_the_rest_waits() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD, write_s=WRITE_S)
        [room] = hub.rooms_of("/")
        hub.emit("/", "crash:1", "tick", 0)
        await turns(1)
        for number in range(1, MAX_SERVING + 10):
            hub.emit("/", "crash:1", "tick", number, urgent=True)
        assert (len(room.serving), len(room.waiting)) == (MAX_SERVING, 10)
        await asyncio.sleep(1)

        assert hub.dropped == 0
        assert all(socket.heard() == list(range(MAX_SERVING + 10)) for socket in crowd)

    run(scenario())


def test_who_is_owed_an_urgent_event_can_be_given_it_at_once_and_only_once() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD, write_s=WRITE_S)
        hub.emit("/", "crash:1", "tick", 1)
        await turns(1)
        hub.emit("/", "crash:1", "round:crashed", 2, urgent=True)
        assert crowd[0].heard() == [1]
        hub.catch_up(crowd[0])
        assert crowd[0].heard() == [1, 2]

        heir = FakeSocket()
        hub.hand_over(crowd[0], cast(Socket, heir))
        hub.emit("/", "crash:1", "round:opened", 3, urgent=True)
        await asyncio.sleep(1)

        assert crowd[0].heard() == [1, 2]
        assert heir.heard() == [3]
        assert all(socket.heard() == [1, 2, 3] for socket in crowd[1:])

    run(scenario())


def test_a_drop_tears_the_histories_of_those_who_lack_it_though_urgent_events_came_along() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "room", CROWD, write_s=WRITE_S)
        histories = [History(0, Shelf(Bounds(60, 1_000, 1_000_000, 1_000_000))) for _ in range(2)]
        crowd[0].history, crowd[-1].history = histories
        hub.emit("/", "room", "x", 0)
        await turns(1)
        hub.emit("/", "room", "x", 1, urgent=True)
        assert (crowd[0].heard(), crowd[-1].heard()) == ([0], [])
        for number in range(2, MAX_WAITING + 3):
            hub.emit("/", "room", "x", number)
        await asyncio.sleep(1)

        assert hub.dropped == 1
        heard = [0, 1, *range(3, MAX_WAITING + 3)]
        assert all(socket.heard() == heard for socket in crowd)
        assert [history.after(None) for history in histories] == [None, None]

    run(scenario())
