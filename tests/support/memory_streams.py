"""What nodes write down for each other's clients, in memory, on the loop's time alone."""

import asyncio
from collections.abc import Callable

from actors.runtime.ports import Unreachable
from storage.streams import Numbered

Action = Callable[[], None]


class MemoryShelves:
    """A Redis, as far as streams go."""

    def __init__(self) -> None:
        self.up = True
        self.frozen = False
        self.streams: dict[str, list[Numbered]] = {}
        # By pid: whose it is, what it says, and until when.
        self.records: dict[str, tuple[str, bytes, float]] = {}
        self._connected: set[MemoryStreams] = set()

    def go_down(self) -> None:
        """End all connections, let nobody in, and forget everything."""
        self.up = False
        self.streams.clear()
        self.records.clear()
        for streams in tuple(self._connected):
            streams.part()

    def come_up(self) -> None:
        """Let everybody in again."""
        self.up = True

    def enter(self, streams: "MemoryStreams") -> None:
        """A connection is made."""
        self._connected.add(streams)

    def drop(self, streams: "MemoryStreams") -> None:
        """A connection has ended."""
        self._connected.discard(streams)

    def record(self, pid: str) -> tuple[str, bytes] | None:
        """Whose a record is, and what it says."""
        owner, record, until_s = self.records.get(pid, ("", b"", 0.0))
        return (owner, record) if until_s > asyncio.get_running_loop().time() else None


class MemoryStreams:
    """One node's stream and records, and those of others to read."""

    def __init__(self, shelves: MemoryShelves, epoch: str, kept_ms: int = 165_000) -> None:
        self._shelves = shelves
        self._epoch = epoch
        self._kept_s = kept_ms / 1_000
        self._connected = False
        self._said: list[Action] = []
        self._on_joined: Action = lambda: None
        self._on_parted: Action = lambda: None

    @property
    def connected(self) -> bool:
        return self._connected

    def bind(self, joined: Action, parted: Action) -> None:
        self._on_joined, self._on_parted = joined, parted

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled."""
        while True:
            if not self._connected and self._shelves.up:
                self.connect()
            await asyncio.sleep(0.01)

    def connect(self) -> None:
        """Be connected at once."""
        self._connected = True
        self._shelves.enter(self)
        self._on_joined()

    def part(self) -> None:
        """Lose the connection, and what was not flushed."""
        if self._connected:
            self._connected = False
            self._said.clear()
            self._shelves.drop(self)
            self._on_parted()

    def close(self) -> None:
        """Have all that was written go out, and write no more."""
        self.flush()
        self.part()

    def _say(self, action: Action) -> None:
        if self._connected:
            self._said.append(action)

    def begin(self, number: int, entry: bytes) -> None:
        def begin() -> None:
            self._shelves.streams[self._epoch] = [Numbered(number, entry)]

        self._say(begin)

    def add(self, number: int, entry: bytes, newest: int) -> None:
        def add() -> None:
            stream = self._shelves.streams.setdefault(self._epoch, [])
            assert not stream or stream[-1].number < number, "numbers grow"
            stream.append(Numbered(number, entry))
            del stream[:-newest]

        self._say(add)

    def remember(self, pid: str, record: bytes, *, taken: bool = False) -> None:
        def remember() -> None:
            had = self._shelves.record(pid)
            if taken or had is None or had[0] == self._epoch:
                until_s = asyncio.get_running_loop().time() + self._kept_s
                self._shelves.records[pid] = self._epoch, record, until_s

        self._say(remember)

    def forget(self, pid: str) -> None:
        def forget() -> None:
            had = self._shelves.record(pid)
            if had is not None and had[0] == self._epoch:
                del self._shelves.records[pid]

        self._say(forget)

    def flush(self) -> None:
        said, self._said = self._said, []
        for action in said:
            action()

    async def record(self, pid: str) -> bytes | None:
        await self._answer()
        had = self._shelves.record(pid)
        return None if had is None else had[1]

    async def entries(self, epoch: str, after: int, limit: int) -> list[Numbered]:
        await self._answer()
        stream = self._shelves.streams.get(epoch, [])
        return [one for one in stream if one.number > after][:limit]

    async def _answer(self) -> None:
        if not self._connected or self._shelves.frozen:
            raise Unreachable
        self.flush()
        await asyncio.sleep(0)
