"""What nodes can rely on when they write down what they tell, in memory and in Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from actors.runtime.ports import Unreachable
from storage import streams as streams_module
from tests.contract.meeting_places import InRedis, MeetingPlace, RunningStreams, until
from tests.support.redis_server import PrivateRedis

LIMIT_S = 20.0


class Node:
    """One node's streams, and how often they came and went."""

    def __init__(self, streams: RunningStreams) -> None:
        self.streams = streams
        self.joins = 0
        self.parts = 0
        streams.bind(self._joined, self._parted)

    def _joined(self) -> None:
        assert self.streams.connected
        self.joins += 1

    def _parted(self) -> None:
        assert not self.streams.connected
        self.parts += 1

    def write(self, *numbers: int, newest: int = 1_000) -> None:
        for number in numbers:
            self.streams.add(number, b"%d" % number, newest)
        self.streams.flush()

    async def numbers(self, epoch: str, after: int = -1, limit: int = 10_000) -> list[int]:
        found = await self.streams.entries(epoch, after, limit)
        assert [int(entry) for _, entry in found] == [number for number, _ in found]
        return [number for number, _ in found]


@asynccontextmanager
async def running(place: MeetingPlace, epoch: str, kept_ms: int = 60_000) -> AsyncIterator[Node]:
    node = Node(place.streams(epoch, kept_ms))
    task = asyncio.create_task(node.streams.run())
    try:
        await until(lambda: node.joins > 0)
        yield node
    finally:
        node.streams.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def two(place: MeetingPlace, kept_ms: int = 60_000) -> AsyncIterator[tuple[Node, Node]]:
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(running(place, "aaa", kept_ms)),
            await stack.enter_async_context(running(place, "bbb", kept_ms)),
        )


async def test_another_node_reads_what_was_written_in_order(place: MeetingPlace) -> None:
    async with two(place) as (a, b):
        a.streams.begin(4, b"4")
        a.write(5, 7, 12)
        assert await b.numbers("aaa") == [4, 5, 7, 12]
        assert await b.numbers("aaa", after=5) == [7, 12]
        assert await b.numbers("aaa", limit=2) == [4, 5]
        assert await b.numbers("bbb") == []
        assert await a.numbers("aaa") == [4, 5, 7, 12]


async def test_what_is_not_flushed_is_not_there_and_then_all_of_it_is(place: MeetingPlace) -> None:
    async with two(place) as (a, b):
        a.streams.begin(0, b"0")
        a.streams.add(1, b"1", 10)
        a.streams.remember("pid", b"{}")
        assert await b.numbers("aaa") == []
        assert await b.streams.record("pid") is None
        a.streams.flush()
        await a.streams.record("any")
        assert await b.numbers("aaa") == [0, 1]
        assert await b.streams.record("pid") == b"{}"


async def test_a_stream_that_begins_anew_forgets_what_it_was(place: MeetingPlace) -> None:
    async with two(place) as (a, b):
        a.streams.begin(1, b"1")
        a.write(2, 3)
        a.streams.begin(3, b"3")
        a.write(4)
        await a.streams.record("any")
        assert await b.numbers("aaa") == [3, 4]


async def test_the_newest_are_kept_and_old_ones_go(place: MeetingPlace) -> None:
    async with two(place) as (a, b):
        a.streams.begin(1, b"1")
        a.write(*range(2, 2_001), newest=300)
        await a.streams.record("any")
        numbers = await b.numbers("aaa")
        assert numbers == list(range(numbers[0], 2_001))
        assert 300 <= len(numbers) < 1_000


async def test_entries_and_records_are_any_bytes(place: MeetingPlace) -> None:
    entry, record = bytes(range(256)) * 10, b'{"a": "b c\r\n"} x \x00\xff'
    async with two(place) as (a, b):
        a.streams.begin(1, entry)
        a.streams.remember("p-_id", record)
        a.streams.flush()
        await a.streams.record("any")
        assert await b.streams.entries("aaa", -1, 10) == [(1, entry)]
        assert await b.streams.record("p-_id") == record


