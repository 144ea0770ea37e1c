"""Accounts while PostgreSQL is away, slow, or loses a connection: one temporary error, no more."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from protocol.commands.auth import Guest, Refresh, Session
from protocol.errors import STORAGE_UNAVAILABLE, Failure
from server.auth.passwords import Passwords
from storage import borrow
from tests.accounts.conftest import Clock, Desk

_LOCK_TOKENS = "select token_hash from refresh_tokens for update"
_WAITING = """
    select pid from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""


async def is_unavailable(attempt: Awaitable[Any]) -> bool:
    with pytest.raises(Failure) as caught:
        await attempt
    return caught.value.kind is STORAGE_UNAVAILABLE


async def renew(desk: Desk, session: Session) -> Session:
    return await desk.accounts.renew(Refresh(refresh_token=session.refresh_token))


async def waiting_backend(connection: asyncpg.Connection) -> int:
    async with asyncio.timeout(30):
        pid = None
        while pid is None:
            pid = await connection.fetchval(_WAITING)
    return int(pid)


async def test_without_a_database_everything_is_temporary(
    tmp_path: Path, passwords: Passwords
) -> None:
    pool = asyncpg.create_pool(f"postgresql://nobody@/nothing?host={tmp_path}", min_size=0)
    async with pool:
        desk = Desk(pool, passwords, Clock())

        assert await is_unavailable(desk.register())
        assert await is_unavailable(desk.login())
        assert await is_unavailable(desk.accounts.guest(Guest()))
        assert await is_unavailable(desk.accounts.renew(Refresh(refresh_token="unknown")))
        assert await is_unavailable(desk.accounts.find_user("Alice"))
        assert await is_unavailable(desk.accounts.sweep())


@pytest.mark.parametrize("accident", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_an_accident_in_the_middle_is_temporary(
    desk: Desk, database_url: str, accident: str
) -> None:
    session = await desk.register()
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.fetch(_LOCK_TOKENS)
        attempt = asyncio.create_task(renew(desk, session))
        await other.execute(f"select {accident}($1)", await waiting_backend(other))
        assert await is_unavailable(attempt)
    await other.close()

    assert (await renew(desk, session)).user == session.user
    assert desk.ended == []


async def test_a_lock_that_is_not_given_up_is_not_waited_for_long(
    desk: Desk, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await desk.register()
    monkeypatch.setattr(borrow, "BORROW_TIMEOUT_S", 0.1)
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.fetch(_LOCK_TOKENS)
        async with asyncio.timeout(20):
            assert await is_unavailable(renew(desk, session))
    await other.close()
    monkeypatch.undo()

    assert (await renew(desk, session)).user == session.user


async def test_a_pool_without_a_free_connection_is_not_waited_for_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await desk.register()
    borrowed = [await desk.pool.acquire() for _ in range(desk.pool.get_max_size())]
    monkeypatch.setattr(borrow, "BORROW_TIMEOUT_S", 0.05)

    assert await is_unavailable(desk.accounts.authenticate(session.access_token))

    for connection in borrowed:
        await desk.pool.release(connection)
    monkeypatch.undo()
    assert (await desk.accounts.authenticate(session.access_token)).username == "Alice"
