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
    """An account with funds, and the token that speaks for it."""

    user_id: int
    token: str


async def enlist(url: str, count: int) -> list[Player]:
    """Make `count` new guests and give each one pull of the faucet.

    Raises:
        EnlistError: The server refused; the message has its answer.
    """
    gate = asyncio.Semaphore(_AT_A_TIME)
    async with aiohttp.ClientSession(f"{url}/api/v1/") as http:

        async def one() -> Player:
            async with gate:
                return await _player(http)

        return await asyncio.gather(*(one() for _ in range(count)))


async def _player(http: aiohttp.ClientSession) -> Player:
    session = await _post(http, "auth/guest", {}, {})
    token = session["access_token"]
    pull = {"currency": CURRENCY, "request_id": str(uuid4())}
    await _post(http, "wallet/faucet", pull, {"Authorization": f"Bearer {token}"})
    return Player(session["user"]["id"], token)


async def _post(
    http: aiohttp.ClientSession, path: str, body: dict[str, Any], headers: dict[str, str]
) -> Any:
    async with http.post(path, json=body, headers=headers) as response:
        if response.status != 200:
            raise EnlistError(f"{path} was answered {response.status}: {await response.text()}")
        return (await response.json())["data"]