async def test_a_record_is_its_node_s_until_another_takes_it(place: MeetingPlace) -> None:
    async with two(place) as (a, b):
        a.streams.remember("pid", b"1")
        a.streams.remember("pid", b"2")
        a.streams.flush()
        assert await a.streams.record("pid") == b"2"

        b.streams.remember("pid", b"3")
        b.streams.forget("pid")
        b.streams.flush()
        assert await b.streams.record("pid") == b"2"

        b.streams.remember("pid", b"4", taken=True)
        b.streams.flush()
        assert await b.streams.record("pid") == b"4"
        a.streams.remember("pid", b"5")
        a.streams.forget("pid")
        a.streams.flush()
        assert await a.streams.record("pid") == b"4"

        b.streams.forget("pid")
        b.streams.flush()
        assert await b.streams.record("pid") is None


async def test_records_expire(place: MeetingPlace) -> None:
    async with two(place, kept_ms=100) as (a, b):
        a.streams.remember("pid", b"1")
        a.streams.flush()
        await a.streams.record("any")
        async with asyncio.timeout(LIMIT_S):
            while await b.streams.record("pid") is not None:
                await asyncio.sleep(0.02)


async def test_without_a_connection_writes_are_dropped_and_reads_fail(place: MeetingPlace) -> None:
    async with running(place, "aaa") as a:
        a.streams.begin(1, b"1")
        a.write(2)
        await a.streams.record("any")
        place.go_down()
        await until(lambda: a.parts == 1)
        a.write(3)
        with pytest.raises(Unreachable):
            await a.streams.record("pid")
        with pytest.raises(Unreachable):
            await a.streams.entries("aaa", 0, 1)

        place.come_up()
        await until(lambda: a.joins == 2)
        a.streams.begin(3, b"3")
        a.write(4)
        assert await a.numbers("aaa") == [3, 4]


async def test_what_was_written_last_goes_out_at_the_end(place: MeetingPlace) -> None:
    async with running(place, "bbb") as b:
        async with running(place, "aaa") as a:
            a.streams.remember("pid", b"1")
        async with asyncio.timeout(LIMIT_S):
            while await b.streams.record("pid") is None:
                await asyncio.sleep(0.005)


async def test_a_redis_that_does_not_answer_fails_questions_in_time(
    private_redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "ANSWER_LIMIT_S", 0.05)
    async with running(InRedis(private_redis), "aaa") as a:
        private_redis.freeze()
        with pytest.raises(Unreachable):
            await a.streams.record("pid")
        private_redis.thaw()
        # The late answer is nobody's, and the next one is the next question's.
        a.streams.remember("pid", b"1")
        monkeypatch.setattr(streams_module, "ANSWER_LIMIT_S", LIMIT_S)
        assert await a.streams.record("pid") == b"1"


async def test_a_redis_that_takes_too_little_is_given_up(
    private_redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "MAX_UNSENT", 100_000)
    async with running(InRedis(private_redis), "aaa") as a:
        private_redis.freeze()
        for number in range(1, 200):
            a.streams.add(number, b"x" * 1_000, 10)
            a.streams.flush()
        assert a.parts == 1
        private_redis.thaw()
        await until(lambda: a.joins == 2)


async def test_what_redis_refuses_begins_the_log_anew(private_redis: PrivateRedis) -> None:
    async with running(InRedis(private_redis), "aaa") as a:
        a.streams.begin(5, b"5")
        a.write(4)
        await until(lambda: (a.parts, a.joins) == (1, 2))


async def test_what_nobody_thought_of_begins_the_log_anew(
    private_redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    joins = parts = 0

    def joined() -> None:
        nonlocal joins
        joins += 1
        if joins < 3:
            raise ValueError("cannot be encoded")

    def parted() -> None:
        nonlocal parts
        parts += 1

    streams = InRedis(private_redis).streams("aaa", 60_000)
    streams.bind(joined, parted)
    task = asyncio.create_task(streams.run())
    await until(lambda: joins == 3)
    assert (streams.connected, parts) == (True, 2)
    streams.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (told,) = [record for record in caplog.records if record.exc_info]
    assert "ValueError('cannot be encoded')" in told.message


async def test_a_silent_redis_is_given_up(
    private_redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "_BEAT_S", 0.05)
    async with running(InRedis(private_redis), "aaa") as a:
        private_redis.freeze()
        await until(lambda: a.parts == 1)
        private_redis.thaw()
        await until(lambda: a.joins == 2)


async def test_a_quiet_node_s_stream_does_not_expire(
    private_redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "_BEAT_S", 0.02)
    async with running(InRedis(private_redis), "aaa", kept_ms=400) as a:
        a.streams.begin(1, b"1")
        a.streams.flush()
        await asyncio.sleep(1.0)
        assert await a.numbers("aaa") == [1]
