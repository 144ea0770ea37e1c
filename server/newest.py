"""Pages of what a node holds in memory, newest first, at a bounded cost each."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Protocol, TypeVar

from protocol.bounds import MAX_LOOKS_PER_PAGE
from server.sockets.deadlines import SLICE_S


class Numbered(Protocol):
    """Something whose number is higher than that of all before it."""

    @property
    def number(self) -> int:
        """It stands for its place in the list."""


Item = TypeVar("Item", bound=Numbered)
Row = TypeVar("Row")


async def newest(
    items: Sequence[Item], before: int | None, limit: int, show: Callable[[Item], Row | None]
) -> tuple[list[Row], int | None]:
    """The rows of the newest `items` older than `before`, and where the next page begins.

    `items` are in order, and nobody else's: other things go on between two looks. `show` makes an
    item's row, or None for one to be left out. There are at most `limit` rows, of at most
    `MAX_LOOKS_PER_PAGE` looks; None for the next page says that this one reached the end.
    """
    loop = asyncio.get_running_loop()
    index = len(items) if before is None else bisect_left(items, before, key=attrgetter("number"))
    end = max(0, index - MAX_LOOKS_PER_PAGE)
    rows: list[Row] = []
    pause_at = loop.time() + SLICE_S
    while index > end and len(rows) < limit:
        index -= 1
        row = show(items[index])
        if row is not None:
            rows.append(row)
        if loop.time() > pause_at:
            await asyncio.sleep(0)
            pause_at = loop.time() + SLICE_S
    return rows, items[index].number if index else None
