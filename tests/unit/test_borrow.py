"""Borrowing from a pool whose server does not answer: the bound holds for all of it."""

import asyncio
from typing import Any

import asyncpg
import pytest

from protocol.errors import STORAGE_UNAVAILABLE, Failure
from storage.borrow import BORROW_TIMEOUT_S, borrow
from tests.simulation.loop import on_virtual_time


class Hung:
    """A pool with one connection that answers nothing and, while it lasts, takes long to mend."""

    def __init__(self, acquire_s: float = 0.0) -> None:
        self.ended = asyncio.Event()
        self.acquire_s = acquire_s

    async def acquire(self) -> "Hung":
        await asyncio.sleep(self.acquire_s)
        return self

    async def release(self, _connection: Any) -> None:
        if not self.ended.is_set():
            await self._answer()

    async def execute(self) -> None:
        try:
            await self._answer()
        finally:
            if not self.ended.is_set():
                await self._answer()  # a transaction rolls back

    async def _answer(self) -> None:
        await self.ended.wait()
        raise asyncpg.ConnectionDoesNotExistError

    def terminate(self) -> None:
        self.ended.set()


@pytest.mark.parametrize("acquire_s", [0.0, 1.0, 60.0])
@pytest.mark.parametrize("asks", [True, False])
def test_a_connection_that_hangs_is_given_up_at_the_bound(acquire_s: float, asks: bool) -> None:
    @on_virtual_time
    async def scene() -> None:
        pool: Any = Hung(acquire_s)
        with pytest.raises(Failure) as caught:
            await ask(pool, asks)
        assert caught.value.kind is STORAGE_UNAVAILABLE
        assert asyncio.get_running_loop().time() == BORROW_TIMEOUT_S

    scene()


async def ask(pool: Any, asks: bool) -> None:
    async with borrow(pool) as connection:
        if asks:
            await connection.execute()
