"""`pitboss seeds reseal`: a key is changed, and the old one is not needed afterwards."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Pitboss

OLD, NEW = (base64.b64encode(bytes(range(at, at + 32))).decode() for at in (1, 2))
PATIENCE_S = 60
KEY, PREVIOUS = "PITBOSS_SEED_ENCRYPTION_KEY", "PITBOSS_SEED_ENCRYPTION_KEY_PREVIOUS"


@pytest.fixture
def sealed(pitboss: Pitboss, monkeypatch: pytest.MonkeyPatch) -> Pitboss:
    """A command line whose database has a chain that the old key sealed."""
    monkeypatch.setenv(KEY, OLD)
    assert pitboss("crash", "chain", "new", "--length", "2500").exit_code == 0
    monkeypatch.setenv(KEY, NEW)
    return pitboss


def test_the_key_is_changed(sealed: Pitboss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREVIOUS, OLD)
    first, second = sealed("seeds", "reseal"), sealed("seeds", "reseal")
    monkeypatch.delenv(PREVIOUS)

    assert first.stdout == "3 rows opened, 3 of them sealed anew\n"
    assert second.stdout == "3 rows opened, 0 of them sealed anew\n"
    assert sealed("crash", "chain", "check", "1").exit_code == 0
    assert sealed("audit").exit_code == 0
    assert sealed("seeds", "reseal").exit_code == 0


@pytest.mark.parametrize("previous", [None, base64.b64encode(bytes(range(3, 35))).decode()])
def test_without_the_old_key_it_is_a_plain_sentence(
    sealed: Pitboss, monkeypatch: pytest.MonkeyPatch, previous: str | None
) -> None:
    if previous is not None:
        monkeypatch.setenv(PREVIOUS, previous)
    answer = sealed("seeds", "reseal")

    assert answer.exit_code == 1
    assert "crash_chain_links/1/1000 does not open with the seed encryption key" in answer.output
    monkeypatch.setenv(PREVIOUS, OLD)
    assert sealed("crash", "chain", "check", "1").exit_code == 0


def test_a_server_does_not_start_with_another_key(sealed: Pitboss) -> None:
    assert sealed("crash", "chain", "list").exit_code == 0
    served = subprocess.run(
        [sys.executable, "-m", "server", "serve"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PITBOSS_PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )

    assert served.returncode == 1
    assert "crash_chain_links/1/1000 does not open with the seed" in served.stderr
    assert "Traceback" not in served.stderr


def test_a_key_that_is_none(sealed: Pitboss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREVIOUS, "QUJD")
    answer = sealed("seeds", "reseal")

    assert answer.exit_code == 1
    assert f"{PREVIOUS} must be 32 bytes in base64" in answer.output


def test_there_may_be_nothing_to_do(pitboss: Pitboss) -> None:
    assert pitboss("seeds", "reseal").stdout == "0 rows opened, 0 of them sealed anew\n"
