"""What one world is like, drawn from its seed: its size, its small bounds and its bad luck."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

from actors.crash import turn
from actors.runtime import heir, hydration, keeper, node, routes
from actors.wallet import restrictions, state
from storage import lane as lanes

# Faults are drawn a few at a time: all of them at once would hide what one of them does alone.
DISASTERS = ("kill", "restart", "rival", "sever", "end_backend", "outage")

# What befalls clusters, beside that.
CLUSTER_DISASTERS = (
    *("kill", "restart", "join", "leave", "pause"),
    *("sever", "end_backend", "outage", "cut_database"),
    *("cut_redis", "cut_both", "break_bus", "redis_down", "redis_flush", "slow_bus"),
)


class Plan(NamedTuple):
    """The constants of a world. Chances are per event, times in seconds or milliseconds."""

    players: int
    hands: int
    """Commands that each player has under way at once."""
    commands: int
    """Commands of each hand."""
    lanes: int
    max_live: int
    bounds: dict[tuple[Any, str], int]
    """Bounds of the code under test, made small enough to be reached."""
    latency_s: float
    transient: float
    unsent: float
    unanswered: float
    stalled: float
    read_fails: float
    snapshot_lost: float
    delivery_lost: float
    delivery_late: float
    delivery_twice: float
    duplicate: float
    other_content: float
    broken_reply: float
    linger_s: float
    notice_s: float
    idle_ms: int
    caution: float
    """How often a player thinks of limits."""
    leaps: bool
    """Whether the clock leaps over hours, days and months, as where a machine slept."""
    disasters: tuple[str, ...]
    disaster_every_s: float

    @property
    def remembered(self) -> int:
        """How many request ids a wallet remembers in this world."""
        return self.bounds[state, "MAX_RECENT_REQUESTS"]


def plan(seed: int) -> Plan:
    """The world of `seed`."""
    rng = Random(f"plan {seed}")

    def chance(most: float) -> float:
        return rng.random() * most if rng.random() < 0.5 else 0.0

    max_live = rng.choice((2, 4, 100))
    # A full process takes a new wallet only when an idle one has gone.
    idle_ms = rng.choice((0, 50, 1_000) if max_live < 100 else (0, 50, 1_000, 30_000))
    # Drawn apart, so that the rest of a world is what it was before there were limits.
    care = Random(f"limits {seed}")
    disasters = tuple(name for name in DISASTERS if rng.random() < 0.4)
    return Plan(
        players=rng.randint(2, 5),
        hands=rng.randint(1, 3),
        commands=rng.randint(4, 14),
        lanes=rng.randint(1, 3),
        max_live=max_live,
        bounds={
            (state, "MAX_RECENT_REQUESTS"): rng.choice((2, 3, 6, 1_024)),
            (state, "FORGOTTEN_TOGETHER"): rng.choice((1, 2)),
            (node, "SNAPSHOT_EVERY"): rng.choice((1, 3, 8, 1_000)),
            (node, "MAX_INBOX"): rng.choice((2, 5, 256)),
            (node, "SUSPECT_MS"): rng.choice((5_000, 60_000)),
            (restrictions, "MAX_CHANGES_A_DAY"): care.choice((2, 100)),
            (hydration, "BATCH"): rng.choice((1, 2, 256)),
            (hydration, "MAX_LOOKUPS"): rng.choice((1, 2, 256)),
            (lanes, "MAX_BATCH"): rng.choice((1, 2, 5, 2_000)),
            (lanes, "MAX_QUEUE"): rng.choice((3, 20, 20_000)),
            (turn, "ENDED_TOGETHER"): Random(f"slices {seed}").choice((1, 2, 200)),
            (lanes, "MAX_REFUSALS"): rng.choice((1, 2, 8)),
        },
        latency_s=rng.choice((0.0, 0.001, 0.02, 0.3)),
        transient=chance(0.3),
        unsent=chance(0.1),
        unanswered=chance(0.1),
        stalled=chance(0.05),
        read_fails=chance(0.2),
        snapshot_lost=chance(0.5),
        delivery_lost=chance(0.3),
        delivery_late=chance(0.3),
        delivery_twice=chance(0.5),
        duplicate=rng.choice((0.0, 0.2, 0.6)),
        other_content=rng.choice((0.0, 0.2, 0.6)),
        broken_reply=chance(0.1),
        linger_s=rng.choice((0.0, 0.1, 2.0, 5.0)),
        notice_s=rng.choice((0.0, 0.1, 3.0)),
        idle_ms=idle_ms,
        caution=care.choice((0.0, 0.1, 0.3)),
        leaps=care.random() < 0.5,
        disasters=disasters,
        disaster_every_s=rng.choice((0.3, 1.0, 4.0)),
    )


class ClusterPlan(NamedTuple):
    """The constants of a world's cluster, beside its plan."""

    members: int
    """Processes at the beginning."""
    most: int
    """Processes at any time."""
    delay_s: float
    """The longest way to Redis, or from there."""
    lock_fails: float
    """How often taking or freeing locks goes wrong."""
    lasts_s: float
    """How long what passes may last: longer than a lease and a silence, or shorter."""
    bursts: int
    """Players that send many commands at once."""


def cluster_plan(seed: int) -> tuple[Plan, ClusterPlan]:
    """The world of `seed`, if it is a cluster's."""
    rng = Random(f"cluster {seed}")
    before = plan(seed)
    members = rng.randint(2, 4)
    bounds = {
        **before.bounds,
        (routes, "MAX_PARKED"): rng.choice((2, 10_000, 10_000)),
        (routes, "MAX_ASKED"): rng.choice((2, 20_000, 20_000)),
        (routes, "MAX_ORIGINS"): rng.choice((1, 1_024)),
        (heir, "MAX_ENDED"): rng.choice((1, 16)),
        (keeper, "LINGER_S"): rng.choice((1, 60)),
    }
    return before._replace(
        bounds=bounds,
        disasters=tuple(name for name in CLUSTER_DISASTERS if rng.random() < 0.3),
        disaster_every_s=rng.choice((0.5, 1.0, 4.0)),
    ), ClusterPlan(
        members=members,
        most=members + 1,
        delay_s=rng.choice((0.0, 0.001, 0.02, 0.2)),
        lock_fails=rng.choice((0.0, 0.0, 0.02, 0.1)),
        lasts_s=rng.choice((1.0, 4.0, 12.0)),
        bursts=rng.randint(1, 3),
    )


@contextmanager
def bounds_of(world: Plan) -> Iterator[None]:
    """Put the world's small bounds into the code under test, and take them out again."""
    before = {where: getattr(*where) for where in world.bounds}
    try:
        for (module, name), value in world.bounds.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)
