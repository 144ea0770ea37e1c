"""Members of rooms on their way here: what was told since they left, or that it is not known."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from actors.runtime.exchange import Exchange
from protocol.outgoing import Outgoing
from server.cluster import arrivals
from server.cluster.arrivals import Arrivals
from server.cluster.room_event import ITEM, LOST, NOTICE, STATE, RoomEvent
from tests.support.memory_bus import MemoryBus, MemoryHub

TABLE = "/ table"


class Guest:
    """As much of a socket as has to catch up."""

    namespace = "/"

    def __init__(self) -> None:
        self.rooms = {"table"}
        self.heard: list[tuple[str, Any]] = []

    def emit(self, event: str, data: Any) -> None:
        self.heard.append((event, data))

    def deliver(self, event: Outgoing) -> None:
        self.heard.append((event.name, event.args[0]))


def notice(number: int, previous: int = 0) -> RoomEvent:
    return RoomEvent(NOTICE, "said", number, number, previous)


async def bus_of(name: str, redis: MemoryHub | None = None) -> tuple[MemoryBus, Arrivals]:
    bus = MemoryBus(redis or MemoryHub(), name)
    kept = Arrivals(Exchange(name, bus))
    bus.start()
    async with asyncio.timeout(10):
        while not bus.connected:
            await asyncio.sleep(0)
    return bus, kept


def caught_up(kept: Arrivals, position: Mapping[str, int] | None) -> list[tuple[str, Any]]:
    guest: Any = Guest()
    kept.catch_up(guest, {} if position is None else {TABLE: position})
    heard: list[tuple[str, Any]] = guest.heard
    return heard


def is_interrupted(kept: Arrivals, position: Mapping[str, int] | None) -> bool:
    return [event for event, _ in caught_up(kept, position)] == ["room:interrupted"]


async def test_each_teller_goes_on_after_its_last_number() -> None:
    _bus, kept = await bus_of("one")
    kept.told(TABLE, "two", notice(1))  # nobody follows yet
    kept.follow([TABLE])
    for told in (notice(7, 5), notice(9, 7)):
        kept.told(TABLE, "two", told)
    kept.told(TABLE, "three", RoomEvent(ITEM, "bet:joined", "ann", 4, 2))
    kept.told(TABLE, "three", RoomEvent(STATE, "wallet:updated", "new", 6, 4))
    kept.told(TABLE, "three", RoomEvent(NOTICE, "ticked", 1))  # volatile: nobody needs it

    heard = caught_up(kept, {"two": 7, "three": 2})
    assert [event for event, _ in heard] == ["said", "bet:joined", "wallet:updated"]
    assert heard[0][1] == 9
    assert caught_up(kept, {"two": 9, "three": 6}) == []
    # Of whom nothing was heard before the socket left, everything is new.
    assert [data for event, data in caught_up(kept, {"three": 6}) if event == "said"] == [7, 9]


@pytest.mark.parametrize(
    "told", [notice(9, 8), RoomEvent(LOST, "", None, 9)], ids=["a gap", "something lost"]
)
async def test_what_is_missing_interrupts(told: RoomEvent) -> None:
    _bus, kept = await bus_of("one")
    kept.follow([TABLE])
    kept.told(TABLE, "two", told)

    assert is_interrupted(kept, {"two": 7})
    assert caught_up(kept, {"two": 9}) == []


async def test_a_position_that_is_not_known_interrupts() -> None:
    _bus, kept = await bus_of("one")
    assert is_interrupted(kept, {"two": 7})  # nobody follows the room
    kept.follow([TABLE])
    assert is_interrupted(kept, None)
    assert not is_interrupted(kept, {})


async def test_too_much_is_forgotten_and_missed_by_who_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrivals, "MAX_KEPT", 3)
    _bus, kept = await bus_of("one")
    kept.follow([TABLE])
    for number in range(1, 6):
        kept.told(TABLE, "two", notice(number, number - 1))

    assert [data for _, data in caught_up(kept, {"two": 2})] == [3, 4, 5]
    assert is_interrupted(kept, {"two": 1})


async def test_a_room_is_kept_for_as_long_as_anybody_is_on_the_way() -> None:
    _bus, kept = await bus_of("one")
    kept.follow([TABLE, "/ other"])
    kept.follow([TABLE])
    assert kept.unfollow([TABLE, "/ other"]) == ["/ other"]
    assert TABLE in kept
    assert kept.unfollow([TABLE]) == [TABLE]
    assert TABLE not in kept


async def test_who_hears_its_echo_has_heard_what_was_said_before() -> None:
    redis = MemoryHub(lambda: 0.01)
    _bus, kept = await bus_of("one", redis)
    _bus, other = await bus_of("two", redis)
    heard: list[str] = []
    kept._exchange.listen("words", lambda sender, _body: heard.append(sender))
    assert other._exchange.say("one", "words", "before")
    await asyncio.sleep(0.015)  # Redis has them by now

    assert await kept.echo()
    assert heard == ["two"]


async def test_without_a_bus_there_is_no_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "ECHO_S", 0.05)
    redis = MemoryHub()
    bus, kept = await bus_of("one", redis)
    redis.cut("one")
    assert not await kept.echo()
    bus.kill()
    assert not await kept.echo()
    assert not kept._echoes
