"""Every command explains itself, and what is wrong is one sentence."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from server.cli import VERSION, main
from tests.cli.conftest import Pitboss

NOUNS = {
    "serve",
    "migrate",
    "token",
    "user",
    "wallet",
    "verify",
    "audit",
    "crash",
    "seeds",
    "cluster",
    "bench",
}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_commands_there_are(nowhere: Pitboss) -> None:
    result = nowhere("--help")

    assert set(main.list_commands(click.Context(main))) == NOUNS
    assert result.exit_code == 0
    assert all(f"\n  {noun} " in result.output for noun in NOUNS)
    assert "..." not in result.output.split("Commands:")[1]


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_has_help(nowhere: Pitboss, path: tuple[str, ...]) -> None:
    result = nowhere(*path, "--help")

    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: main {' '.join(path)}")
    sentence = result.output.split("\n\n")[1].strip()
    assert sentence[0].isupper()
    assert sentence.endswith(".")


def test_the_version_is_the_project_s(nowhere: Pitboss) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())

    assert project["project"]["version"] == VERSION
    assert VERSION in nowhere("--version").output


@pytest.mark.parametrize(
    "args",
    [
        ("user", "list"),
        ("token", "alice"),
        ("wallet", "show", "alice"),
        ("wallet", "deposit", "alice", "1", "USD"),
        ("audit",),
        ("crash", "chain", "new"),
        ("seeds", "reseal"),
    ],
    ids=" ".join,
)
def test_without_a_database_nothing_is_made(
    nowhere: Pitboss, tmp_path: Path, args: tuple[str, ...]
) -> None:
    result = nowhere(*args)

    assert result.exit_code == 1
    assert "There is no database" in result.output
    assert "pitboss migrate" in result.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("args", [("user", "list"), ("audit",), ("migrate",), ("serve",)])
def test_a_database_that_does_not_answer(
    nowhere: Pitboss, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    result = nowhere(*args)

    assert result.exit_code == 1
    assert "PostgreSQL does not answer" in result.output


def test_a_database_without_tables(
    nowhere: Pitboss, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    for args in (("user", "list"), ("audit",)):
        result = nowhere(*args)
        assert result.exit_code == 1
        assert "run `pitboss migrate`" in result.output


def test_migrate_says_what_it_applied(
    nowhere: Pitboss, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)

    first = nowhere("migrate")
    assert first.output.splitlines()[:2] == ["applied 0001_accounts", "applied 0002_ledger"]
    again = nowhere("migrate")
    assert again.exit_code == 0
    assert again.output == "nothing to apply: the database is up to date\n"


def test_a_setting_that_is_wrong(nowhere: Pitboss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PITBOSS_PROT", "1")
    result = nowhere("migrate")

    assert result.exit_code == 1
    assert "PITBOSS_PORT" in result.output


def test_the_load_generator_says_where_it_runs(
    nowhere: Pitboss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    result = nowhere("bench", "bets")

    assert result.exit_code == 1
    assert "runs on Linux only" in result.output
