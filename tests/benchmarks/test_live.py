"""`pitboss bench bets`: a load test of a server that runs, and one sentence where it cannot be."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from benchmarks import bets, players
from benchmarks.lengths import LONGEST_S
from benchmarks.live import ProgressLine
from benchmarks.obstacles import FAUCET, GUESTS, explained, hint
from benchmarks.plan import Outcome, Progress
from benchmarks.players import enlist
from benchmarks.server_process import Storage, serving
from server.cli import main
from server.cli_bench import MODULES


@pytest_asyncio.fixture
async def url(storage: Storage) -> AsyncIterator[str]:
    """A server whose limits are out of the way, but for sign-ins and bets."""
    limits = {"PITBOSS_SIGN_INS_PER_MINUTE": "3", "PITBOSS_BETS_PER_SECOND": "40"}
    async with serving(storage, limits) as server:
        yield server.url


def token(holds_s: int) -> str:
    """What says so of itself, like a token of a server that nobody asks here."""
    return jwt.encode({"exp": time.time() + holds_s}, "k" * 32)


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

    # Two players of a server with default limits could not place a thousand bets a second.
    few = await bench("--url", url, *own)
    assert few.exit_code == 0
    assert "For so few players 62 bets/s are offered" in few.stderr
    assert "| single | 62 bets/s |" in few.stdout

    fast = await bench("--url", url, "--rate", "500", *own, "--json", str(file))
    assert fast.exit_code == 0
    assert "PITBOSS_BETS_PER_SECOND" in fast.stdout
    (series,) = json.loads(file.read_bytes())["series"]
    assert series["runs"][0]["refused"].keys() == {"rate_limited"}
    assert series["server_us_per_bet"] is series["cores"]["others"] is None
    assert json.loads(file.read_bytes())["settings"]["rate"] == 500
    assert player.token not in file.read_text()

    poor = await bench("--url", url, "--rate", "50", *own, "--stake", "1000000000")
    assert poor.exit_code == 1
    assert "refused as stake_too_large" in poor.stdout
    assert "No bet was settled" in poor.stderr

    rare = await bench("--url", url, "--rate", "0.001", *own)
    assert rare.exit_code == 1
    assert "no bet was due in the window" in rare.stderr

    batches = await bench("--url", url, "--mode", "batch", "--depth", "1", *own)
    assert "| batch | 2 x 1 in flight |" in batches.stdout
    # A limit of forty bets a second lets in no hundred at once.
    assert "bets were refused as rate_limited" in batches.stdout
    assert "No bet was settled" in batches.stderr
    assert batches.exit_code == 1

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
    for own in ((), ("--token", token(10_000))):
        result = await bench("--url", "http://127.0.0.1:1", *own)
        assert result.exit_code == 1
        assert "There is no server at http://127.0.0.1:1: " in result.stderr


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"",
        b"\xff",
        b"[1]",
        b"{}",
        b'{"data":{"user":{},"access_token":1}}',
        b"[" * 5_000,
    ],
)
async def test_a_server_that_is_no_pitboss_is_one_sentence(answer: bytes) -> None:
    async with desk(answer) as url:
        result = await bench("--url", url)
    assert result.exit_code == 1
    assert "No guest was let in: auth/guest was answered 200: " in result.stderr
    assert result.stderr.count("\n") == 1


async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "_ANSWER_LIMIT_S", 0.2)
    async with desk(None) as url:
        result = await bench("--url", url)
    assert result.exit_code == 1
    assert "auth/guest was not answered within 0.2 s" in result.stderr


@asynccontextmanager
async def desk(answer: bytes | None) -> AsyncIterator[str]:
    """The URL of a server that answers whoever signs in so, or not at all."""
    leave = asyncio.Event()

    async def sign_in(_request: web.Request) -> web.Response:
        if answer is None:
            await leave.wait()
        return web.Response(body=answer, content_type="application/json")

    application = web.Application()
    application.router.add_post("/api/v1/auth/guest", sign_in)
    server = TestServer(application)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        leave.set()
        await server.close()


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--url", "ftp://x"), "not the URL of a server"),
        (("--url", "http://x?a=b"), "a query or a fragment"),
        (("--url", "http://x/#a"), "a query or a fragment"),
        (("--rate", "1", "--depth", "1"), "open loop"),
        (("--arrivals", "burst", "--depth", "1"), "open loop"),
        (("--arrivals", "burst", "--seconds", "0.05"), "more than 0.1"),
        (("--rate", "1000000", "--seconds", "700"), "a run may have"),
        (("--connections", "0"), "x>=1"),
        (("--rate", "inf"), "not a finite number"),
        (("--rate", "nan"), "not a finite number"),
        (("--seconds", "nan"), "not a finite number"),
        (("--seconds", "0"), "x>0"),
        (("--seconds", "1000"), f"at most {LONGEST_S} s"),
    ],
)
async def test_what_makes_no_sense_is_refused(args: tuple[str, ...], problem: str) -> None:
    result = await bench(*args)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())


async def test_a_token_has_to_hold_for_as_long_as_the_run() -> None:
    result = await bench("--seconds", "400", "--token", token(100))
    assert result.exit_code == 2
    assert "a token expires in" in " ".join(result.stderr.split())


async def test_a_token_that_holds_for_long_is_good_for_a_long_run() -> None:
    nowhere = ("--url", "http://127.0.0.1:1", "--token", token(10_000))
    result = await bench(*nowhere, "--seconds", "1000")
    assert result.exit_code == 1
    assert "Connection refused" in result.stderr


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--loop", "closed", "--rate", "100"), "are of the open loop"),
        (("--loop", "closed", "--arrivals", "poisson"), "are of the open loop"),
        (("--loop", "open", "--rate", "100", "--depth", "2"), "is of the closed loop"),
        (("--arrivals", "burst", "--seconds", "0.05"), "more than 0.1"),
        (("--rate", "1000000", "--seconds", "700"), "a run may have"),
        (("--repeats", "0"), "x>=1"),
        (("--connections", "0"), "x>=1"),
        (("--depth", "-1"), "x>=1"),
        (("--rate", "-5"), "x>0"),
        (("--rate", "nan"), "not a finite number"),
        (("--seconds", "inf"), "not a finite number"),
        (("--seconds", "1000"), f"at most {LONGEST_S} s"),
    ],
)
def test_what_makes_no_sense_is_refused_by_the_benchmark_too(
    args: tuple[str, ...], problem: str
) -> None:
    result = CliRunner().invoke(bets.main, args)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())


async def test_who_ends_a_run_early_gets_what_there_is(url: str) -> None:
    (player,) = await enlist(url, 1)
    command = ("-m", "server", "bench", "bets", "--url", url, "--token", player.token)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, "--rate", "30", "--seconds", "60"),
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        while b" bets/s  p50 " not in (line := await process.stderr.readline()):
            assert line
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the generator has it, too
        stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 1
    assert b"| single | 30 bets/s |" in stdout
    assert b"It ended early: these are its first 1 s of 60." in stdout
    assert b"Traceback" not in stderr


def test_a_line_that_was_never_shown_is_not_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    line = ProgressLine()
    line.close()
    assert capsys.readouterr().err == ""
    line.show(Progress(1.0, 0.0, None, None, Outcome(0, 1, 0, {}, {}, 0, {}, 0, 0.1)))
    line.close()
    shown = capsys.readouterr().err
    assert "p50        - ms" in shown
    assert shown.endswith("\n")


def test_without_the_generator_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "bets", "benchmarks_of_another_house.live")
    result = CliRunner().invoke(main, ["bench", "bets"])
    assert result.exit_code == 1
    assert "The load generator is not installed here" in result.stderr


def test_hints_name_settings() -> None:
    assert "PITBOSS_SIGN_INS_PER_MINUTE" in hint("rate_limited", GUESTS)
    assert "PITBOSS_BETS_PER_SECOND" in hint("rate_limited")
    assert "PITBOSS_MAX_PACKETS_PER_SECOND_PER_IP" in hint("rate_limited", FAUCET)
    assert "PITBOSS_BETS_PER_SECOND" not in explained("the server answered 429: rate_limited")
    assert hint("roll_of_honour") == ""
    flooding = "the server closed a connection: 4006 Far too many packets in a second."
    assert explained(flooding).startswith(flooding)
    assert "PITBOSS_MAX_PACKETS_PER_SECOND)" in explained(flooding)
    assert explained("nothing that is known") == "nothing that is known"
