"""`pitboss crash chain`: chains are made, survive a kill, are fixed once and checked."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.settings import Settings
from storage.vault import Vault
from tests.cli.conftest import Pitboss

PATIENCE_S = 60
# Some seconds of hashing: time enough to be killed in between.
LONG = 1_500_000


def field(output: str, name: str) -> str:
    (value,) = [
        line.removeprefix(name).strip() for line in output.splitlines() if line.startswith(name)
    ]
    return value


def row(dsn: str, query: str, *arguments: object) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchrow(query, *arguments)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_a_chain_is_made_fixed_and_checked(pitboss: Pitboss) -> None:
    made = pitboss("crash", "chain", "new", "--table", "3", "--length", "2345")
    assert made.exit_code == 0
    terminal = field(made.stdout, "terminal hash")
    assert (field(made.stdout, "table"), field(made.stdout, "rounds")) == ("3", "2345")
    assert pitboss("crash", "chain", "list").output.count("not fixed") == 1

    chain = field(made.stdout, "chain")
    assert pitboss("crash", "chain", "fix", chain, "block-hash").exit_code == 0
    again = pitboss("crash", "chain", "fix", chain, "better-hash")
    assert (again.exit_code, "is fixed: block-hash" in again.output) == (1, True)
    checked = pitboss("crash", "chain", "check", chain)
    assert checked.exit_code == 0
    assert f"all 2345 rounds lead to {terminal}" in checked.stdout

    (listed,) = json.loads(pitboss("crash", "chain", "list", "--json").stdout)
    assert (listed["terminal_hash"], listed["public_seed"]) == (terminal, "block-hash")
    assert "block-hash" in pitboss("crash", "chain", "list").output


@pytest.mark.slow
def test_a_chain_survives_kills(pitboss: Pitboss, database_url: str) -> None:
    """Three processes are killed while they make it; the last hash is the first one's."""
    newest = "select min(position) as at from crash_chain_links"
    reached = LONG + 1
    for _ in range(3):
        reached = killed_below(database_url, newest, reached)
    assert 0 < reached < LONG
    begun = row(database_url, "select * from crash_chains")
    assert begun["terminal_hash"] is None
    link = row(
        database_url,
        "select sealed_hash from crash_chain_links where position = $1",
        LONG,
    )
    found = Vault(Settings().seed_key()).open(
        link["sealed_hash"], f"crash_chain_links/{begun['id']}/{LONG}"
    )

    made = pitboss("crash", "chain", "new")
    assert made.exit_code == 0
    assert row(database_url, "select count(*) as n from crash_chains")["n"] == 1
    for _ in range(LONG):
        found = hashlib.sha256(found.encode()).hexdigest()
    assert field(made.stdout, "terminal hash") == found
    assert pitboss("crash", "chain", "check", str(begun["id"])).exit_code == 0


def killed_below(dsn: str, newest: str, reached: int) -> int:
    """Kill a process once it has come further than the one before, and say how far."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "crash", "chain", "new", "--length", str(LONG)],
        cwd=Path(__file__).parents[2],
        env=os.environ.copy(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while (at := row(dsn, newest)["at"]) is None or at >= reached:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return int(row(dsn, newest)["at"])


def test_how_far_it_is_goes_to_the_terminal_alone(pitboss: Pitboss) -> None:
    made = pitboss("crash", "chain", "new", "--length", "10")

    assert "Chain 1" in made.stderr
    assert "Chain 1" not in made.stdout


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("new", "--table", "0"), "--table"),
        (("new", "--length", "0"), "--length"),
        (("new", "--length", "13000001"), "--length"),
        (("fix", "1"), "PUBLIC_SEED"),
        (("fix", "one", "seed"), "CHAIN"),
        (("check", "0"), "CHAIN"),
    ],
)
def test_what_cannot_be_meant(pitboss: Pitboss, args: tuple[str, ...], complaint: str) -> None:
    answer = pitboss("crash", "chain", *args)

    assert answer.exit_code == 2
    assert complaint in answer.output


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("fix", "1", "seed"), "There is no chain 1"),
        (("check", "1"), "There is no chain 1"),
    ],
)
def test_what_there_is_not(pitboss: Pitboss, args: tuple[str, ...], complaint: str) -> None:
    answer = pitboss("crash", "chain", *args)

    assert answer.exit_code == 1
    assert complaint in answer.output


def test_another_key_is_a_plain_sentence(pitboss: Pitboss, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pitboss("crash", "chain", "new", "--length", "10").exit_code == 0
    monkeypatch.setenv(
        "PITBOSS_SEED_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    )
    answer = pitboss("crash", "chain", "check", "1")

    assert answer.exit_code == 1
    assert "does not open with the seed encryption key" in answer.output
