"""Takes over from members that have fallen silent: ends their connections, which frees locks."""

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from actors.runtime.membership import Membership
from actors.runtime.ports import Holder, Locks

log = logging.getLogger(__name__)

# How often it is asked who holds a lock that should be ours: it takes seconds until that matters.
HOLDERS_S: Final = 0.5
# How soon connections of a member may be ended again that were ended before; it doubles each time.
# Such a member lives, and nobody sees it: it should not be fought with.
AGAIN_S: Final = 5.0
MOST_AGAIN_S: Final = 120.0
# Silent members whose connections are ended at a time. The others' are ended a moment later.
MAX_ENDED: Final = 16
# Members that are remembered to have been ended: those of a few days. The first is forgotten.
MAX_REMEMBERED: Final = 100


class Heir:
    """One member's claim to what silent ones hold. Nobody is ended who was not out of sight."""

    def __init__(self, membership: Membership, locks: Locks) -> None:
        self._membership = membership
        self._locks = locks
        self.shut_out = False
        """Whether somebody who is no member held shards that should be ours, at the last look."""
        # Connections of servers without a cluster that were found to hold shards.
        self._strangers: set[int] = set()
        # When the holders of locks were last asked for.
        self._asked_s = float("-inf")
        # Members whose connections were ended: not again before, and the pause after that.
        self._ended_s: dict[str, tuple[float, float]] = {}

    async def end_silent(self, stuck: Collection[int]) -> int:
        """End the connections of silent members that hold these shards; how many were ended.

        Asked for more often than matters, it does nothing. Raises Unreachable.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_s < HOLDERS_S:
            return 0
        self._asked_s = now_s
        silent: dict[Holder, None] = {}
        strangers = set()
        holders = await self._locks.holders(stuck)
        members = self._membership.members
        self.shut_out = any(holder.member not in members for holder in holders.values())
        for shard, holder in holders.items():
            if not holder.member:
                # Whoever is alone on this database, without Redis, was never heard: not silent.
                strangers.add(holder.pid)
            elif self._membership.may_end(holder.member, shard):
                silent[holder] = None
        if strangers - self._strangers:
            log.error("a server without REDIS_URL holds shards of this database: end it first")
        self._strangers = strangers
        ended: set[str] = set()
        for member in dict.fromkeys(holder.member for holder in silent):
            if len(ended) < MAX_ENDED and self._may_end_again(member):
                ended.add(member)
        going = [holder for holder in silent if holder.member in ended]
        for holder in going:
            log.warning(
                "member %s is silent: its connection %d is ended", holder.member, holder.pid
            )
            await self._locks.end(holder)
        return len(going)

    def _may_end_again(self, member: str) -> bool:
        """Whether this member's connections may be ended now, for the first time or once more."""
        now_s = asyncio.get_running_loop().time()
        not_before_s, pause_s = self._ended_s.pop(member, (now_s, AGAIN_S))
        may = now_s >= not_before_s
        if may and pause_s > AGAIN_S:
            log.warning(
                "member %s is silent and lives: have all nodes of this database one REDIS_URL and"
                " one PITBOSS_CLUSTER_NAME?",
                member,
            )
        if may:
            not_before_s, pause_s = now_s + pause_s, min(2 * pause_s, MOST_AGAIN_S)
        self._ended_s[member] = not_before_s, pause_s
        if len(self._ended_s) > MAX_REMEMBERED:
            del self._ended_s[next(iter(self._ended_s))]
        return may
