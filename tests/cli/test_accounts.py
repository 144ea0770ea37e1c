"""`pitboss user` and `pitboss token` on a real database."""

from pathlib import Path

import asyncpg
import pytest
import uvloop

from protocol.bounds import MAX_USERNAME_CHARS
from server.auth.tokens import Tokens
from server.clock import now_ms
from server.settings import load_settings
from tests.cli.conftest import Pitboss


def columns(output: str) -> list[list[str]]:
    """The rows of a table, without its headings; the date and the time are two cells."""
    return [line.split() for line in output.splitlines()[1:]]


def query(dsn: str, statement: str) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement)
        finally:
            await connection.close()
        return rows

    return uvloop.run(fetch())


def test_an_account_is_created_and_shown(pitboss: Pitboss) -> None:
    created = pitboss("user", "create", "Alice", "--email", "a@example.com", "--role", "operator")

    assert created.exit_code == 0
    (row,) = columns(created.output)
    assert row[1:4] == ["Alice", "operator", "active"]
    assert row[-1] == "a@example.com"
    for login in ("alice", "A@example.com"):
        assert columns(pitboss("user", "show", login).output) == [row]


def test_a_password_comes_from_a_file_or_the_standard_input(
    pitboss: Pitboss, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\nand more\n")

    assert pitboss("user", "create", "one", "--password-file", str(file)).exit_code == 0
    stdin = pitboss("user", "create", "two", "--password-file", "-", stdin="correct horse\n")
    assert stdin.exit_code == 0
    hashes = query(database_url, "select password_hash from users order by id")
    assert all(row["password_hash"].startswith("$argon2id$") for row in hashes)
    assert pitboss("user", "create", "three").exit_code == 0
    assert query(database_url, "select from users where password_hash is null")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("ab",), "username"),
        (("a b c",), "username"),
        (("x" * (MAX_USERNAME_CHARS + 1),), "username"),
        (("carol", "--email", "nobody"), "email"),
        (("carol", "--role", "king"), "king"),
        (("carol", "--password-file", "-"), "password"),
        (("ALICE",), "That username is taken."),
        (("carol", "--email", "A@EXAMPLE.COM"), "That e-mail address has an account already."),
    ],
)
def test_what_no_account_is_created_with(
    pitboss: Pitboss, database_url: str, args: tuple[str, ...], complaint: str
) -> None:
    pitboss("user", "create", "alice", "--email", "a@example.com")
    refused = pitboss("user", "create", *args, stdin="short\n")

    assert refused.exit_code != 0
    assert complaint in refused.output
    assert len(query(database_url, "select from users")) == 1


def test_accounts_are_listed_a_page_at_a_time(pitboss: Pitboss) -> None:
    for name in ("alice", "bobby", "carol"):
        pitboss("user", "create", name)
    first = pitboss("user", "list", "--limit", "2")
    names = [row[1] for row in columns(first.stdout)]
    following = first.stderr.split("pitboss ")[1].split()

    assert names == ["alice", "bobby"]
    assert [row[1] for row in columns(pitboss(*following).stdout)] == ["carol"]
    assert pitboss("user", "list").stderr == ""


def test_a_token_is_all_that_is_printed(pitboss: Pitboss) -> None:
    pitboss("user", "create", "alice", "--role", "operator")
    printed = pitboss("token", "alice", "--minutes", "60")
    tokens = Tokens([load_settings().jwt_secret_value()], now_ms=now_ms)
    identity = tokens.verify(printed.stdout.removesuffix("\n"))

    assert printed.exit_code == 0
    assert (identity.username, identity.role.value) == ("alice", "operator")
    assert 3_590_000 < identity.expires_at_ms - now_ms() <= 3_600_000


@pytest.mark.parametrize("minutes", ["0", "-1", "10081", "1.5", "x"])
def test_how_long_a_token_may_hold(pitboss: Pitboss, minutes: str) -> None:
    assert pitboss("token", "alice", "--minutes", minutes).exit_code == 2


def test_a_change_of_role_ends_the_sessions(pitboss: Pitboss, database_url: str) -> None:
    pitboss("user", "create", "alice", "--role", "admin")
    pitboss("token", "alice")
    changed = pitboss("user", "role", "alice", "player")

    assert columns(changed.output)[0][2] == "player"
    sessions = query(database_url, "select reason from sessions")
    assert [row["reason"] for row in sessions] == ["logged_out"]


def test_a_disabled_account_gets_no_token(pitboss: Pitboss, database_url: str) -> None:
    pitboss("user", "create", "alice")
    pitboss("token", "alice")
    disabled = pitboss("user", "disable", "alice")

    assert columns(disabled.output)[0][3] == "disabled"
    assert [r["reason"] for r in query(database_url, "select reason from sessions")] == ["disabled"]
    refused = pitboss("token", "alice")
    assert refused.exit_code == 1
    assert "This account is closed." in refused.output


@pytest.mark.parametrize(
    "args",
    [
        ("token", "nobody"),
        ("user", "show", "nobody"),
        ("user", "role", "nobody", "player"),
        ("user", "disable", "nobody"),
        ("wallet", "show", "nobody"),
        ("wallet", "history", "nobody"),
        ("wallet", "deposit", "nobody", "1", "USD"),
    ],
    ids=" ".join,
)
def test_nobody_is_not_found(pitboss: Pitboss, args: tuple[str, ...]) -> None:
    result = pitboss(*args)

    assert result.exit_code == 1
    assert "There is no user nobody." in result.output
