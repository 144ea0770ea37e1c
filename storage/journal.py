"""All lanes of a process: which of them writes what, and how they are won or claimed together."""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar
from zlib import crc32

from storage.lane import Lane, Listener, Writer

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Between two tries of a standby: longer than an owner's longest pause, so that an owner that lost a
# connection wins its own shards back.
STANDBY_PAUSE_S: Final = 1.0


class Journal:
    """All lanes of a process, and which of them writes what."""

    def __init__(self, lanes: Sequence[Lane], shards: int) -> None:
        self.lanes = lanes
        self._shards = shards
        self._by_shard = {shard: lane for lane in lanes for shard in lane.shards}
        assert len(self._by_shard) == shards, "every shard has exactly one lane"
        self._salt: dict[str, int] = {}
        for leader, lane in pairwise(lanes):
            # Whose shards are moving owns any part of them, and connects each lane by itself.
            if not lane.moving:
                lane.follow(leader)
        self._running: list[asyncio.Task[None]] = []

    def bind(self, listener: Listener) -> None:
        """Tell every lane who is told what became of its writes."""
        for lane in self.lanes:
            lane.bind(listener)

    def start(self) -> None:
        """Have every lane write the shards that are claimed from here on."""
        self._running = [asyncio.create_task(lane.run()) for lane in self.lanes]

    async def win(self) -> None:
        """Own all shards, once nobody else has any of them, and have every lane write its own.

        All or none: two processes that each held a part would keep each other from serving.
        """
        for lane, writer in zip(self.lanes, await self._writers(), strict=True):
            self._running.append(asyncio.create_task(lane.run(writer)))
            await lane.wait_open()

    async def close(self, timeout_s: float) -> None:
        """End every lane once what is queued is committed; wait for it, but no longer than that."""
        for lane in self.lanes:
            lane.close()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

    async def _writers(self) -> list[Writer]:
        """Writers of all lanes, once nobody else has any of their shards."""
        while True:
            writers: list[Writer] = []
            try:
                for lane in self.lanes:
                    writers.append(await lane.connect())  # noqa: PERF401 - kept if one fails
            except Exception as error:  # noqa: BLE001 - whatever stands in the way, try again
                log.info("standing by: %s", error)
                for writer in writers:
                    await writer.close()
                await asyncio.sleep(STANDBY_PAUSE_S)
            except asyncio.CancelledError:
                for writer in writers:
                    writer.terminate()
                raise
            else:
                return writers

    @property
    def ousted(self) -> bool:
        """Whether another process has taken over: it has the first lane, so it gets the others."""
        return self.lanes[0].ousted

    @property
    def open(self) -> bool:
        """Whether every lane has its connection; so every shard can be written, if none moves."""
        return all(lane.open for lane in self.lanes)

    @property
    def able(self) -> bool:
        """Whether every lane has its connection, so that any shard could be ours."""
        return self.open

    @property
    def owned(self) -> Collection[int]:
        """The shards that are ours now."""
        return frozenset().union(*(lane.held for lane in self.lanes))

    def owns(self, shard: int) -> bool:
        """Whether a shard is ours and can be written."""
        return shard in self._by_shard[shard].held

    def give_up(self, shards: Collection[int]) -> None:
        """They are ours no more from here on, though their locks are still held."""
        for lane in self.lanes:
            lane.give_up(shards)

    async def release(self, shards: Collection[int]) -> None:
        """Free the locks of shards that were given up, once what is queued for them is committed.

        Raises Unreachable where a lane loses its connection meanwhile, which frees them too.
        """
        parts = self._by_lane(shards)
        await _all_done([lane.release(part) for lane, part in parts.items()])

    async def claim(self, shards: Collection[int]) -> set[int]:
        """Try to lock these, between batches; those won are ours. None: each lane is only asked.

        Raises Unreachable where a lane has no connection, or loses it; what other lanes won by then
        is in `owned` nonetheless.
        """
        parts = self._by_lane(shards) or {lane: set() for lane in self.lanes}
        won = await _all_done([lane.claim(part) for lane, part in parts.items()])
        return set().union(*won)

    def _by_lane(self, shards: Collection[int]) -> dict[Lane, set[int]]:
        parts: dict[Lane, set[int]] = {}
        for shard in shards:
            parts.setdefault(self._by_shard[shard], set()).add(shard)
        return parts

    def shard_of(self, kind: str, key: int) -> int:
        """The shard that an actor hashes into; the same in every process and version."""
        salt = self._salt.get(kind)
        if salt is None:
            # Kinds are few and ours, so this does not grow.
            salt = self._salt[kind] = crc32(kind.encode())
        return (key + salt) % self._shards

    def lane_of(self, shard: int) -> Lane:
        """The lane that writes a shard."""
        return self._by_shard[shard]


async def _all_done(works: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """What all of them return, once all have ended. Raises what the first that failed raised."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in done if not isinstance(outcome, BaseException)]


def shards_of(lane: int, lanes: int, shards: int) -> list[int]:
    """The shards of one of several lanes: dealt out in turn."""
    return list(range(lane, shards, lanes))
