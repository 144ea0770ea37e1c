"""How often it may rain: a bound for each player, and one for each room, whoever asks."""

from typing import Any
from uuid import uuid4

import pytest

from protocol.commands.rain import StartRain
from protocol.errors import RATE_LIMITED, Failure
from server.commands import rain
from server.commands.rain import RAINS_AT_ONCE, ROOM_RAINS_AT_ONCE, RainCommands


class House:
    """Everything around the handler: counts the looks into rooms, and keeps the refusals."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.looks = 0
        self.sent = 0
        self.refused: list[Failure] = []
        here: Any = self
        self._start = RainCommands(here, here, lambda: self.now_s).handlers(here)["rain:start"]

    def active(self, *_room: object, without: int) -> tuple[int, ...]:
        assert without
        self.looks += 1
        return ()

    def send(self, *_command: object) -> None:
        self.sent += 1

    def reject(self, failure: Failure) -> None:
        self.refused.append(failure)

    @property
    def identity(self) -> Any:
        return self

    username = "ann"
    user_id = 1

    def rain(self, user_id: int, room: str = "crash:1") -> bool:
        """Let a player ask for a rain; whether it went to the wallet."""
        self.user_id = user_id
        before: int = self.sent
        here: Any = self
        self._start(here, StartRain(room=room, currency="PLAY", amount=9, request_id=uuid4()), here)
        return self.sent > before


def test_a_player_may_ask_so_often() -> None:
    house = House()
    assert [house.rain(1) for _ in range(RAINS_AT_ONCE + 1)] == [True] * RAINS_AT_ONCE + [False]
    assert house.rain(2)
    house.now_s = 1 / rain.RAINS_PER_SECOND
    assert house.rain(1)
    assert house.looks == house.sent == RAINS_AT_ONCE + 2


def test_a_room_is_looked_through_so_often_whoever_asks() -> None:
    house = House()
    assert all(house.rain(user_id) for user_id in range(1, ROOM_RAINS_AT_ONCE + 1))
    assert not house.rain(100)
    assert house.looks == ROOM_RAINS_AT_ONCE
    assert house.refused[0].kind is RATE_LIMITED
    assert house.refused[0].details["limit_per_second"] == rain.ROOM_RAINS_PER_SECOND
    assert house.rain(101, "crash:2")
    house.now_s = 1 / rain.ROOM_RAINS_PER_SECOND
    assert house.rain(102)


def test_who_is_refused_for_the_room_has_spent_nothing() -> None:
    house = House()
    for user_id in range(1, ROOM_RAINS_AT_ONCE + 1):
        house.rain(user_id)
    for _ in range(10):
        assert not house.rain(100)
    assert [house.rain(100, "crash:2") for _ in range(RAINS_AT_ONCE + 1)] == [
        *[True] * RAINS_AT_ONCE,
        False,
    ]


@pytest.mark.parametrize("room", ["user:1", "user:7"])
def test_no_private_room_is_looked_into(room: str) -> None:
    house = House()
    assert not house.rain(1, room)
    assert house.looks == 0
