"""Who was active in a room: everybody once, few of many by chance, and never all of a crowd."""

from collections import Counter
from random import Random
from typing import Any

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
