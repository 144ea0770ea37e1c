"""What operators' commands work with: the accounts and the committed rows, without a server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import NamedTuple
from uuid import UUID

import asyncpg
import click

from protocol.commands.auth import User
from server.auth.passwords import Passwords
from server.auth.service import Accounts
from server.auth.tokens import Tokens
from server.clock import now_ms
from server.database import database
from server.settings import Settings
from storage.pool import open_pool


class Office(NamedTuple):
    """The database, and the accounts in it."""

    pool: asyncpg.Pool
    accounts: Accounts
    tokens: Tokens

    async def user(self, login: str) -> User:
        """The account with this username or e-mail address; there being none ends the command."""
        user = await self.accounts.user_of(login)
        if user is None:
            raise click.ClickException(f"There is no user {login}.")
        return user


@asynccontextmanager
async def existing_database(settings: Settings) -> AsyncIterator[str]:
    """The DSN of the database that was set or made before; none being there ends the command.

    A running server's embedded PostgreSQL is shared with it.
    """
    if settings.database_url is None and not (settings.data_dir / "postgres").exists():
        raise click.ClickException(
            f"There is no database in {settings.data_dir} yet: start `pitboss serve` or run"
            " `pitboss migrate` first, or set DATABASE_URL."
        )
    async with database(settings) as postgres:
        yield postgres.dsn


@asynccontextmanager
async def office(settings: Settings) -> AsyncIterator[Office]:
    """Open the office for one command."""
    async with existing_database(settings) as dsn:
        pool = await open_pool(dsn)
        try:
            with closing(Passwords()) as passwords:
                tokens = Tokens([settings.jwt_secret_value()], now_ms=now_ms)
                accounts = Accounts(
                    pool, passwords, tokens, now_ms=now_ms, guests=False, on_revoked=_no_sockets
                )
                yield Office(pool, accounts, tokens)
        finally:
            pool.terminate()


def _no_sockets(_session_id: UUID) -> None:
    """No socket is open here; a server's end with their tokens."""
