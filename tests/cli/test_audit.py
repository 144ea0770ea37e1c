"""`pitboss audit`: the numbers, the findings, the exit code."""

import base64
import json

import asyncpg
import pytest
import uvloop

from storage.audit.report import MAX_FINDINGS
from tests.audit.ledger import KEY, played, store
from tests.cli.conftest import Pitboss


@pytest.fixture
def ledger(pitboss: Pitboss, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Pitboss:
    """The ledger of the audit's tests."""
    monkeypatch.setenv("PITBOSS_SEED_ENCRYPTION_KEY", base64.b64encode(KEY).decode())
    uvloop.run(store(database_url, played()))
    return pitboss


async def damage(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_a_clean_ledger(ledger: Pitboss) -> None:
    told = ledger("audit")
    report = json.loads(ledger("audit", "--json").output)

    assert told.exit_code == 0
    counts = "3 wallets, 26 rows, 13 bets, 0 rounds, 4 tips, 3 messages waiting"
    assert told.output.startswith(counts)
    assert told.output.endswith("The ledger is clean.\n")
    assert (report["findings"], report["rows"]) == ([], 26)
    totals = report["totals"]["USD"]
    assert totals["deposits"] == totals["wallets"] + totals["house"] == 5_000


def test_a_damaged_ledger(ledger: Pitboss, database_url: str) -> None:
    flip = """update wallet_entries set outcome = '{"roll": 1, "won": false}'
        where wallet_id = 1 and seq = 5"""
    uvloop.run(damage(database_url, flip))
    told = ledger("audit")
    report = ledger("audit", "--json")

    assert told.exit_code == report.exit_code == 1
    assert "1 finding:\n  outcome: wallet 1 row 5: the row says" in told.output
    assert [finding["check"] for finding in json.loads(report.output)["findings"]] == ["outcome"]


def test_more_findings_than_are_listed(ledger: Pitboss, database_url: str) -> None:
    rows = """insert into wallet_entries (wallet_id, seq, currency, kind, available_delta,
            held_delta, available_after, held_after, request_id, at_ms)
        select 99, 2 * n, 'PLAY', 'gift', 1, 0, 1, 0, gen_random_uuid(), 0
        from generate_series(1, 200) n"""
    uvloop.run(damage(database_url, rows))

    assert f"{MAX_FINDINGS} and more findings:" in ledger("audit").output
