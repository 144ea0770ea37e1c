"""`pitboss bench bets`: a load test of a server that runs, and one sentence where it cannot be."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from benchmarks.obstacles import GUESTS, explained, hint
from benchmarks.players import enlist
from benchmarks.server_process import Storage, serving
from server.cli import main
from server.cli_bench import MODULES


@pytest.fixture
def storage(database_url: str, tmp_path: Path) -> Storage:
    environment = {"DATABASE_URL": database_url, "PITBOSS_DATA_DIR": str(tmp_path)}
    return Storage(database_url, tmp_path, environment)


@pytest_asyncio.fixture
async def url(storage: Storage) -> AsyncIterator[str]:
    """A server whose limits are out of the way, but for sign-ins and bets."""
    limits = {"PITBOSS_SIGN_INS_PER_MINUTE": "3", "PITBOSS_BETS_PER_SECOND": "40"}
    async with serving(storage, limits) as server:
        yield server.url


async def bench(*args: str) -> Result:
    """The command, in a thread as it has a loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, main, ["bench", "bets", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


async def test_it_places_bets_tells_how_it_goes_and_writes_what_came_of_it(
    url: str, tmp_path: Path
) -> None:
    (player,) = await enlist(url, 1)
    own = ("--token", player.token, "--connections", "2", "--seconds", "0.5")
    file = tmp_path / "results.json"

    # One guest is in: two more may come, or a few more if this takes long.
    calm = await bench("--url", url, "--rate", "60", "--connections", "12", "--seconds", "2.5")
    assert calm.exit_code == 0
    assert "they share 12 connections. " in calm.stderr
    assert "PITBOSS_SIGN_INS_PER_MINUTE" in calm.stderr
    assert calm.stderr.count(" bets/s  p50 ") == 2
    assert "refused: none" in calm.stderr
    assert "| single | 60 bets/s |" in calm.stdout
    assert "refused as" not in calm.stdout

    fast = await bench("--url", url, "--rate", "500", *own, "--json", str(file))
    assert fast.exit_code == 0
    assert "PITBOSS_BETS_PER_SECOND" in fast.stdout
    (series,) = json.loads(file.read_bytes())["series"]
    assert series["runs"][0]["refused"].keys() == {"rate_limited"}
    assert json.loads(file.read_bytes())["settings"]["rate"] == 500
    assert player.token not in file.read_text()

    batches = await bench("--url", url, "--mode", "batch", "--depth", "1", *own)
    assert batches.exit_code == 0
    assert "| batch | 2 x 1 in flight |" in batches.stdout

    stranger = await bench("--url", url, "--token", "x", "--seconds", "0.3")
    assert stranger.exit_code == 1
    assert "Is --token an access token of this server?" in stranger.stderr


@pytest.mark.parametrize(
    ("setting", "means"),
    [
        ("PITBOSS_GUEST_ACCOUNTS", "The server takes no guests"),
        ("PITBOSS_FAUCET_ENABLED", "the faucet is off"),
    ],
)
async def test_a_server_without_play_money_is_named_so(
    storage: Storage, setting: str, means: str
) -> None:
    async with serving(storage, {setting: "false"}) as server:
        result = await bench("--url", server.url, "--seconds", "0.3")
    assert result.exit_code == 1
    assert means in result.stderr
    assert setting in result.stderr


async def test_no_server_is_one_sentence() -> None:
    result = await bench("--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "There is no server at http://127.0.0.1:1" in result.stderr


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--url", "ftp://x"), "not the URL of a server"),
        (("--rate", "1", "--depth", "1"), "open loop"),
        (("--connections", "0"), "x>=1"),
        (("--seconds", "0"), "x>0"),
    ],
)
async def test_what_makes_no_sense_is_refused(args: tuple[str, ...], problem: str) -> None:
    result = await bench(*args)
    assert result.exit_code == 2
    assert problem in result.stderr


def test_without_the_generator_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "bets", "benchmarks_of_another_house.live")
    result = CliRunner().invoke(main, ["bench", "bets"])
    assert result.exit_code == 1
    assert "The load generator is not installed here" in result.stderr


def test_hints_name_settings() -> None:
    assert "PITBOSS_SIGN_INS_PER_MINUTE" in hint("rate_limited", GUESTS)
    assert "PITBOSS_BETS_PER_SECOND" in hint("rate_limited")
    assert hint("roll_of_honour") == ""
    flooding = "the server closed a connection: 4006 Far too many packets in a second."
    assert explained(flooding).startswith(flooding)
    assert "PITBOSS_MAX_PACKETS_PER_SECOND)" in explained(flooding)
    assert explained("nothing that is known") == "nothing that is known"
