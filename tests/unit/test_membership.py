"""Who should own what, and who has been silent for too long."""

from collections import Counter

import pytest

from actors.runtime.membership import (
    SIGHT_S,
    SILENT_S,
    Member,
    Membership,
    bits_of,
    shards_of_bits,
    winner,
)

SHARDS = 64


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def member(name: str, *shards: int, able: bool = True, draining: bool = False) -> Member:
    return Member(
        id=name, name=name, started_at_ms=1, able=able, draining=draining, shards=bits_of(shards)
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(clock: Clock) -> Membership:
    return Membership("a", SHARDS, clock)


def see(cluster: Membership, clock: Clock, seconds: float, *members: Member) -> None:
    """Look twice a second at the same members, for so long."""
    for _ in range(round(seconds * 2)):
        clock.now_s += 0.5
        cluster.saw(members)


@pytest.mark.parametrize("shards", [set(), {0}, {63}, {0, 1, 7, 4_095}])
def test_shards_are_bits(shards: set[int]) -> None:
    assert shards_of_bits(bits_of(shards)) == shards


def test_nobody_wins_where_nobody_is() -> None:
    assert winner(3, ()) is None


def test_everybody_agrees_whatever_the_order() -> None:
    assert all(winner(n, ("a", "b", "c")) == winner(n, ("c", "a", "b")) for n in range(SHARDS))


def test_a_member_that_comes_takes_only_what_it_wins() -> None:
    before = [winner(n, ("a", "b", "c")) for n in range(4_096)]
    after = [winner(n, ("a", "b", "c", "d")) for n in range(4_096)]
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _old, new in moved} == {"d"}
    assert 800 < len(moved) < 1_250
    assert all(900 < count < 1_150 for count in Counter(after).values())


def test_only_those_that_can_and_stay_own_anything(cluster: Membership) -> None:
    cluster.saw([member("a"), member("b", able=False), member("c", draining=True)])
    assert cluster.place() == ["a"] * SHARDS
    assert cluster.wanted() == set(range(SHARDS))


def test_a_draining_member_wants_nothing(cluster: Membership) -> None:
    cluster.saw([member("a", draining=True), member("b")])
    assert cluster.wanted() == set()
    assert cluster.place() == ["b"] * SHARDS


def test_with_nobody_able_nothing_is_placed(cluster: Membership) -> None:
    cluster.saw([member("a", able=False)])
    assert cluster.place() == [None] * SHARDS


def test_a_silent_member_may_be_ended_after_a_time(cluster: Membership, clock: Clock) -> None:
    see(cluster, clock, 5, member("a"), member("b", 1))
    assert not cluster.may_end("b", 1)
    see(cluster, clock, SILENT_S - 0.5, member("a"))
    assert not cluster.may_end("b", 1)
    see(cluster, clock, 0.5, member("a"))
    assert cluster.may_end("b", 1)


def test_one_that_speaks_again_is_not_silent(cluster: Membership, clock: Clock) -> None:
    see(cluster, clock, 1, member("a"), member("b", 1))
    see(cluster, clock, SILENT_S - 0.5, member("a"))
    see(cluster, clock, 0.5, member("a"), member("b", 1))
    see(cluster, clock, SILENT_S - 0.5, member("a"))
    assert not cluster.may_end("b", 1)


def test_nobody_is_silent_while_redis_is_out_of_sight(cluster: Membership, clock: Clock) -> None:
    see(cluster, clock, 5, member("a"), member("b", 1))
    clock.now_s += 60
    assert not cluster.sighted
    assert not cluster.may_end("b", 1)
    # As after a flush: what is gone may be announced again in a moment.
    see(cluster, clock, SILENT_S - 0.5, member("a"))
    assert not cluster.may_end("b", 1)
    see(cluster, clock, 1, member("a"))
    assert cluster.may_end("b", 1)


def test_one_never_seen_is_given_the_time_too(cluster: Membership, clock: Clock) -> None:
    see(cluster, clock, SILENT_S - 0.5, member("a"))
    assert not cluster.may_end("ghost", 1)
    see(cluster, clock, 1, member("a"))
    assert cluster.may_end("ghost", 1)


def test_a_short_break_of_sight_forgives(cluster: Membership, clock: Clock) -> None:
    see(cluster, clock, 2, member("a"))
    clock.now_s += SIGHT_S + 0.1
    see(cluster, clock, SILENT_S - 0.5, member("a"))
    assert not cluster.may_end("ghost", 1)


def asked_while_seen(cluster: Membership, clock: Clock, seconds: float, *held: int) -> bool:
    """Whether `b`, which says that it owns `held`, may lose shard 1 when asked for so long."""
    ended = False
    for _ in range(round(seconds * 2)):
        see(cluster, clock, 0.5, member("a"), member("b", *held))
        ended = cluster.may_end("b", 1)
    return ended


def test_a_member_that_is_seen_may_lose_what_it_does_not_claim(
    cluster: Membership, clock: Clock
) -> None:
    see(cluster, clock, 5, member("a"), member("b", 2))
    assert not asked_while_seen(cluster, clock, SILENT_S, 2)
    assert asked_while_seen(cluster, clock, 0.5, 2)
    assert not cluster.may_end("b", 2)


def test_a_claim_in_between_starts_the_time_anew(cluster: Membership, clock: Clock) -> None:
    see(cluster, clock, 5, member("a"), member("b"))
    assert not asked_while_seen(cluster, clock, 2)
    see(cluster, clock, 0.5, member("a"), member("b", 1))
    assert not asked_while_seen(cluster, clock, 2)


def test_a_lock_that_was_not_asked_for_meanwhile_starts_it_anew(
    cluster: Membership, clock: Clock
) -> None:
    see(cluster, clock, 5, member("a"), member("b"))
    assert not asked_while_seen(cluster, clock, 2)
    see(cluster, clock, 2, member("a"), member("b"))
    assert not asked_while_seen(cluster, clock, 2)


def test_what_was_not_looked_at_is_not_silence(cluster: Membership, clock: Clock) -> None:
    see(cluster, clock, 5, member("a"), member("b", 1))
    see(cluster, clock, SILENT_S - 0.5, member("a"))
    clock.now_s += 1.0
    assert cluster.sighted
    assert not cluster.may_end("b", 1)
