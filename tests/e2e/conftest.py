"""A running server, as an operator would start it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pitboss_process import PitbossProcess
from tests.support.postgres_cluster import PostgresCluster


@pytest.fixture
def stocked_path(tmp_path: Path, postgres_cluster: PostgresCluster) -> Path:
    """A folder for a server, whose PostgreSQL finds an empty cluster there."""
    postgres_cluster.copy_to(tmp_path / "data")
    return tmp_path


@pytest.fixture
def server(stocked_path: Path) -> Iterator[PitbossProcess]:
    """A server of this test's own, with a demo player, on a PostgreSQL of its own."""
    process = PitbossProcess(stocked_path, PITBOSS_BETS_PER_SECOND="100000")
    process.start()
    try:
        yield process
    finally:
        process.stop()
