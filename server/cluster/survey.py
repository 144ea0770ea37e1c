"""The cluster as an operator sees it: what members say, against the locks that PostgreSQL has."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from actors.runtime.membership import Member, Membership, shards_of_bits
from actors.runtime.ports import Holder

# The topic under which operators tell a node, over the bus, to hand everything over and end.
DRAIN: Final = "drain"

SERVING: Final = "serving"
DRAINING: Final = "draining"
UNABLE: Final = "without PostgreSQL"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One member. Of `owned` and `wanted` shards it has the one and should have the other."""

    name: str
    id: str
    state: str
    age_s: int
    address: str
    owned: int
    wanted: int
    actors: int
    connections: int
    bets_per_second: float
    lag_ms: float


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at one moment. `problems` are sentences; without any the cluster is healthy."""

    healthy: bool
    redis: bool
    postgres: bool
    shards: int
    without_owner: list[int]
    """Shards whose lock nobody holds. Empty if PostgreSQL could not be asked."""
    nodes: list[Node]
    problems: list[str]


def survey(
    members: Sequence[Member] | None,
    holders: Mapping[int, Holder] | None,
    shards: int,
    now_ms: int,
) -> Survey:
    """Put together what Redis and PostgreSQL say; either is None if it could not be asked."""
    free = [] if holders is None else [shard for shard in range(shards) if shard not in holders]
    problems = [
        *([] if members is not None else ["Redis does not answer."]),
        *([] if holders is not None else ["PostgreSQL does not answer."]),
        *_problems_of_members(members or ()),
        *([f"Nobody owns {_named(free)}."] if free else []),
    ]
    if members is not None and not members:
        problems.append("No member is seen.")
    if members and holders is not None:
        problems += _problems_of_locks(members, holders)
    return Survey(
        healthy=not problems,
        redis=members is not None,
        postgres=holders is not None,
        shards=shards,
        without_owner=free,
        nodes=_nodes(members or (), shards, now_ms),
        problems=problems,
    )


def _nodes(members: Sequence[Member], shards: int, now_ms: int) -> list[Node]:
    view = Membership("", shards, lambda: 0.0)
    view.saw(members)
    place = view.place()
    return [
        Node(
            name=one.name,
            id=one.id,
            state=_state(one),
            age_s=max(0, now_ms - one.started_at_ms) // 1_000,
            address=one.address,
            owned=len(shards_of_bits(one.shards)),
            wanted=place.count(one.id),
            actors=one.actors,
            connections=one.connections,
            bets_per_second=one.bets,
            lag_ms=one.lag_ms,
        )
        for one in sorted(members, key=lambda one: (one.name, one.id))
    ]


def _state(member: Member) -> str:
    if member.draining:
        return DRAINING
    return SERVING if member.able else UNABLE


def _problems_of_members(members: Sequence[Member]) -> list[str]:
    problems = [
        f"{one.name} has no connection to PostgreSQL." for one in members if _state(one) is UNABLE
    ]
    if len({one.settings for one in members}) > 1:
        problems.append("Members have different tables or limits: their settings differ.")
    return problems


def _problems_of_locks(members: Sequence[Member], holders: Mapping[int, Holder]) -> list[str]:
    """Where who holds a shard's lock is not who says that it owns the shard."""
    names = {one.id: one.name for one in members}
    announced = {one.id: shards_of_bits(one.shards) for one in members}
    unseen: dict[str, list[int]] = defaultdict(list)
    disowned: dict[str, list[int]] = defaultdict(list)
    for shard, holder in sorted(holders.items()):
        if holder.member not in names:
            unseen[holder.member].append(shard)
        elif shard not in announced[holder.member]:
            disowned[holder.member].append(shard)
    return [
        *(
            f"{_capital(_named(held))}: the lock is held by {_stranger(member)}."
            for member, held in unseen.items()
        ),
        *(
            f"{_capital(_named(held))}: {names[member]} holds the lock and does not say so."
            for member, held in disowned.items()
        ),
        *_wrongly_claimed(members, holders),
    ]


def _wrongly_claimed(members: Sequence[Member], holders: Mapping[int, Holder]) -> Iterable[str]:
    for one in members:
        claimed = shards_of_bits(one.shards)
        wrong = {shard for shard in claimed if shard in holders and holders[shard].member != one.id}
        if wrong:
            yield f"{_capital(_named(wrong))}: {one.name} claims what another holds the lock of."


def _stranger(member: str) -> str:
    return f"member {member}, who is not seen" if member else "a server without REDIS_URL"


def _named(shards: Collection[int]) -> str:
    """Such as "shards 1, 4-6"."""
    return f"shard{'s' if len(shards) > 1 else ''} {ranges(shards)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def ranges(numbers: Collection[int]) -> str:
    """Numbers in order, those that follow each other as "4-6"."""
    ordered = sorted(numbers)
    breaks = [index for index, (a, b) in enumerate(pairwise(ordered), start=1) if b != a + 1]
    runs = [
        ordered[start:end] for start, end in zip([0, *breaks], [*breaks, len(ordered)], strict=True)
    ]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs if run)
