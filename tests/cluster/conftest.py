"""A cluster for the tests of a file, on a database of its own, and players on it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster import witness
from tests.cluster.floor import Floor, opened
from tests.support.clusters import Cluster, cluster
from tests.support.databases import fresh_database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(
    migrated_postgres_url: str, redis_command: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    """Three nodes, whose every row is witnessed.

    Their start takes more than most tests do: a file's tests share them, and leave them whole.
    """
    async with fresh_database(migrated_postgres_url) as dsn:
        await witness.install(dsn)
        async with cluster(dsn, redis_command, tmp_path_factory.mktemp("nodes")) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def floor(nodes: Cluster) -> AsyncIterator[Floor]:
    """The same, with players of this test's own who do not stop."""
    # What the test before has broken is its fault, and says so here.
    await nodes.whole()
    async with opened(nodes) as playing:
        yield playing
