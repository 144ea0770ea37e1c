"""What an operator is told of a cluster: what members say, against the locks there are."""

from typing import Any

import pytest

from actors.runtime.membership import Member, bits_of, winner
from actors.runtime.ports import Holder
from server.cluster.survey import Survey, ranges, survey

SHARDS = 8
NOW_MS = 1_000_000


def member(id_: str, owned: set[int], **changes: Any) -> Member:
    fields = {
        "id": id_,
        "name": f"host-{id_}",
        "started_at_ms": NOW_MS - 90_000,
        "able": True,
        "shards": bits_of(owned),
        **changes,
    }
    return Member(**fields)


def placed(*ids: str) -> dict[str, set[int]]:
    """What each should own."""
    return {one: {shard for shard in range(SHARDS) if winner(shard, ids) == one} for one in ids}


def locked(owned: dict[str, set[int]]) -> dict[int, Holder]:
    """The locks, if everybody holds what is theirs."""
    return {shard: Holder(one, 1, None) for one, shards in owned.items() for shard in shards}


def seen(members: list[Member] | None, holders: dict[int, Holder] | None) -> Survey:
    return survey(members, holders, SHARDS, NOW_MS)


def test_a_cluster_in_which_everybody_has_what_is_theirs_is_healthy() -> None:
    owned = placed("a", "b")
    found = seen(
        [member("b", owned["b"]), member("a", owned["a"], actors=7, bets=1.5)], locked(owned)
    )
    assert found.healthy
    assert found.problems == []
    assert (found.redis, found.postgres, found.without_owner) == (True, True, [])
    first, second = found.nodes
    assert (first.name, second.name) == ("host-a", "host-b")
    assert (first.owned, first.wanted) == (len(owned["a"]), len(owned["a"]))
    assert (first.age_s, first.actors, first.bets_per_second) == (90, 7, 1.5)
    assert first.owned + second.owned == SHARDS


def test_one_that_drains_should_own_nothing_and_is_no_problem() -> None:
    owned = placed("a")
    found = seen([member("a", owned["a"]), member("b", set(), draining=True)], locked(owned))
    assert found.healthy
    assert [(node.state, node.wanted) for node in found.nodes] == [
        ("serving", SHARDS),
        ("draining", 0),
    ]


@pytest.mark.parametrize(
    ("members", "holders", "problem"),
    [
        (None, locked(placed("a")), "Redis does not answer."),
        ([member("a", set(range(SHARDS)))], None, "PostgreSQL does not answer."),
        ([], {}, "No member is seen."),
        (
            [member("a", set(range(SHARDS)), able=False)],
            locked(placed("a")),
            "host-a has no connection to PostgreSQL.",
        ),
        (
            [member("a", set(range(SHARDS)), settings="x"), member("b", set(), settings="y")],
            locked(placed("a")),
            "Members have different tables or limits: their settings differ.",
        ),
        (
            [member("a", {0, 1, 2, 4, 6, 7})],
            locked({"a": {0, 1, 2, 4, 6, 7}}),
            "Nobody owns shards 3, 5.",
        ),
        (
            [member("a", {1})],
            locked({"a": {1}, "c": set(range(SHARDS)) - {1}}),
            "Shards 0, 2-7: the lock is held by member c, who is not seen.",
        ),
        (
            [member("a", {1})],
            locked({"a": {1}, "": set(range(SHARDS)) - {1}}),
            "Shards 0, 2-7: the lock is held by a server without REDIS_URL.",
        ),
        (
            [member("a", set(range(1, SHARDS)))],
            locked(placed("a")),
            "Shard 0: host-a holds the lock and does not say so.",
        ),
        (
            [member("a", set(range(SHARDS))), member("b", {2, 3})],
            locked(placed("a")),
            "Shards 2-3: host-b claims what another holds the lock of.",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(
    members: list[Member] | None, holders: dict[int, Holder] | None, problem: str
) -> None:
    found = seen(members, holders)
    assert not found.healthy
    assert problem in found.problems


def test_shards_without_an_owner_are_listed() -> None:
    assert seen([member("a", {0})], locked({"a": {0}})).without_owner == list(range(1, SHARDS))


def test_what_could_not_be_asked_is_not_held_against_anybody() -> None:
    assert seen(None, None).problems == ["Redis does not answer.", "PostgreSQL does not answer."]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([4, 5, 3], "3-5"), ([0, 2, 3, 9], "0, 2-3, 9")],
)
def test_numbers_that_follow_each_other_are_one_range(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text
