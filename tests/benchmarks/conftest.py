"""What servers under test are started on."""

from pathlib import Path

import pytest

from benchmarks.server_process import Storage
from storage.embedded import EmbeddedPostgres
from storage.postmaster import Account
from tests.support.postgres_cluster import PostgresCluster


@pytest.fixture
def storage(database_url: str, tmp_path: Path) -> Storage:
    """A migrated database of this test's own, and the settings of a server on it."""
    environment = {"DATABASE_URL": database_url, "PITBOSS_DATA_DIR": str(tmp_path)}
    return Storage(database_url, tmp_path, environment)


@pytest.fixture
def copied_cluster(postgres_cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a benchmark that makes a PostgreSQL of its own begin with a copy."""

    def copy(server: EmbeddedPostgres, _account: Account) -> None:
        postgres_cluster.copy_to(server.data_dir)

    monkeypatch.setattr(EmbeddedPostgres, "_create_cluster", copy)
