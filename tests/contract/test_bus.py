"""What members can rely on when they speak with each other, in memory and over Redis."""

import asyncio
import logging
import random

import pytest

from tests.contract.meeting_places import MeetingPlace, Member, meeting, settle, three, until


async def test_what_is_posted_reaches_that_member_alone_and_in_order(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        for turn in range(20):
            for number in range(10):
                assert a.bus.post("b", b"%d.%d" % (turn, number))
            await asyncio.sleep(0)
        await settle(a, b, c)
        assert b.frames == [b"%d.%d" % (turn, number) for turn in range(20) for number in range(10)]
        assert a.frames == c.frames == []
        assert a.told == b.told == c.told == []


async def test_what_is_said_to_all_reaches_all_but_oneself(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        assert a.bus.post_all(b"from a")
        assert b.bus.post_all(b"from b")
        await settle(a, b, c)
        assert a.frames == [b"from b"]
        assert b.frames == [b"from a"]
        assert sorted(c.frames) == [b"from a", b"from b"]


async def test_one_can_post_to_oneself(place: MeetingPlace) -> None:
    async with three(place) as (a, b, _):
        assert a.bus.post("a", b"note")
        await settle(a, b)
        assert a.frames == [b"note"]
        assert b.frames == []


async def test_a_member_that_is_not_there_hears_nothing(place: MeetingPlace) -> None:
    async with three(place) as (a, b, _):
        assert a.bus.post("nobody", b"lost")
        await settle(a, b)
        assert a.bus.post("b", b"heard")
        await settle(a, b)
        assert b.frames == [b"heard"]


@pytest.mark.parametrize("room", ["/ user:7", "/chat chat:é 日", "a", "to:a", "*"])
async def test_a_room_is_heard_by_its_subscribers_but_not_by_who_speaks(
    place: MeetingPlace, room: str
) -> None:
    async with three(place) as (a, b, c):
        a.bus.subscribe(room)
        b.bus.subscribe(room)
        c.bus.subscribe(f"{room}x")
        await settle(a, b, c)
        assert a.bus.publish(room, b"one")
        assert a.bus.publish(room, b"two")
        await settle(a, b, c)
        assert b.told == [(room, b"one"), (room, b"two")]
        assert a.told == c.told == []
        assert a.frames == b.frames == c.frames == []


async def test_a_room_that_was_left_is_heard_no_more(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        b.bus.subscribe("room")
        b.bus.subscribe("other")
        await settle(a, b, c)
        b.bus.unsubscribe("room")
        b.bus.unsubscribe("never")
        await settle(b)
        a.bus.publish("room", b"unheard")
        a.bus.publish("other", b"heard")
        await settle(a, b, c)
        assert b.told == [("other", b"heard")]


async def test_what_comes_for_a_room_that_was_just_left_is_dropped(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        b.bus.subscribe("room")
        await settle(a, b, c)
        b.on_frame = lambda _: b.bus.unsubscribe("room")
        for number in range(5):
            a.bus.publish("room", b"%d" % number)
        await settle(a, b, c)
        assert b.told == [("room", b"0")]


async def test_the_last_word_of_a_turn_about_a_subscription_counts(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        b.bus.subscribe("kept")
        b.bus.subscribe("begun")
        b.bus.unsubscribe("begun")
        await settle(a, b, c)
        b.bus.unsubscribe("kept")
        b.bus.subscribe("kept")
        b.bus.unsubscribe("begun")
        b.bus.subscribe("begun")
        b.bus.unsubscribe("begun")
        b.bus.subscribe("again")
        b.bus.unsubscribe("again")
        b.bus.subscribe("again")
        await settle(a, b, c)
        for room in ("kept", "begun", "again"):
            a.bus.publish(room, room.encode())
        await settle(a, b, c)
        assert b.told == [("kept", b"kept"), ("again", b"again")]


async def test_a_subscription_is_in_force_before_the_ask_that_follows_it(
    place: MeetingPlace,
) -> None:
    async with three(place) as (a, b, c):
        b.on_frame = lambda frame: answer(b, frame)
        rooms = [f"room {number}" for number in range(200)]
        for room in rooms:
            a.bus.subscribe(room)
            assert a.bus.post("b", room.encode())
            if room.endswith("7"):
                # The answers could come while this is still on its way.
                assert a.bus.post("nobody", bytes(500_000))
                await asyncio.sleep(0)
        await until(lambda: len(b.frames) == len(rooms))
        await settle(a, b, c, a)
        assert a.told == [(room, b"answer") for room in rooms]


def answer(member: Member, room: bytes) -> None:
    member.bus.publish(room.decode(), b"answer")


async def test_frames_are_bytes_of_any_kind_and_size(place: MeetingPlace) -> None:
    rng = random.Random(6)
    sizes = [0, 1, 2, 255, 256, 65_535, 65_536, 1_000_000, 0, 3_000_000, 7]
    frames = [rng.randbytes(size) for size in sizes]
    frames += [bytes(range(256)), b"", b"\r\n", b"*1\r\n$4\r\nPING\r\n", b"\x01a", b"\x01b"]
    async with three(place) as (a, b, c):
        b.bus.subscribe("room")
        await settle(b)
        for frame in frames:
            assert a.bus.post("b", frame)
            assert a.bus.publish("room", frame)
            assert a.bus.post_all(frame)
        await settle(a, b, c)
        assert c.frames == frames
        assert [frame for _, frame in b.told] == frames
        assert len(b.frames) == 2 * len(frames)
        assert sorted(b.frames) == sorted(2 * frames)


async def test_before_it_is_joined_nothing_can_be_said(place: MeetingPlace) -> None:
    bus = place.bus("a")
    assert not bus.connected
    assert not bus.post("b", b"too early")
    assert not bus.post_all(b"too early")
    assert not bus.publish("room", b"too early")
    bus.subscribe("room")
    async with meeting(bus, "a") as a, meeting(place.bus("b"), "b") as b:
        assert a.bus.connected
        assert b.bus.publish("room", b"in time")
        await settle(a, b)
        assert a.told == [("room", b"in time")]
        assert b.frames == []


async def test_after_a_lost_connection_all_is_as_before(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        b.bus.subscribe("room")
        b.bus.subscribe("left")
        await settle(a, b, c)
        b.bus.unsubscribe("left")
        await place.kick("b")
        await until(lambda: b.parts == 1)
        assert not b.bus.post("a", b"nobody is there")
        b.bus.subscribe("begun meanwhile")
        b.bus.subscribe("gone meanwhile")
        b.bus.unsubscribe("gone meanwhile")
        await until(lambda: b.joins == 2)
        for room in ("room", "left", "begun meanwhile", "gone meanwhile"):
            assert a.bus.publish(room, room.encode())
        assert a.bus.post("b", b"hello")
        assert b.bus.post("a", b"back")
        await settle(a, b, c)
        assert b.told == [("room", b"room"), ("begun meanwhile", b"begun meanwhile")]
        assert b.frames == [b"hello"]
        assert a.frames == [b"back"]
        assert (a.joins, a.parts) == (c.joins, c.parts) == (1, 0)
        assert b.parts == 1


async def test_a_place_that_ends_and_comes_again_is_joined_again(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        a.bus.subscribe("room")
        await settle(a)
        place.go_down()
        await until(lambda: a.parts == b.parts == c.parts == 1)
        assert not a.bus.post("b", b"nowhere")
        await asyncio.sleep(0.3)  # some tries that fail
        assert a.joins == b.joins == c.joins == 1
        place.come_up()
        await until(lambda: a.joins == b.joins == c.joins == 2)
        assert b.bus.publish("room", b"again")
        assert c.bus.post("b", b"again")
        await settle(a, b, c)
        assert a.told == [("room", b"again")]
        assert b.frames == [b"again"]


async def test_ten_thousand_rooms_are_heard_again(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        rooms = [f"room {number}" for number in range(10_000)]
        for room in rooms:
            b.bus.subscribe(room)
        await settle(b)
        await place.kick("b")
        await until(lambda: b.joins == 2)
        for room in rooms[::100]:
            assert a.bus.publish(room, b"!")
        await settle(a, b, c)
        assert b.told == [(room, b"!") for room in rooms[::100]]


async def test_a_place_that_falls_silent_is_given_up_and_found_again(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        b.bus.subscribe("room")
        await settle(a, b, c)
        place.freeze()
        await until(lambda: a.parts == b.parts == c.parts == 1)
        place.thaw()
        await until(lambda: a.joins == b.joins == c.joins == 2)
        assert a.bus.publish("room", b"again")
        await settle(a, b, c)
        assert b.told == [("room", b"again")]


async def test_a_short_silence_loses_nothing(place: MeetingPlace) -> None:
    async with three(place) as (a, b, c):
        place.freeze()
        assert a.bus.post("b", b"patience")
        await asyncio.sleep(0.2)
        assert b.frames == []
        place.thaw()
        await settle(a, b, c)
        assert b.frames == [b"patience"]
        assert a.parts == b.parts == 0


async def test_what_waits_has_a_bound(place: MeetingPlace) -> None:
    bus = place.bus("a", max_unsent=10_000)
    async with meeting(bus, "a") as a, meeting(place.bus("b"), "b") as b:
        assert not a.bus.post("b", bytes(10_000))
        assert a.bus.post("b", b"1" * 6_000)
        assert not a.bus.post("b", b"2" * 6_000)
        assert not a.bus.publish("room", b"2" * 6_000)
        assert not a.bus.post_all(b"2" * 6_000)
        assert a.bus.post("b", b"3" * 3_000)
        await settle(a, b)
        assert a.bus.post("b", b"4" * 6_000)
        await settle(a, b)
        assert b.frames == [b"1" * 6_000, b"3" * 3_000, b"4" * 6_000]
        empty = 0
        while a.bus.post("b", b""):
            empty += 1
        assert 100 < empty < 1_000
        await settle_until_free(a)
        await settle(a, b)
        assert b.frames[3:] == [b""] * empty


async def settle_until_free(member: Member) -> None:
    """Wait until there is room for a mark again."""
    await until(lambda: member.bus.post("nobody", b"x" * 1_000))


async def test_a_bound_that_was_reached_is_free_again_after_a_loss(place: MeetingPlace) -> None:
    bus = place.bus("a", max_unsent=10_000)
    async with meeting(bus, "a") as a, meeting(place.bus("b"), "b") as b:
        place.freeze()
        assert a.bus.post("b", bytes(9_000))
        assert not a.bus.post("b", bytes(9_000))
        await until(lambda: a.parts == 1)
        place.thaw()
        await until(lambda: a.joins == 2 and b.bus.connected)
        frames_before = len(b.frames)
        assert a.bus.post("b", bytes(9_000))
        await settle_until_free(a)
        await settle(a, b)
        assert b.frames[frames_before:].count(bytes(9_000)) >= 1


async def test_ears_that_fail_harm_nobody_else(
    place: MeetingPlace, caplog: pytest.LogCaptureFixture
) -> None:
    async with three(place) as (a, b, c):
        b.bus.subscribe("room")
        await settle(b)

        def fail(frame: bytes) -> None:
            if frame.startswith(b"bad"):
                raise ValueError("what is this?")

        b.on_frame = fail
        for frame in (b"bad 1", b"good 1", b"bad 2", b"good 2"):
            a.bus.post("b", frame)
            a.bus.publish("room", frame)
        await settle(a, b, c)
        assert b.frames == [b"bad 1", b"good 1", b"bad 2", b"good 2"]
        assert [frame for _, frame in b.told] == b.frames
        assert b.parts == 0
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(failures) == 4
    assert all("what is this?" in str(record.exc_text) for record in failures)


async def test_who_leaves_is_heard_to_the_end(place: MeetingPlace) -> None:
    async with meeting(place.bus("b"), "b") as b:
        async with meeting(place.bus("a"), "a") as a:
            for number in range(100):
                assert a.bus.post("b", b"%d" % number)
            a.bus.close()
            assert not a.bus.post("b", b"too late")
        assert a.parts == 1
        assert not a.bus.connected
        await until(lambda: len(b.frames) == 100)
        assert b.frames == [b"%d" % number for number in range(100)]


async def test_a_new_process_takes_the_place_of_one_that_was_killed(place: MeetingPlace) -> None:
    async with meeting(place.bus("b"), "b") as b:
        bus = place.bus("a")
        first = Member("a", bus)
        running = asyncio.create_task(bus.run())
        await until(lambda: first.joins == 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert first.parts == 1
        async with meeting(place.bus("a"), "a") as second:
            assert b.bus.post("a", b"for the second")
            await settle(b, second)
            assert second.frames == [b"for the second"]
            assert first.frames == []
