"""Who is in the cluster, who should own which shard, and who has been silent for too long."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

# How often a member says that it is there; more often than not two of three may get lost.
ANNOUNCE_S: Final = 0.5
# An announcement that is not renewed is gone after this.
EXPIRES_MS: Final = 1_500
# A member that has been gone for so long may have its connections ended. A pause of its process or
# of its network that is shorter costs nobody anything.
SILENT_S: Final = 3.0
# Sight of Redis is interrupted when two looks are further apart: what was silent may have spoken.
SIGHT_S: Final = 1.5


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself. `shards` are the bits of those it owns, in hexadecimal."""

    id: str
    name: str
    started_at_ms: int
    address: str = ""
    """Host and port where other members reach its sessions."""
    draining: bool = False
    able: bool = False
    """It has PostgreSQL, and could own any shard."""
    shards: str = "0"
    revision: int = 0
    """Grows whenever `shards` changes."""
    settings: str = ""
    """A digest of what has to be the same on every node."""
    actors: int = 0
    connections: int = 0
    lag_ms: float = 0.0
    bets: float = 0.0
    """Bets in the last second."""


def bits_of(shards: Iterable[int]) -> str:
    """Shards as the bits of a hexadecimal number."""
    return f"{sum(1 << shard for shard in shards):x}"


def shards_of_bits(bits: str) -> set[int]:
    """The shards in `bits`."""
    number = int(bits, 16)
    return {shard for shard in range(number.bit_length()) if number >> shard & 1}


def winner(shard: int, members: Collection[str]) -> str | None:
    """Who should own a shard: rendezvous hashing (Thaler and Ravishankar, 1998).

    A member that comes or goes moves only the shards it wins or had won.
    """
    return max(members, key=lambda member: _weight(member, shard), default=None)


def _weight(member: str, shard: int) -> bytes:
    return blake2b(f"{member} {shard}".encode(), digest_size=8).digest()


class Membership:
    """The cluster as one member sees it. `clock_s` is monotonic, in seconds."""

    def __init__(self, me: str, shards: int, clock_s: Callable[[], float]) -> None:
        self.me = me
        self._shards = shards
        self._clock_s = clock_s
        self.members: Mapping[str, Member] = {}
        """Those seen at the last look."""
        self._looked_s = float("-inf")
        # Since when everything that happened has been seen.
        self._sight_since_s = float("-inf")
        # When each was last seen, as long as anybody may ask.
        self._seen_s: dict[str, float] = {}
        # Since when members have not claimed what they hold the lock of, and when that was last
        # asked: of members that are seen, and their shards.
        self._disowned_s: dict[tuple[str, int], tuple[float, float]] = {}
        self._owned: dict[str, set[int]] = {}
        self._placed_for: tuple[str, ...] = ()
        self._placed: list[str | None] = [None] * shards

    def saw(self, members: Sequence[Member]) -> None:
        """Take in a look at everybody who announces themselves."""
        now_s = self._clock_s()
        if now_s - self._looked_s > SIGHT_S:
            self._sight_since_s = now_s
        self._looked_s = now_s
        self.members = {member.id: member for member in members}
        self._owned = {member.id: shards_of_bits(member.shards) for member in members}
        for member in self.members:
            self._seen_s[member] = now_s
        self._disowned_s = {
            (member, shard): times
            for (member, shard), times in self._disowned_s.items()
            if member in self.members and shard not in self._owned[member]
        }
        # Nobody asks for those that were silent for long: their locks have gone with them.
        self._seen_s = {
            member: at_s for member, at_s in self._seen_s.items() if now_s - at_s < 60 * SILENT_S
        }

    @property
    def sighted(self) -> bool:
        """Whether the last look was a moment ago."""
        return self._clock_s() - self._looked_s <= SIGHT_S

    @property
    def others(self) -> bool:
        """Whether anybody else was seen."""
        return any(member != self.me for member in self.members)

    def owned_by(self, member: str) -> set[int]:
        """The shards that a member says it owns."""
        return self._owned.get(member, set())

    def address_of(self, member: str) -> str | None:
        """Where a member's sessions are reached; None for one that is not seen."""
        found = self.members.get(member)
        return found.address if found is not None else None

    def eligible(self) -> tuple[str, ...]:
        """Those that may own shards, in one order for everybody."""
        return tuple(
            sorted(one.id for one in self.members.values() if one.able and not one.draining)
        )

    def place(self) -> list[str | None]:
        """Who should own each shard."""
        eligible = self.eligible()
        if eligible != self._placed_for:
            self._placed_for = eligible
            self._placed = [winner(shard, eligible) for shard in range(self._shards)]
        return self._placed

    def wanted(self) -> set[int]:
        """The shards that should be ours."""
        return {shard for shard, owner in enumerate(self.place()) if owner == self.me}

    def may_end(self, holder: str, shard: int) -> bool:
        """Whether the holder of a shard's lock may be ended: silent, or without a claim to it.

        What happened while Redis was out of sight is not held against anybody, nor what has not
        been looked at yet.
        """
        now_s = self._clock_s()
        if holder not in self.members:
            since_s = max(self._seen_s.get(holder, float("-inf")), self._sight_since_s)
            return self.sighted and self._looked_s - since_s >= SILENT_S
        if shard in self.owned_by(holder):
            return False
        since_s, asked_s = self._disowned_s.get((holder, shard), (now_s, now_s))
        if now_s - asked_s > SIGHT_S:
            # The lock was somebody else's meanwhile, or it was not wanted.
            since_s = now_s
        self._disowned_s[holder, shard] = since_s, now_s
        since_s = max(since_s, self._sight_since_s)
        return self.sighted and self._looked_s - since_s >= SILENT_S
