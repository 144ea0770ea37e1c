"""The two ways for members to meet that the suites run on, behind one face."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from redis.asyncio import Redis

from actors.runtime.membership import EXPIRES_MS
from actors.runtime.ports import Bus, Registry
from storage.bus import MAX_UNSENT, RedisBus
from storage.registry import RedisRegistry
from storage.streams import RedisStreams, Streams
from tests.support.memory_bus import MemoryBus, MemoryHub
from tests.support.memory_registry import MemoryRegistry
from tests.support.memory_streams import MemoryShelves, MemoryStreams
from tests.support.redis_server import PrivateRedis

CLUSTER = "tried"
_LIMIT_S = 20.0
_LOOK_S = 0.005


class RunningBus(Bus, Protocol):
    """A bus, and its life."""

    async def run(self) -> None: ...

    def close(self) -> None: ...


class RunningStreams(Streams, Protocol):
    """Streams, and their life."""

    async def run(self) -> None: ...

    def close(self) -> None: ...


class MeetingPlace(Protocol):
    """Where members meet. Each call makes what one process would have."""

    def bus(self, member: str, *, max_unsent: int = MAX_UNSENT) -> RunningBus: ...

    def registry(self, *, expires_ms: int = EXPIRES_MS) -> Registry: ...

    def streams(self, epoch: str, kept_ms: int) -> RunningStreams: ...

    async def kick(self, member: str) -> None:
        """End a member's connection from the other side."""

    def go_down(self) -> None:
        """End, with all that is known there."""

    def come_up(self) -> None:
        """Be there again, empty."""

    def freeze(self) -> None:
        """Answer nobody, with all connections open."""

    def thaw(self) -> None:
        """Go on."""

    async def close(self) -> None:
        """End what the place has made."""


class InMemory:
    """The twin."""

    def __init__(self) -> None:
        self.hub = MemoryHub(lambda: 0.001)
        self.shelves = MemoryShelves()
        # Those that can be cut off.
        self._members: list[str] = ["a", "b", "c"]

    def bus(self, member: str, *, max_unsent: int = MAX_UNSENT) -> MemoryBus:
        return MemoryBus(self.hub, member, max_unsent=max_unsent)

    def registry(self, *, expires_ms: int = EXPIRES_MS) -> MemoryRegistry:
        return MemoryRegistry(self.hub, expires_ms=expires_ms)

    def streams(self, epoch: str, kept_ms: int) -> MemoryStreams:
        return MemoryStreams(self.shelves, epoch, kept_ms)

    async def kick(self, member: str) -> None:
        self.hub.break_off(member)

    def go_down(self) -> None:
        self.hub.go_down()
        self.shelves.go_down()

    def come_up(self) -> None:
        self.hub.come_up()
        self.shelves.come_up()

    def freeze(self) -> None:
        self.hub.cut(*self._members)
        self.shelves.frozen = True

    def thaw(self) -> None:
        self.hub.heal(*self._members)
        self.shelves.frozen = False

    async def close(self) -> None:
        """There is nothing to end."""


class InRedis:
    """A real Redis."""

    def __init__(self, redis: PrivateRedis) -> None:
        self.redis = redis
        self._registries: list[RedisRegistry] = []

    def bus(self, member: str, *, max_unsent: int = MAX_UNSENT) -> RedisBus:
        return RedisBus(self.redis.url, CLUSTER, member, max_unsent=max_unsent)

    def registry(self, *, expires_ms: int = EXPIRES_MS) -> RedisRegistry:
        made = RedisRegistry(self.redis.url, CLUSTER, expires_ms=expires_ms)
        self._registries.append(made)
        return made

    def streams(self, epoch: str, kept_ms: int) -> RedisStreams:
        return RedisStreams(self.redis.url, CLUSTER, epoch, kept_ms)

    async def kick(self, member: str) -> None:
        async with Redis.from_url(self.redis.url) as client:
            for one in await client.client_list():
                if one["name"] == f"{CLUSTER}-bus-{member}":
                    await client.client_kill_filter(_id=one["id"])

    def go_down(self) -> None:
        self.redis.stop()

    def come_up(self) -> None:
        self.redis.start()

    def freeze(self) -> None:
        self.redis.freeze()

    def thaw(self) -> None:
        self.redis.thaw()

    async def close(self) -> None:
        for registry in self._registries:
            await registry.close()


class Member:
    """One member, and all that it has heard."""

    def __init__(self, name: str, bus: RunningBus) -> None:
        self.name = name
        self.bus = bus
        self.frames: list[bytes] = []
        self.told: list[tuple[str, bytes]] = []
        self.joins = 0
        self.parts = 0
        self.on_frame: Callable[[bytes], None] = lambda _: None
        bus.bind(self)

    def heard(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.on_frame(frame)

    def heard_room(self, room: str, frame: bytes) -> None:
        self.told.append((room, frame))
        self.on_frame(frame)

    def joined(self) -> None:
        assert self.bus.connected
        self.joins += 1

    def parted(self) -> None:
        assert not self.bus.connected
        self.parts += 1

    async def settle(self) -> None:
        """Wait until all that this member said, and that was said to it before, has arrived."""
        mark = b"mark %d" % len(self.frames)
        await asyncio.sleep(0)  # after what this turn says, to whomever
        assert self.bus.post(self.name, mark)
        await until(lambda: mark in self.frames)
        self.frames.remove(mark)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    async with asyncio.timeout(_LIMIT_S):
        while not condition():
            await asyncio.sleep(_LOOK_S)


async def settle(*members: Member) -> None:
    """Wait until all that these have said is with those that it was said to."""
    for _ in range(2):  # it leaves those who speak, then reaches those who hear
        for member in members:
            await member.settle()


@asynccontextmanager
async def meeting(bus: RunningBus, name: str) -> AsyncIterator[Member]:
    """A member on the bus; at the end it has left."""
    member = Member(name, bus)
    running = asyncio.create_task(bus.run())
    try:
        await until(lambda: member.joins > 0)
        yield member
    finally:
        bus.close()
        await asyncio.wait_for(running, _LIMIT_S)


@asynccontextmanager
async def three(place: MeetingPlace) -> AsyncIterator[tuple[Member, Member, Member]]:
    """Three members."""
    async with AsyncExitStack() as stack:
        a, b, c = [await stack.enter_async_context(meeting(place.bus(n), n)) for n in "abc"]
        yield a, b, c
