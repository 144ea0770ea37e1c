"""A node and the people on it, as tests meet them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import socketio

from protocol.commands.auth import Role
from server.app import Pitboss
from server.settings import Settings
from storage.pool import open_pools

Fields = dict[str, Any]

# Far more than anything takes; only a hang reaches it.
LIMIT_S = 30


def request_id() -> str:
    """A new request id."""
    return str(uuid4())


def bet(**changes: Any) -> Fields:
    """A small dice bet."""
    fields: Fields = {
        "game": "dice",
        "stake": 100,
        "currency": "PLAY",
        "target": 5050,
        "direction": "over",
        "request_id": request_id(),
    }
    return {**fields, **changes}


class Person:
    """An account with a token, over HTTP and on any number of sockets."""

    def __init__(self, house: "House", user_id: int, username: str, token: str) -> None:
        self.house = house
        self.user_id = user_id
        self.username = username
        self.token = token
        self.refresh_token = ""

    async def connect(self, **options: Any) -> "Seat":
        """Open a socket."""
        seat = Seat()
        self.house.seats.append(seat)
        options.setdefault("transports", ["websocket"])
        await seat.client.connect(self.house.url, auth={"token": self.token}, **options)
        return seat

    async def http(self, method: str, path: str, body: Any = None) -> tuple[int, Fields]:
        """Call the HTTP door."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.house.http(method, path, body, headers)

    async def pull(self, currency: str = "PLAY") -> Fields:
        """Take money from the faucet."""
        body = {"currency": currency, "request_id": request_id()}
        status, answer = await self.http("POST", "/wallet/faucet", body)
        assert status == 200, answer
        return answer


class Seat:
    """One socket and what it was told."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.told: list[tuple[str, Any]] = []
        self.client.on("*", self._hear)
        self.client.on("disconnect", self._gone)
        self.gone = asyncio.Event()
        self._news = asyncio.Event()

    def _hear(self, event: str, data: Any) -> None:
        self.told.append((event, data))
        self._news.set()

    def _gone(self, _reason: Any = None) -> None:
        self.gone.set()

    async def call(self, name: str, body: Any = None) -> Fields:
        """Send a command and return its answer."""
        answer: Fields = await self.client.call(name, body, timeout=LIMIT_S)
        return answer

    async def ok(self, name: str, body: Any = None) -> Fields:
        """Send a command that must succeed and return its data."""
        answer = await self.call(name, body)
        assert answer["success"], answer
        data: Fields = answer["data"]
        return data

    async def refused(self, name: str, body: Any = None) -> str:
        """Send a command that must be refused and return the error's code."""
        answer = await self.call(name, body)
        assert not answer["success"], answer
        code: str = answer["error"]["code"]
        return code

    async def hear(self, event: str, **fields: Any) -> Any:
        """Wait until told `event` with these fields."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for name, data in self.told:
                    if name == event and fields.items() <= data.items():
                        return data
                self._news.clear()
                await self._news.wait()


class House:
    """A running node."""

    def __init__(self, pitboss: Pitboss, pool: asyncpg.Pool, url: str) -> None:
        self.pitboss = pitboss
        self.pool = pool
        self.url = url
        self.seats: list[Seat] = []
        self._session = aiohttp.ClientSession()

    async def http(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Fields]:
        """Call the HTTP door."""
        url = f"{self.url}/api/v1{path}"
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def guest(self) -> Person:
        """A new player without an account."""
        status, answer = await self.http("POST", "/auth/guest")
        assert status == 200, answer
        return self._person(answer["data"])

    async def register(self, username: str) -> Person:
        """A new player with an account."""
        body = {
            "email": f"{username}@example.com",
            "username": username,
            "password": "correct horse",
        }
        status, answer = await self.http("POST", "/auth/register", body)
        assert status == 200, answer
        return self._person(answer["data"])

    def _person(self, session: Fields) -> Person:
        user = session["user"]
        person = Person(self, user["id"], user["username"], session["access_token"])
        person.refresh_token = session["refresh_token"]
        return person

    async def operator(self) -> Person:
        """Somebody who may adjust wallets."""
        accounts = self.pitboss.accounts
        user = await accounts.create_user(None, "teller", None, Role.OPERATOR)
        return Person(self, user.id, user.username, await accounts.issue_token(user))

    async def close(self) -> None:
        """Everybody leaves."""
        for seat in self.seats:
            await seat.client.disconnect()
        await self._session.close()


@asynccontextmanager
async def running(database_url: str, settings: Settings) -> AsyncIterator[House]:
    """A node, and people on it."""
    pools = await open_pools(database_url)
    try:
        pitboss = Pitboss(settings, database_url, pools)
        port = await pitboss.start()
        house = House(pitboss, pools.people, f"http://127.0.0.1:{port}")
        try:
            yield house
        finally:
            await house.close()
            await pitboss.stop()
    finally:
        pools.terminate()
