"""The audit finds nothing in a clean ledger, and names what is wrong in a damaged one."""

from collections.abc import AsyncIterator
from itertools import product

import asyncpg
import pytest
import pytest_asyncio

from actors.wallet.commands import Adjust
from actors.wallet.facts import FAUCET
from protocol.bounds import MAX_MINOR
from protocol.ids import message_id
from storage.audit import Report, Totals, audit
from storage.audit.report import MAX_FINDINGS
from storage.audit.run import examine
from storage.audit.transfers import message_id_sql, origin_sql
from storage.vault import Vault
from tests.audit.damage import DAMAGE, Damage, spelled
from tests.audit.ledger import ALICE, BOB, CAROL, DAVE, KEY, STAKE, Ledger, played, store
from tests.support.databases import fresh_database
from tests.support.wallets import request


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger_url(migrated_postgres_url: str) -> AsyncIterator[str]:
    """A database with the ledger of `played`, which no test of this module changes for good."""
    async with fresh_database(migrated_postgres_url) as dsn:
        await store(dsn, played())
        yield dsn


async def after(dsn: str, *statements: str, key: bytes = KEY) -> Report:
    """What the audit finds after `statements`, which are then rolled back."""
    connection = await asyncpg.connect(dsn)
    try:
        # Never committed: closing the connection undoes it.
        await connection.transaction().start()
        for statement in statements:
            await connection.execute(spelled(statement))
        return await examine(connection, Vault(key))
    finally:
        await connection.close()


async def test_an_empty_ledger_is_clean(database_url: str) -> None:
    report = await audit(database_url, Vault(KEY))

    assert report.clean
    assert (report.wallets, report.rows, report.bets) == (0, 0, 0)


async def test_a_clean_ledger_passes_with_its_numbers(database_url: str) -> None:
    ledger = played()
    await store(database_url, ledger)
    report = await audit(database_url, Vault(KEY))

    assert report.findings == []
    assert report.clean
    assert (report.wallets, report.snapshots) == (3, 3)
    assert report.rows == sum(len(ledger.entries(who)) for who in (ALICE, BOB, CAROL, DAVE)) == 26
    assert (report.bets, report.transfers, report.seed_pairs) == (13, 4, 5)
    assert report.messages_waiting == len(ledger.outbox) == 3
    bets = [e.bet for who in (ALICE, BOB) for e in ledger.entries(who) if e.currency == "PLAY"]
    house = sum(bet.stake_minor - bet.payout_minor for bet in bets if bet is not None)
    wallets = sum(ledger.available(who) for who in (ALICE, BOB, DAVE))
    assert report.totals["PLAY"] == Totals(
        "PLAY",
        wallets=wallets,
        in_flight=260,
        deposits=100 * STAKE + MAX_MINOR,
        faucet=1_000,
        withdrawals=500,
        house=house,
    )
    assert report.totals["PLAY"].missing == 0


@pytest.mark.parametrize("done", DAMAGE, ids=lambda done: done.name)
async def test_damage_is_named(ledger_url: str, done: Damage) -> None:
    report = await after(ledger_url, *done.statements)

    assert {finding.check for finding in report.findings} == done.checks
    assert report.clean is (not done.checks)


async def test_a_finding_says_where_and_what(ledger_url: str) -> None:
    changed = """update wallet_entries set outcome = '{"roll": 1, "won": false}'
        where wallet_id = 1 and seq = 5"""
    (finding,) = (await after(ledger_url, changed)).findings

    assert (finding.check, finding.wallet_id, finding.seq) == ("outcome", ALICE, 5)
    assert '"roll": 1' in finding.text


async def test_another_key_opens_no_seed(ledger_url: str) -> None:
    report = await after(ledger_url, key=bytes(32))

    assert {finding.check for finding in report.findings} == {"seed_sealed"}
    assert len(report.findings) == report.seed_pairs == 5


async def test_findings_are_bounded_and_say_that_there_are_more(database_url: str) -> None:
    ledger = Ledger()
    for number in range(MAX_FINDINGS + 5):
        ledger.do(BOB, Adjust(FAUCET, "PLAY", 5, BOB, request(number)))
    await store(database_url, ledger)
    report = await after(database_url, "update wallet_entries set available_after = 3")

    assert len(report.findings) == MAX_FINDINGS
    assert report.more_findings
    assert not report.clean


async def test_message_ids_in_sql_are_those_of_the_protocol(database_url: str) -> None:
    edges = [1, 2, 4_095, 4_096, 2**48, 2**58 + 12_345, 2**59 - 1]
    connection = await asyncpg.connect(database_url)
    made = message_id_sql("$1::bigint", "$2::bigint")
    wallet_id, seq = origin_sql("$1::uuid")
    try:
        for pair in product(edges, edges):
            made_in_sql = await connection.fetchval(f"select {made}", *pair)
            origin = await connection.fetchrow(f"select {wallet_id}, {seq}", made_in_sql)
            assert made_in_sql == message_id(*pair)
            assert tuple(origin) == pair
    finally:
        await connection.close()
