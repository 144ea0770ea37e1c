"""Work that comes in crowds and is done in slices, a turn of the loop for each."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from server.sockets.deadlines import SLICE_S

Item = TypeVar("Item")

_LOG = logging.getLogger(__name__)


class Slices(Generic[Item]):
    """Calls `work` for each item in order, after this turn of the loop or after one of the next.

    One epoll of the loop may bring a thousand events. What they ask for, done at once, would hold
    up a bet for a tenth of a second. Whoever adds items bounds how many there can be.
    """

    __slots__ = ("_items", "_loop", "_work")

    def __init__(self, work: Callable[[Item], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        """Do this one's work soon."""
        self._items.append(item)
        if len(self._items) == 1:
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        end = self._loop.time() + SLICE_S
        while self._items and self._loop.time() <= end:
            try:
                self._work(self._items[0])
            except Exception:  # noqa: BLE001 - those behind it still have to be served
                _LOG.exception("a piece of work failed")
            # Only now, so that what this one adds does not schedule a second run.
            self._items.popleft()
        if self._items:
            self._loop.call_soon(self._run)
