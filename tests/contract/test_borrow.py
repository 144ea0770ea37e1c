"""A connection that hangs: who borrowed it is told, and does not wait for it to come back."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager

import asyncpg
import pytest

from protocol.errors import STORAGE_UNAVAILABLE, Failure
from storage import borrow

# Far more than anything takes; only a hang reaches it.
LIMIT_S = 30


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A backend that does not answer, and does not end either."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def hang(
    pool: asyncpg.Pool,
    enter: Callable[[AbstractContextManager[None]], None],
    pid: int,
    in_transaction: bool,
) -> None:
    """Ask a backend that has frozen since the connection was borrowed."""
    async with borrow.borrow(pool) as connection, AsyncExitStack() as stack:
        if in_transaction:
            await stack.enter_async_context(connection.transaction())
        enter(frozen(pid))
        await connection.execute("select 1")


@pytest.mark.parametrize("in_transaction", [True, False])
async def test_a_frozen_backend_is_left_behind(
    database_url: str, monkeypatch: pytest.MonkeyPatch, in_transaction: bool
) -> None:
    monkeypatch.setattr(borrow, "BORROW_TIMEOUT_S", 0.5)
    # Nothing else bounds what is asked.
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1, command_timeout=None)

    try:
        pid = await pool.fetchval("select pg_backend_pid()")
        async with asyncio.timeout(LIMIT_S), AsyncExitStack() as thaw:
            with pytest.raises(Failure) as caught:
                await hang(pool, thaw.enter_context, pid, in_transaction)
            assert caught.value.kind is STORAGE_UNAVAILABLE
            async with borrow.borrow(pool) as connection:
                assert await connection.fetchval("select pg_backend_pid()") != pid
    finally:
        pool.terminate()


async def test_a_pool_that_is_taken_is_temporary(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrow, "BORROW_TIMEOUT_S", 0.05)
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    try:
        async with pool.acquire():
            with pytest.raises(Failure) as caught:
                async with borrow.borrow(pool):
                    raise AssertionError("there was none to lend")
        assert caught.value.kind is STORAGE_UNAVAILABLE
    finally:
        pool.terminate()
