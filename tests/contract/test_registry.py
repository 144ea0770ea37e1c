"""What members can rely on when they announce themselves, in memory and over Redis."""

import asyncio

import pytest

from actors.runtime.membership import Member
from actors.runtime.ports import Registry, Unreachable
from tests.contract.meeting_places import MeetingPlace

_LIMIT_S = 20.0


def member(name: str, **said: object) -> Member:
    fields = {"id": name, "name": f"node {name}", "started_at_ms": 1_700_000_000_000} | said
    return Member(**fields)  # type: ignore[arg-type]  # each test says what it needs


async def ids(registry: Registry, name: str) -> set[str]:
    return {one.id for one in await registry.announce(member(name))}


async def until_seen(registry: Registry, name: str, wanted: set[str]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while await ids(registry, name) != wanted:
            await asyncio.sleep(0.01)


async def test_who_announces_sees_everybody_as_they_are(place: MeetingPlace) -> None:
    a, b = place.registry(), place.registry()
    said = member(
        "a", address="10.0.0.7:4711", draining=True, able=True, shards="ffff0000", settings="5f",
        actors=7, connections=10_000, lag_ms=0.25, bets=1_234.5,
    )  # fmt: skip
    assert await a.announce(said) == [said]
    seen = await b.announce(member("b"))
    assert sorted(seen, key=lambda one: one.id) == [said, member("b")]


async def test_the_newest_announcement_counts(place: MeetingPlace) -> None:
    a, b = place.registry(), place.registry()
    await a.announce(member("a", shards="1"))
    await a.announce(member("a", shards="3"))
    seen = {one.id: one for one in await b.announce(member("b"))}
    assert seen["a"].shards == "3"


async def test_an_announcement_that_is_not_renewed_is_gone(place: MeetingPlace) -> None:
    a, b = place.registry(expires_ms=100), place.registry(expires_ms=60_000)
    assert await ids(a, "a") == {"a"}
    await until_seen(b, "b", {"b"})
    assert await ids(a, "a") == {"a", "b"}


async def test_who_withdraws_is_gone_at_once(place: MeetingPlace) -> None:
    a, b = place.registry(), place.registry()
    await a.announce(member("a"))
    await a.withdraw("a")
    assert await ids(b, "b") == {"b"}
    await a.withdraw("a")  # harmless
    assert await ids(a, "a") == {"a", "b"}


async def test_what_was_forgotten_is_told_again(place: MeetingPlace) -> None:
    a, b = place.registry(), place.registry()
    await a.announce(member("a"))
    place.go_down()
    with pytest.raises(Unreachable):
        await b.announce(member("b"))
    with pytest.raises(Unreachable):
        await a.withdraw("a")
    place.come_up()
    assert await ids(b, "b") == {"b"}
    assert await ids(a, "a") == {"a", "b"}


async def test_who_does_not_answer_is_unreachable_and_then_there_again(place: MeetingPlace) -> None:
    a, b = place.registry(), place.registry()
    await a.announce(member("a"))
    place.freeze()
    for registry in (a, a, b):
        with pytest.raises(Unreachable):
            await registry.announce(member("b" if registry is b else "a", shards="7"))
    place.thaw()
    # What was asked in vain is not taken for the answer to what is asked next.
    await b.withdraw("b")
    for _ in range(3):
        (seen,) = await a.announce(member("a", shards="1"))
        assert seen == member("a", shards="1")


async def test_a_call_that_was_cancelled_leaves_the_next_in_order(place: MeetingPlace) -> None:
    a = place.registry()
    for turn in range(20):
        asked = asyncio.create_task(a.announce(member("a", shards="dead")))
        for _ in range(turn):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert await a.announce(member("a", actors=turn)) == [member("a", actors=turn)]
