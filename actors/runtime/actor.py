"""The shell around one state: its waiting commands and how much of it is not yet committed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.kind import Kind
    from actors.runtime.ports import Lane, Reply


class Actor:
    """One live entity. While `inbox` is a queue, commands wait in it; while None, they run."""

    __slots__ = (
        "alarm_ms",
        "gone",
        "inbox",
        "key",
        "kind",
        "lane",
        "pending",
        "shard",
        "snapshot_version",
        "state",
        "suspect_until_ms",
        "touched_ms",
    )

    def __init__(self, kind: Kind, key: int, shard: int, lane: Lane, now_ms: int) -> None:
        self.kind = kind
        self.key = key
        self.shard = shard
        self.lane = lane
        self.state: Any = None
        self.inbox: deque[tuple[Any, Reply, bool]] | None = deque()
        self.pending = 0
        self.snapshot_version = 0
        self.touched_ms = now_ms
        self.suspect_until_ms = 0
        self.alarm_ms = 0
        self.gone = False

    @property
    def waits(self) -> bool:
        """Whether commands wait, for hydration or for a row, instead of running."""
        return self.inbox is not None

    @property
    def queue(self) -> deque[tuple[Any, Reply, bool]]:
        """The inbox of an actor that waits."""
        assert self.inbox is not None
        return self.inbox

    @property
    def idle(self) -> bool:
        """Whether nothing waits for it and nothing of it is uncommitted."""
        return self.inbox is None and self.pending == 0 and self.alarm_ms == 0
