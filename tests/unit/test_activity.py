"""Who was active in a room: everybody once, few of many by chance, and never all of a crowd."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from actors.wallet.rain import MAX_RECEIVERS
from server.activity import MAX_LOOKS, Activity

NOW_S = 1_000.0


class Session:
    """What is known of a socket's player; counts how often it is looked at."""

    looks = 0

    def __init__(self, user_id: int, active_s: float) -> None:
        self.user_id = user_id
        self._active_s = active_s

    @property
    def active_s(self) -> float:
        Session.looks += 1
        return self._active_s


class Seat:
    """A socket."""

    def __init__(self, user_id: int, quiet_s: float = 0.0) -> None:
        self.session = Session(user_id, NOW_S - quiet_s)


class Rooms:
    """A hub with one room."""

    def __init__(self, seats: list[Seat]) -> None:
        self._seats = seats

    def sockets_of(self, _namespace: str, room: str) -> list[Seat]:
        return list(self._seats) if room == "here" else []


def activity(*seats: Seat, seed: int = 1) -> Activity:
    hub: Any = Rooms(list(seats))
    return Activity(hub, lambda: NOW_S, Random(seed))


def test_each_counts_once_by_the_socket_that_was_heard_last() -> None:
    found = activity(Seat(1), Seat(2, 500), Seat(2, 10), Seat(3, 61), Seat(3, 300))

    assert sorted(found.active("here", 60, 50, without=9)) == [1, 2]
    assert sorted(found.active("here", 60, 50, without=1)) == [2]
    assert found.active("elsewhere", 60, 50, without=9) == ()


def test_who_was_never_heard_is_not_active() -> None:
    assert activity(Seat(1, float("inf"))).active("here", 3_600, 50, without=9) == ()


def test_of_many_some_are_chosen_by_chance() -> None:
    seats = [Seat(user_id) for user_id in range(1, 11)]
    chosen: Counter[int] = Counter()
    for seed in range(1_000):
        few = activity(*seats, seed=seed).active("here", 60, 3, without=0)
        assert len(set(few)) == 3
        chosen.update(few)

    # Each is chosen 300 times of 1,000 on average, give or take 15.
    assert all(230 < count < 370 for count in chosen.values())
    assert len(chosen) == 10


def test_a_crowd_is_not_looked_through_whole() -> None:
    crowd = activity(*(Seat(user_id) for user_id in range(1, 2 * MAX_LOOKS)))
    Session.looks = 0

    assert len(crowd.active("here", 60, 50, without=0)) == 50
    assert Session.looks == MAX_LOOKS == 10 * MAX_RECEIVERS


def lowest(*nodes: Activity, most: int, draw: int) -> set[int]:
    """The users who win a draw over several nodes."""
    lots = [lot for node in nodes for lot in node.lots("here", 60, most, 0, draw)]
    best: dict[int, float] = {}
    for lot, user_id in lots:
        best[user_id] = min(lot, best.get(user_id, lot))
    return set(sorted(best, key=best.__getitem__)[:most])


def test_a_draw_over_all_nodes_is_fair_to_each_user() -> None:
    # One on all three nodes, and nodes of different sizes.
    nodes = [
        activity(Seat(1), *(Seat(user_id) for user_id in users))
        for users in ((2, 3, 4, 5, 6), (7, 8), (9, 10))
    ]
    chosen: Counter[int] = Counter()
    for draw in range(1_000):
        few = lowest(*nodes, most=3, draw=draw)
        assert len(few) == 3
        chosen.update(few)

    # Each is chosen 300 times of 1,000 on average, give or take 15.
    assert all(230 < chosen[user_id] < 370 for user_id in range(1, 11))


def test_a_crowd_that_is_looked_at_in_part_wins_as_often_as_it_is_large() -> None:
    few = activity(*(Seat(user_id) for user_id in range(1, MAX_LOOKS + 1)))
    crowd = [Seat(1_000_000 + user_id) for user_id in range(3 * MAX_LOOKS)]
    from_the_crowd = 0
    for draw in range(20):
        winners = lowest(few, activity(*crowd, seed=draw), most=50, draw=draw)
        from_the_crowd += sum(user_id >= 1_000_000 for user_id in winners)

    # Three of four are in the crowd: 750 of 1,000 on average, give or take 14.
    assert 680 < from_the_crowd < 820


@pytest.mark.parametrize("without", [1, 2])
def test_lots_are_of_those_who_were_active_lowest_first(without: int) -> None:
    found = activity(Seat(1), Seat(2), Seat(3, 61), Seat(4), Seat(4))
    lots = found.lots("here", 60, 50, without, draw=5)

    assert lots == sorted(lots)
    assert {user_id for _lot, user_id in lots} == {1, 2, 4} - {without}
    assert found.lots("here", 60, 1, without, draw=5) == lots[:1]
    assert all(0 <= lot < 1 for lot, _user_id in lots)
    assert found.lots("elsewhere", 60, 50, without, draw=5) == []
