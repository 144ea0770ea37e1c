"""A large room's law: whoever is inside hears everything once, in order, whatever goes on.

Members come, go, catch up and hand over while passes are under way, events are plain, gathered and
urgent, and slices are short. Everything a run says is a number, greater than the one before.
"""

import asyncio
from random import Random
from typing import Any, cast

import pytest

from server.hub import Hub
from server.rooms import passes, room
from server.rooms.room import Items
from server.sockets.socket import Socket
from tests.unit.fake_sockets import WRITE_S, FakeSocket
from tests.unit.virtual_loop import run

SEEDS = range(300)
STEPS = 120
CROWD = 40
ROOM = "crash:1"


class Member:
    """A socket, what has been heard on it, and from when on it has to hear all."""

    def __init__(self, since: int, before: tuple[int, ...] = ()) -> None:
        self.socket: Any = FakeSocket(write_s=WRITE_S)
        self.before = before
        self.since = since

    def heard(self) -> list[int]:
        """All numbers, those in lists too."""
        heard = list(self.before)
        for data in self.socket.heard():
            heard.extend(data.items if isinstance(data, Items) else [data])
        return heard


class World:
    """One room, its members, and those who have left."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.hub = Hub()
        self.said = 0
        self.inside: list[Member] = []
        self.gone: list[Member] = []
        for _ in range(CROWD):
            self.join()

    async def step(self) -> None:
        """Something happens, and perhaps some slices run."""
        options = {
            self.emit: 4,
            self.emit_urgent: 3,
            self.gather: 3,
            self.join: 2,
            self.leave: 2,
            self.hand_over: 2,
        }
        (act,) = self.random.choices(list(options), list(options.values()))
        act()
        for _ in range(self.random.choice((0, 0, 1, 2, 5))):
            await asyncio.sleep(0)
        if self.random.random() < 0.05:
            await asyncio.sleep(self.random.random() / 100)

    def emit(self) -> None:
        self.hub.emit("/", ROOM, "said", self._number())

    def emit_urgent(self) -> None:
        self.hub.emit("/", ROOM, "said", self._number(), urgent=True)

    def gather(self) -> None:
        self.hub.gather("/", ROOM, "listed", self._number())

    def _number(self) -> int:
        self.said += 1
        return self.said

    def join(self) -> None:
        member = Member(self.said + 1)
        self.hub.join(cast(Socket, member.socket), ROOM)
        self.inside.append(member)

    def leave(self) -> None:
        if len(self.inside) > 1:
            member = self._one()
            self.hub.leave(member.socket, ROOM)
            # It may leave before the end of a pass: what it has heard has no gap.
            self.gone.append(member)

    def hand_over(self) -> None:
        former = self._one()
        self.hub.catch_up(former.socket)
        heir = Member(former.since, tuple(former.heard()))
        self.hub.hand_over(former.socket, heir.socket)
        self.inside.append(heir)

    def _one(self) -> Member:
        return self.inside.pop(self.random.randrange(len(self.inside)))

    def check(self) -> None:
        for member in self.inside:
            heard = member.heard()
            assert heard == list(range(heard[0], self.said + 1)), heard
            assert heard[0] <= member.since
        for member in self.gone:
            heard = member.heard()
            assert not heard or heard == list(range(heard[0], heard[-1] + 1)), heard
            assert not heard or heard[0] <= member.since


@pytest.mark.parametrize("block", range(0, len(SEEDS), 50))
def test_whoever_is_inside_hears_everything_once_and_in_order(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_SMALL_ROOM", 10)
    monkeypatch.setattr(passes, "_STRIDE", 2)
    monkeypatch.setattr(passes, "SLICE_S", 5 * WRITE_S)
    monkeypatch.setattr(passes, "FULL_PASS_INTERVAL_S", 0.5)

    async def scenario(seed: int) -> None:
        world = World(seed)
        for _ in range(STEPS):
            await world.step()
        world.emit()
        await asyncio.sleep(10)
        world.check()

    for seed in SEEDS[block : block + 50]:
        run(scenario(seed))
