"""What servers under test are started on."""

from pathlib import Path

import pytest

from benchmarks.server_process import Storage


@pytest.fixture
def storage(database_url: str, tmp_path: Path) -> Storage:
    """A migrated database of this test's own, and the settings of a server on it."""
    environment = {"DATABASE_URL": database_url, "PITBOSS_DATA_DIR": str(tmp_path)}
    return Storage(database_url, tmp_path, environment)
