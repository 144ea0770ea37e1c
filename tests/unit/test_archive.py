"""Logs of other nodes: read once, read on, and read again where that would leave a gap."""

import asyncio

import msgspec
import pytest

from server.cluster import archive
from server.cluster.archive import Archive
from server.cluster.missed import Entry
from storage.streams import Numbered
from tests.support.memory_streams import MemoryShelves, MemoryStreams
from tests.unit.virtual_loop import run

KEPT_S = 100.0


class Reader(MemoryStreams):
    """Counts what it reads."""

    def __init__(self, shelves: MemoryShelves) -> None:
        super().__init__(shelves, "reader")
        self.read = 0
        self.connect()

    async def entries(self, epoch: str, after: int, limit: int) -> list[Numbered]:
        found = await super().entries(epoch, after, limit)
        self.read += len(found)
        return found


def stream(*numbers: int, start: int = 0) -> list[Numbered]:
    return [
        Numbered(number, msgspec.msgpack.encode(Entry(start, "/", "a", packets=[b"x"])))
        for number in numbers
    ]


def test_a_log_is_read_once_and_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "READ_AT_ONCE", 10)

    async def scenario() -> None:
        shelves = MemoryShelves()
        reader = Reader(shelves)
        kept = Archive(reader, KEPT_S)
        assert not (await kept.log("e")).entries
        for last in (0, 9, 10, 11, 40):
            shelves.streams["e"] = stream(*range(last + 1))
            logs = await asyncio.gather(*(kept.log("e") for _ in range(3)))
            assert logs[0] is logs[1] is logs[2]
            assert (logs[0].first, logs[0].last, len(logs[0].entries)) == (0, last, last + 1)
        assert reader.read < 41 + 30, "everything once, and the last one now and then"
        kept.close()

    run(scenario())


def test_a_log_that_was_begun_anew_or_has_a_gap_is_read_again() -> None:
    async def scenario() -> None:
        shelves = MemoryShelves()
        kept = Archive(Reader(shelves), KEPT_S)
        for numbers, known in (
            ([1, 2, 3], [1, 2, 3]),
            ([5, 6], [5, 6]),
            # Begun anew at the last that is known: nothing was told in between.
            ([6, 7], [5, 6, 7]),
            ([8, 9], [8, 9]),
            ([], []),
        ):
            shelves.streams["e"] = stream(*numbers)
            log = await kept.log("e")
            assert [number for number in range(20) if log.find(number)] == known
        kept.close()

    run(scenario())


def test_few_logs_are_kept_and_none_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_LOGS", 2)

    async def scenario() -> None:
        shelves = MemoryShelves()
        reader = Reader(shelves)
        kept = Archive(reader, KEPT_S)
        for epoch in "abc":
            shelves.streams[epoch] = stream(1, 2, 3)
            await kept.log(epoch)
        assert reader.read == 9
        await kept.log("c")
        assert reader.read == 10
        await kept.log("a")
        assert reader.read == 13, "it was forgotten for the others"
        await asyncio.sleep(KEPT_S + 1)
        await kept.log("c")
        assert reader.read == 16
        kept.close()

    run(scenario())
