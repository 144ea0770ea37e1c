"""The players of a run, guests with play credits, and what they bet."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import uuid4

import aiohttp
import msgspec

from benchmarks.plan import Plan

CURRENCY: Final = "PLAY"
# What the faucet gives covers ten thousand bets even if all are lost.
BET: Final = {"stake": 10, "currency": CURRENCY, "target": 5_000, "direction": "over"}
# Before the window of steady bets, so that it has whole ones only of whatever goes on besides.
MARGIN_S: Final = 1.0
# Sign-ups at a time: each is a transaction of its own.
_AT_A_TIME: Final = 16
# A busy server answers within a second or two; one that takes longer than this is none, or stuck.
_ANSWER_LIMIT_S: Final = 10.0
# What is shown of an answer that is not understood.
_MOST_SHOWN: Final = 300
# Bytes that are no JSON, or not the JSON that was expected.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class EnlistError(Exception):
    """The server did not take a player. `code` is the error that it answered with, if it is one."""

    def __init__(self, path: str, problem: str, code: str = "") -> None:
        super().__init__(f"{path} {problem}")
        self.path = path
        self.code = code


class _Reason(msgspec.Struct):
    code: str


class _Refusal(msgspec.Struct):
    error: _Reason


class _User(msgspec.Struct):
    id: int


class _Session(msgspec.Struct):
    user: _User
    access_token: str
    refresh_token: str


class _Begun(msgspec.Struct):
    """The answer to who signs in."""

    data: _Session


class _Done(msgspec.Struct):
    """An answer of which nothing is used."""

    data: dict[str, Any]


_Answer = TypeVar("_Answer", bound=msgspec.Struct)


def _refused(path: str, status: int, answer: bytes) -> EnlistError:
    """The error for an answer that is none of those that are hoped for."""
    try:
        code = msgspec.json.decode(answer, type=_Refusal).error.code
    except _UNREADABLE:
        code = ""
    shown = " ".join(answer[:_MOST_SHOWN].decode(errors="replace").split())
    return EnlistError(path, f"was answered {status}: {shown}", code)


@dataclass(frozen=True, slots=True)
class Player:
    """An account, and the token that speaks for it.

    `refresh_token` is traded for the next token, once. `since_s`, of `time.perf_counter`, is from
    when on the token holds.
    """

    user_id: int
    token: str
    refresh_token: str = ""
    since_s: float = 0.0


async def enlist(url: str, count: int, *, funded: bool = True) -> list[Player]:
    """Make `count` new guests and give each one pull of the faucet, if they are to be funded.

    Raises:
        EnlistError: The server refused, did not answer or is none of Pitboss.
    """
    gate = asyncio.Semaphore(_AT_A_TIME)
    async with aiohttp.ClientSession(f"{url}/api/v1/") as http:

        async def one() -> Player:
            async with gate:
                player = await _session(http, "auth/guest", {})
                if funded:
                    await _fund(http, player)
                return player

        return await asyncio.gather(*(one() for _ in range(count)))


async def renewed(url: str, players: Sequence[Player], older_than_s: float) -> list[Player]:
    """The players, in their order, with new tokens in place of those older than some seconds.

    Raises:
        EnlistError: The server refused, did not answer or is none of Pitboss.
    """
    gate = asyncio.Semaphore(_AT_A_TIME)
    async with aiohttp.ClientSession(f"{url}/api/v1/") as http:

        async def one(player: Player) -> Player:
            if time.perf_counter() - player.since_s <= older_than_s:
                return player
            async with gate:
                return await _session(http, "auth/refresh", {"refresh_token": player.refresh_token})

        return await asyncio.gather(*map(one, players))


def steady(url: str, players: Sequence[Player], per_second: float, window_s: float) -> Plan:
    """Single bets that arrive at a steady rate, to be placed while something else goes on."""
    return Plan(
        url=url,
        tokens=[player.token for player in players],
        bet=BET,
        bets_per_message=1,
        depth=1,
        messages_per_second=per_second,
        warm_up_s=MARGIN_S,
        window_s=window_s,
        seed=1,
    )


async def _session(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> Player:
    since_s = time.perf_counter()
    session = (await _post(http, path, body, {}, _Begun)).data
    return Player(session.user.id, session.access_token, session.refresh_token, since_s)


async def _fund(http: aiohttp.ClientSession, player: Player) -> None:
    pull = {"currency": CURRENCY, "request_id": str(uuid4())}
    await _post(http, "wallet/faucet", pull, {"Authorization": f"Bearer {player.token}"}, _Done)


async def _post(
    http: aiohttp.ClientSession,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    kind: type[_Answer],
) -> _Answer:
    limit = aiohttp.ClientTimeout(total=_ANSWER_LIMIT_S)
    try:
        async with http.post(path, json=body, headers=headers, timeout=limit) as response:
            status, answer = response.status, await response.read()
    except TimeoutError as error:
        raise EnlistError(path, f"was not answered within {_ANSWER_LIMIT_S:g} s") from error
    if status != 200:
        raise _refused(path, status, answer)
    try:
        return msgspec.json.decode(answer, type=kind)
    except _UNREADABLE as error:
        raise _refused(path, status, answer) from error
