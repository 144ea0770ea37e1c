"""What all nodes agree on: the number of shards is fixed by whoever starts first."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from server.cli_run import run
from storage.cluster import WrongShardsError, check_shards
from storage.pool import open_pool


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a migrated database of the test's own."""
    opened = await open_pool(database_url)
    yield opened
    await opened.close()


async def test_whoever_starts_first_fixes_the_number_of_shards(pool: asyncpg.Pool) -> None:
    await check_shards(pool, 64)
    await check_shards(pool, 64)
    for other in (63, 128):
        with pytest.raises(WrongShardsError, match=rf"set PITBOSS_SHARDS to 64 instead of {other}"):
            await check_shards(pool, other)
    await check_shards(pool, 64)


async def test_nodes_that_start_together_agree(pool: asyncpg.Pool) -> None:
    numbers = (16, 32, 16, 32, 16, 32)
    outcomes = await asyncio.gather(
        *(check_shards(pool, number) for number in numbers), return_exceptions=True
    )
    fixed = await pool.fetchval("select shards from placement")
    refused = [isinstance(outcome, WrongShardsError) for outcome in outcomes]
    assert refused == [number != fixed for number in numbers]


async def test_there_is_one_number(pool: asyncpg.Pool) -> None:
    await check_shards(pool, 64)
    for insert in (
        "insert into placement (shards) values (8)",
        "insert into placement values (false, 8)",
        "update placement set shards = 0",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await pool.execute(insert)


def test_another_number_is_one_sentence_on_the_command_line() -> None:
    async def start() -> None:
        raise WrongShardsError("as it is")

    with pytest.raises(Exception, match="as it is") as ended:
        run(start())
    assert type(ended.value).__name__ == "ClickException"
