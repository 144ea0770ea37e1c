"""A command line that works on a database of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.cli import main

Pitboss = Callable[..., Result]


@pytest.fixture(autouse=True)
def hashing(cheap_passwords: None) -> None:
    """The passwords of all commands here are cheap."""


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pitboss:
    """`pitboss` without any database."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("PITBOSS_DATA_DIR", str(tmp_path / "data"))
    runner = CliRunner()

    def pitboss(*args: str, stdin: str | None = None) -> Result:
        result = runner.invoke(main, list(args), input=stdin)
        # Errors are sentences: an exception that reached the top would be a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        return result

    return pitboss


@pytest.fixture
def pitboss(nowhere: Pitboss, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Pitboss:
    """`pitboss` with a migrated database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return nowhere
