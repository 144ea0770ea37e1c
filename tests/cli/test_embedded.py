"""Commands on the embedded PostgreSQL: one that runs is shared, one that does not is started."""

from pathlib import Path

import pytest

from storage.embedded import EmbeddedPostgres
from storage.postmaster import Postmaster
from tests.cli.conftest import Pitboss


@pytest.mark.slow
def test_commands_share_a_database_with_a_server_that_runs(
    nowhere: Pitboss, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    assert "applied 0001_accounts" in nowhere("migrate").output
    assert Postmaster.find(data / "postgres") is None

    running = EmbeddedPostgres(data)
    running.start_blocking()
    try:
        before = Postmaster.find(data / "postgres")
        assert nowhere("user", "create", "alice").exit_code == 0
        assert nowhere("audit").exit_code == 0
        after = Postmaster.find(data / "postgres")
    finally:
        running.stop_blocking()

    assert before is not None
    assert after is not None
    assert before.pid == after.pid
    assert "alice" in nowhere("user", "list").output
    assert Postmaster.find(data / "postgres") is None
