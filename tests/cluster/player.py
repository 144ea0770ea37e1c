"""Players who roll dice, tip one another and ride crash rounds, and remember what they are told."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import uuid4

import aiohttp

from tests.cluster.line import Device
from tests.support.clusters import LIMIT_S
from tests.support.promises import Fields

CURRENCY: Final = "PLAY"
# Between two commands of one player and kind, at most: a few hundred commands a second in all.
PAUSE_S: Final = 0.2
# After a bet was taken, at most, until its player cashes out: as long as a round takes.
RIDE_S: Final = 1.5
# A bet that comes after its round has started, or is over, is refused for good; so is a cash-out
# of a bet that has ended.
LATE: Final = frozenset({"round_over", "round_started", "unknown_round"})
ENDED: Final = LATE | {"not_in_round", "already_cashed_out"}


class Player:
    """A guest with play credits and three devices, one for each thing they do."""

    def __init__(self, user_id: int, username: str, token: str, devices: Sequence[Device]) -> None:
        self.user_id = user_id
        self.username = username
        self.token = token
        self.devices = devices
        self.promised: dict[str, Fields] = {}
        """What each request was answered, by its id."""
        self.cashed_out: list[Fields] = []
        self.refused: list[str] = []
        """Refusals for good that nothing explains."""
        self.late: set[str] = set()
        """Ids of bets that came too late."""
        self.acknowledged: Counter[str] = Counter()
        self._playing = True

    def finish(self) -> None:
        """Begin nothing more."""
        self._playing = False

    def activities(self, friends: Sequence["Player"]) -> list[Awaitable[None]]:
        """All that this player does until `finish`."""
        rolling, tipping, riding = self.devices
        return [self._roll(rolling), self._tip(tipping, friends), self._ride(riding)]

    async def command(self, device: Device, name: str, fields: Fields) -> Fields | None:
        """Ask for something, under a new request id, until it is answered. None if it was late."""
        request_id = str(uuid4())
        answer = await device.ask(name, {**fields, "request_id": request_id})
        if answer["success"]:
            self.promised[request_id] = answer["data"]
            self.acknowledged[name] += 1
            return dict(answer["data"])
        if name == "crash:bet" and answer["error"]["code"] in LATE:
            self.late.add(request_id)
        else:
            self.refused.append(f"{name}: {answer['error']}")
        return None

    async def _roll(self, device: Device) -> None:
        bet = {"stake": 10, "currency": CURRENCY, "target": 4_950, "direction": "under"}
        while self._playing:
            await self.command(device, "dice:roll", bet)
            await asyncio.sleep(random.uniform(0, PAUSE_S))

    async def _tip(self, device: Device, friends: Sequence["Player"]) -> None:
        others = [friend.username for friend in friends if friend is not self]
        while self._playing:
            tip = {"to": random.choice(others), "amount": random.randint(1, 9)}
            await self.command(device, "wallet:tip", {**tip, "currency": CURRENCY})
            await asyncio.sleep(random.uniform(0, PAUSE_S))

    async def _ride(self, device: Device) -> None:
        while self._playing:
            answer = await device.ask("crash:state", {"table": 1})
            state = answer["data"] if answer["success"] else {}
            if state.get("phase") == "betting" and state["own"] is None:
                await self._ride_once(device, state["round_id"])
            await asyncio.sleep(random.uniform(0, PAUSE_S))

    async def _ride_once(self, device: Device, round_id: str) -> None:
        bet = {"round_id": round_id, "stake": 10, "currency": CURRENCY}
        if await self.command(device, "crash:bet", bet) is None:
            return
        await asyncio.sleep(random.uniform(0, RIDE_S))
        # Those who are not playing any more let it ride.
        if self._playing:
            answer = await device.ask("crash:cashout", {"round_id": round_id})
            if answer["success"]:
                self.cashed_out.append(answer["data"])
            elif answer["error"]["code"] not in ENDED | {"round_not_started"}:
                self.refused.append(f"crash:cashout: {answer['error']}")


async def enrol(
    http: aiohttp.ClientSession, urls: Callable[[], Sequence[str]], count: int
) -> list[Player]:
    """Guests with 1,000.00 each, whose devices begin at different nodes."""
    return await asyncio.gather(*(_enrolled(http, urls, number) for number in range(count)))


async def _enrolled(
    http: aiohttp.ClientSession, urls: Callable[[], Sequence[str]], number: int
) -> Player:
    url = urls()[number % len(urls())]
    session = await _post(http, f"{url}/api/v1/auth/guest", {}, {})
    token, user = session["access_token"], session["user"]
    pull = {"currency": CURRENCY, "request_id": str(uuid4())}
    headers = {"Authorization": f"Bearer {token}"}
    await _post(http, f"{url}/api/v1/wallet/faucet", pull, headers)
    devices = [Device(http, urls, token, number + way) for way in range(3)]
    return Player(user["id"], user["username"], token, devices)


async def _post(
    http: aiohttp.ClientSession, url: str, body: Fields, headers: dict[str, str]
) -> Fields:
    """What a request is answered, once it is taken."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            async with http.post(url, json=body, headers=headers) as response:
                answer = await response.json()
            if answer["success"]:
                return dict(answer["data"])
            assert answer["error"]["temporary"], answer
            await asyncio.sleep(0.05)
