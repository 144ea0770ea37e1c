"""A node of each test's own, and people on it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from server import metrics
from server.settings import Settings
from tests.floor.house import House, running


@pytest.fixture(autouse=True)
def hashing(cheap_passwords: None) -> None:
    """The passwords of all nodes here are cheap."""


@pytest.fixture
def options() -> dict[str, Any]:
    """Settings that a test changes by overriding this fixture."""
    return {}


@pytest_asyncio.fixture
async def house(
    database_url: str, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """An open house, whose metrics are as they stand whenever they are asked for."""
    monkeypatch.setattr(metrics, "KEPT_S", 0.0)
    # No table: it plays on its own, which only its own tests want to see.
    quick = {"sign_ins_per_minute": 10_000, "bets_per_second": 10_000, "crash_tables": []}
    given = {**quick, **options}
    settings = Settings(env="test", data_dir=tmp_path, port=0, **given)
    async with running(database_url, settings) as house:
        yield house
