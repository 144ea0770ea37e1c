"""What actors announce, on its way into the hub's rooms."""

import asyncio

from actors.decision import Item, Notice, Push
from server.floor import Publishing
from server.hub import Hub
from server.rooms.room import Items
from tests.unit.fake_sockets import CROWD, inside
from tests.unit.virtual_loop import run


def test_states_replace_each_other_and_notices_do_not() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "crash:1")
        publishing = Publishing(hub)
        for number in range(3):
            publishing.publish(Push("crash:1", "state", "", -number), None)
            publishing.publish(Notice("crash:1", "said", number), None)
        await asyncio.sleep(1)

        assert alice.heard() == [0, 0, 1, 2, -2]

    run(scenario())


def test_items_are_told_in_a_list() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "crash:1")
        publishing = Publishing(hub)
        for number in range(3):
            publishing.publish(Item("crash:1", "bet:joined", number), None)
        await asyncio.sleep(1)

        assert alice.heard() == [Items([0, 1, 2], 0)]

    run(scenario())


def test_a_volatile_notice_passes_by_who_cannot_take_it() -> None:
    async def scenario() -> None:
        hub = Hub()
        [alice] = inside(hub, "crash:1")
        alice.connection.writable = False
        publishing = Publishing(hub)
        publishing.publish(Notice("crash:1", "round:ticked", 1, volatile=True), None)
        publishing.publish(Notice("crash:1", "round:crashed", 2), None)

        assert alice.heard() == [2]

    run(scenario())


def test_an_urgent_notice_does_not_wait_for_a_large_room_s_rest() -> None:
    async def scenario() -> None:
        hub = Hub()
        crowd = inside(hub, "crash:1", CROWD)
        publishing = Publishing(hub)
        for number, urgent in enumerate((False, False, True)):
            publishing.publish(Notice("crash:1", "said", number, urgent=urgent), None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        assert all(socket.heard() == [0, 1, 2] for socket in crowd)

    run(scenario())
