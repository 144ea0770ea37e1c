"""Every test of a suite runs on both storages."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from storage.pool import open_pool
from tests.contract import meeting_places
from tests.contract.meeting_places import InRedis, MeetingPlace
from tests.contract.storages import InMemory, InPostgres, Storage


@pytest_asyncio.fixture
async def postgres(database_url: str) -> AsyncIterator[InPostgres]:
    """A migrated PostgreSQL database of the test's own."""
    pool = await open_pool(database_url)
    try:
        yield InPostgres(database_url, pool)
    finally:
        await pool.close()


@pytest.fixture(params=["memory", "postgres"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """One storage, then the other."""
    if request.param == "memory":
        return InMemory()
    real: Storage = request.getfixturevalue("postgres")
    return real


@pytest_asyncio.fixture(params=["memory", "redis"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[MeetingPlace]:
    """One place to meet, then the other."""
    made: MeetingPlace
    if request.param == "memory":
        made = meeting_places.InMemory()
    else:
        made = InRedis(request.getfixturevalue("private_redis"))
    yield made
    await made.close()
