"""The players of a run: guests with play credits."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import aiohttp

CURRENCY: Final = "PLAY"
# Sign-ups at a time: each is a transaction of its own.
_AT_A_TIME: Final = 16


class EnlistError(Exception):
    """The server did not take a player."""


@dataclass(frozen=True, slots=True)
class Player:
    """An account, and the token that speaks for it."""

    user_id: int
    token: str


async def enlist(url: str, count: int, *, funded: bool = True) -> list[Player]:
    """Make `count` new guests and give each one pull of the faucet, if they are to be funded.

    Raises:
        EnlistError: The server refused; the message has its answer.
    """
    gate = asyncio.Semaphore(_AT_A_TIME)
    async with aiohttp.ClientSession(f"{url}/api/v1/") as http:

        async def one() -> Player:
            async with gate:
                player = await _guest(http)
                if funded:
                    await _fund(http, player)
                return player

        return await asyncio.gather(*(one() for _ in range(count)))


async def _guest(http: aiohttp.ClientSession) -> Player:
    session = await _post(http, "auth/guest", {}, {})
    return Player(session["user"]["id"], session["access_token"])


async def _fund(http: aiohttp.ClientSession, player: Player) -> None:
    pull = {"currency": CURRENCY, "request_id": str(uuid4())}
    await _post(http, "wallet/faucet", pull, {"Authorization": f"Bearer {player.token}"})


async def _post(
    http: aiohttp.ClientSession, path: str, body: dict[str, Any], headers: dict[str, str]
) -> Any:
    async with http.post(path, json=body, headers=headers) as response:
        if response.status != 200:
            raise EnlistError(f"{path} was answered {response.status}: {await response.text()}")
        return (await response.json())["data"]
