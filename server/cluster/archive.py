"""What other nodes have written down, as far as it was read here."""

import asyncio
from typing import Final

import msgspec

from server.cluster.missed import Entry, Log
from server.sockets.deadlines import Deadlines
from storage.streams import Streams

# Logs that are kept here, each as large as its node's may be. More nodes that end within minutes
# have theirs read again and again.
MAX_LOGS: Final = 4
# Entries of one read, which is a few milliseconds' work.
READ_AT_ONCE: Final = 500

_decode = msgspec.msgpack.Decoder(Entry).decode


class _Shelf:
    """One node's log, and whose turn it is to read on."""

    __slots__ = ("log", "turn")

    def __init__(self) -> None:
        self.log = Log()
        self.turn = asyncio.Lock()


class Archive:
    """The logs of nodes that have ended, each read once for all of its clients."""

    def __init__(self, streams: Streams, kept_s: float) -> None:
        self._streams = streams
        self._shelves: dict[str, _Shelf] = {}
        self._unused: Deadlines[str] = Deadlines(kept_s, lambda epoch, _: self._drop(epoch))

    async def log(self, epoch: str) -> Log:
        """A node's log to its end. Raises Unreachable."""
        shelf = self._shelves.setdefault(epoch, _Shelf())
        self._unused.add(epoch)
        if len(self._unused) > MAX_LOGS:
            self._drop(self._unused.oldest())
        async with shelf.turn:
            await self._read_on(epoch, shelf)
        return shelf.log

    async def _read_on(self, epoch: str, shelf: _Shelf) -> None:
        while True:
            # From the last that is known, so that a gap shows.
            known = shelf.log.last if shelf.log.entries else None
            after = -1 if known is None else known - 1
            found = await self._streams.entries(epoch, after, READ_AT_ONCE)
            if known is not None and (not found or found[0].number != known):
                # It was begun anew, or has gone on for so long that there is a gap.
                shelf.log = Log()
                continue
            for number, packed in found if known is None else found[1:]:
                shelf.log.add(number, _decode(packed))
            if len(found) < READ_AT_ONCE:
                return

    def _drop(self, epoch: str) -> None:
        self._unused.discard(epoch)
        self._shelves.pop(epoch, None)

    def close(self) -> None:
        """Keep nothing."""
        self._unused.close()
        self._shelves.clear()
