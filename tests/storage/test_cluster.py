"""What all nodes agree on, the number of shards and a name, is fixed by whoever starts first."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from server.cli_run import run
from storage.cluster import WrongClusterError, WrongShardsError, check_placement
from storage.pool import open_pool
from storage.registry import WrongSecretError


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a migrated database of the test's own."""
    opened = await open_pool(database_url)
    yield opened
    await opened.close()


async def test_whoever_starts_first_fixes_the_number_of_shards(pool: asyncpg.Pool) -> None:
    await check_placement(pool, 64, None)
    await check_placement(pool, 64, None)
    for other in (63, 128):
        with pytest.raises(WrongShardsError, match=rf"set PITBOSS_SHARDS to 64 instead of {other}"):
            await check_placement(pool, other, None)
    await check_placement(pool, 64, None)


async def test_nodes_that_start_together_agree(pool: asyncpg.Pool) -> None:
    numbers = (16, 32, 16, 32, 16, 32)
    outcomes = await asyncio.gather(
        *(check_placement(pool, number, None) for number in numbers), return_exceptions=True
    )
    fixed = await pool.fetchval("select shards from placement")
    refused = [isinstance(outcome, WrongShardsError) for outcome in outcomes]
    assert refused == [number != fixed for number in numbers]


async def test_the_first_cluster_fixes_its_name(pool: asyncpg.Pool) -> None:
    await check_placement(pool, 64, None)
    for _ in range(2):
        await check_placement(pool, 64, "floor")
    with pytest.raises(WrongClusterError, match="CLUSTER_NAME to floor instead of bar"):
        await check_placement(pool, 64, "bar")
    await check_placement(pool, 64, "floor")


async def test_whoever_is_alone_may_come_after_a_cluster_and_leaves_its_name(
    pool: asyncpg.Pool,
) -> None:
    await check_placement(pool, 64, "floor")
    await check_placement(pool, 64, None)
    with pytest.raises(WrongClusterError):
        await check_placement(pool, 64, "bar")
    await check_placement(pool, 64, "floor")


async def test_whoever_is_refused_fixes_nothing(pool: asyncpg.Pool) -> None:
    await check_placement(pool, 64, None)
    with pytest.raises(WrongShardsError):
        await check_placement(pool, 32, "bar")
    await check_placement(pool, 64, "floor")


async def test_clusters_that_start_together_agree_on_one(pool: asyncpg.Pool) -> None:
    names = ("floor", "bar") * 3
    outcomes = await asyncio.gather(
        *(check_placement(pool, 64, name) for name in names), return_exceptions=True
    )
    fixed = await pool.fetchval("select cluster from placement")
    refused = [isinstance(outcome, WrongClusterError) for outcome in outcomes]
    assert refused == [name != fixed for name in names]


async def test_there_is_one_number(pool: asyncpg.Pool) -> None:
    await check_placement(pool, 64, None)
    for insert in (
        "insert into placement (shards) values (8)",
        "insert into placement values (false, 8)",
        "update placement set shards = 0",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await pool.execute(insert)


@pytest.mark.parametrize("refusal", [WrongShardsError, WrongClusterError, WrongSecretError])
def test_a_refusal_is_one_sentence_on_the_command_line(refusal: type[Exception]) -> None:
    async def start() -> None:
        raise refusal("as it is")

    with pytest.raises(Exception, match="as it is") as ended:
        run(start())
    assert type(ended.value).__name__ == "ClickException"
