"""An account service on a database of its own, with a clock that the test turns."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from argon2 import PasswordHasher

from protocol.commands.auth import Login, Register, Session
from server.auth.passwords import Passwords
from server.auth.service import Accounts
from server.auth.tokens import Tokens

PASSWORD = "correct horse"


@dataclass
class Clock:
    """Milliseconds since 1970, as the test says."""

    now_ms: int = 1_800_000_000_000

    def pass_s(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


@dataclass
class Desk:
    """A node's account service, and what it said about sessions that ended."""

    pool: asyncpg.Pool
    passwords: Passwords
    clock: Clock
    guests: bool = True
    ended: list[UUID] = field(default_factory=list)
    accounts: Accounts = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Tokens(["a secret of the tests, 32 bytes and more"], now_ms=self.time)
        self.accounts = Accounts(
            self.pool,
            self.passwords,
            self.tokens,
            now_ms=self.time,
            guests=self.guests,
            on_revoked=self.ended.append,
        )

    def time(self) -> int:
        return self.clock.now_ms

    def session_id(self, session: Session) -> UUID:
        return self.tokens.verify(session.access_token).session_id

    async def register(self, username: str = "Alice", email: str | None = None) -> Session:
        email = email or f"{username}@example.com"
        return await self.accounts.register(
            Register(email=email, username=username, password=PASSWORD)
        )

    async def login(self, login: str = "Alice", password: str = PASSWORD) -> Session:
        return await self.accounts.login(Login(login=login, password=password))

    async def value(self, query: str, *arguments: Any) -> Any:
        return await self.pool.fetchval(query, *arguments)


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(
        database_url, min_size=1, max_size=10, command_timeout=60
    ) as pool:
        yield pool


@pytest.fixture(scope="session")
def passwords() -> Iterator[Passwords]:
    it = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield it
    it.close()


@pytest.fixture
def desk(pool: asyncpg.Pool, passwords: Passwords) -> Desk:
    return Desk(pool, passwords, Clock())
