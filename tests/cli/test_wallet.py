"""`pitboss wallet`: committed rows are read here, and money moves through the running server."""

import functools
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from uuid import uuid4

import msgspec
import pytest
import uvloop
from click.testing import Result

from protocol.errors import OVERLOADED, Failure
from server.answer import refusal
from tests.audit.ledger import played, store
from tests.cli.conftest import Pitboss
from tests.support.pitboss_process import PitbossProcess

PLAYERS = ("alice", "bobby", "carol", "davey")


@pytest.fixture
def ledger(pitboss: Pitboss, database_url: str) -> Pitboss:
    """The ledger of the audit's tests, with accounts for its wallets 1 to 4."""
    for name in PLAYERS:
        pitboss("user", "create", name)
    uvloop.run(store(database_url, played()))
    return pitboss


def test_balances_of_committed_rows(ledger: Pitboss) -> None:
    told = json.loads(ledger("wallet", "show", "alice", "--json").output)
    table = ledger("wallet", "show", "Alice").output.splitlines()

    alice = played().state(1)
    assert {balance["currency"]: balance["available"] for balance in told} == {
        code: balance.available for code, balance in alice.balances.items()
    }
    assert table[0].split() == ["CURRENCY", "AVAILABLE", "HELD", "SEQ"]
    play = alice.balances["PLAY"].available
    assert table[1].split() == ["PLAY", f"{play // 100}.{play % 100:02d}", "0.00", "16"]


def test_a_wallet_without_rows_is_empty(ledger: Pitboss) -> None:
    assert json.loads(ledger("wallet", "show", "carol", "--json").output) == []
    assert len(ledger("wallet", "show", "carol").output.splitlines()) == 1


def test_the_ledger_a_page_at_a_time(ledger: Pitboss) -> None:
    first = ledger("wallet", "history", "alice", "--limit", "10")
    following = first.stderr.split("pitboss ")[1].split()
    rest = ledger(*following)

    kinds = [line.split()[3] for line in first.stdout.splitlines()[1:]]
    assert kinds[:5] == ["tip_sent", "tip_returned", "tip_sent", "tip_sent", "tip_sent"]
    assert [int(line.split()[0]) for line in rest.stdout.splitlines()[1:]] == [6, 5, 4, 3, 2, 1]
    assert rest.stderr == ""


def test_the_ledger_of_one_currency(ledger: Pitboss) -> None:
    page = json.loads(ledger("wallet", "history", "alice", "--currency", "usd", "--json").output)

    assert [(entry["seq"], entry["kind"]) for entry in page["entries"]] == [
        (10, "bet"),
        (9, "deposit"),
    ]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("alice", "1.005", "USD"), "at most 2 decimals"),
        (("alice", "0", "USD"), "from 0.01"),
        (("alice", "1e3", "USD"), "is written like"),
        (("alice", "nan", "USD"), "is written like"),
        (("alice", "1,50", "USD"), "is written like"),
        (("alice", "999999999999999", "USD"), "from 0.01 to"),
        (("alice", "1", "XXX"), "XXX is not offered"),
        (("alice", "1", "USD", "--request-id", "7"), "--request-id"),
    ],
)
@pytest.mark.parametrize("verb", ["deposit", "withdraw"])
def test_amounts_are_exact_or_refused(
    pitboss: Pitboss, verb: str, args: tuple[str, ...], complaint: str
) -> None:
    result = pitboss("wallet", verb, *args)

    assert result.exit_code == 2
    assert complaint in result.output


def test_without_a_server_nothing_is_changed(pitboss: Pitboss) -> None:
    pitboss("user", "create", "alice")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = pitboss("wallet", "deposit", "alice", "1", "USD", "--url", f"http://127.0.0.1:{port}")

    assert result.exit_code == 1
    assert "pitboss serve" in result.output
    assert "Nothing was changed." in result.output


def test_a_player_cannot_answer_for_a_deposit(pitboss: Pitboss) -> None:
    pitboss("user", "create", "alice")
    result = pitboss("wallet", "deposit", "alice", "1", "USD", "--as", "alice")

    assert result.exit_code == 1
    assert "alice is a player" in result.output


@contextmanager
def answering(status: int, text: bytes) -> Iterator[str]:
    """A server that always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_args: object) -> None:
            """Nothing to say."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "text", "complaint"),
    [
        (503, msgspec.json.encode(refusal(Failure(OVERLOADED), 0)), "--request-id"),
        (200, b"<html>", "is not Pitboss"),
        (200, b"", "is not Pitboss"),
    ],
)
def test_an_answer_that_does_not_say_whether_it_is_done(
    pitboss: Pitboss, status: int, text: bytes, complaint: str
) -> None:
    pitboss("user", "create", "alice")
    request_id = str(uuid4())
    with answering(status, text) as url:
        result = pitboss(
            *("wallet", "deposit", "alice", "1", "USD"), "--url", url, "--request-id", request_id
        )

    assert result.exit_code == 1
    assert complaint in result.output
    assert (request_id in result.output) is (complaint == "--request-id")


@pytest.mark.slow
def test_money_comes_and_goes_through_the_running_server(
    pitboss: Pitboss, database_url: str, tmp_path: Path
) -> None:
    pitboss("user", "create", "alice")
    pitboss("user", "create", "boss", "--role", "operator")
    server = PitbossProcess(tmp_path, DATABASE_URL=database_url)
    server.start()
    try:
        run = functools.partial(_run, pitboss, server.url)
        deposited = run("deposit", "25.50", "usd", "--as", "boss")
        repeated = run("deposit", "25.50", "USD", "--as", "boss", "--request-id", id_of(deposited))
        withdrawn = run("withdraw", "5.25", "USD")
        too_much = run("withdraw", "20.26", "USD")
        mismatch = run("deposit", "1", "USD", "--as", "boss", "--request-id", id_of(deposited))
    finally:
        server.stop()

    assert deposited.output.startswith("deposit of 25.50 USD for alice\navailable now: 25.50 USD")
    assert repeated.output == deposited.output
    assert withdrawn.output.startswith("withdrawal of 5.25 USD for alice\navailable now: 20.25 USD")
    assert too_much.exit_code == mismatch.exit_code == 1
    assert "The balance does not cover this. (available: 2025)" in too_much.output
    assert "used before" in mismatch.output
    history = json.loads(pitboss("wallet", "history", "alice", "--json").output)
    users = [line.split() for line in pitboss("user", "list").output.splitlines()[1:]]
    staff = {user[1]: int(user[0]) for user in users}
    assert [(e["kind"], e["available_delta"], e["counterparty"]) for e in history["entries"]] == [
        ("withdrawal", -525, staff["console"]),
        ("deposit", 2_550, staff["boss"]),
    ]
    audited = pitboss("audit")
    assert audited.exit_code == 0
    assert "The ledger is clean." in audited.output


def _run(pitboss: Pitboss, url: str, verb: str, *args: str) -> Result:
    return pitboss("wallet", verb, "alice", *args, "--url", url)


def id_of(result: Result) -> str:
    found = re.search(r"request ([0-9a-f-]{36})", result.output)
    assert found, result.output
    return found[1]
