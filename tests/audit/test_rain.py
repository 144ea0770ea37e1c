"""The audit of rain: clean as it falls, and each way to damage it is noticed."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from actors.wallet.commands import StartRain
from protocol.bounds import MAX_MINOR
from storage.audit import Report
from storage.audit.run import examine
from storage.vault import Vault
from tests.audit.ledger import ALICE, BOB, CAROL, DAVE, KEY, Ledger, store
from tests.support.databases import fresh_database
from tests.support.wallets import request


def rained() -> Ledger:
    """Alice's rows: 1 deposit; 2 to 4 a rain of 100, of which Bob's share has arrived, Carol's
    waits (key 3), and Dave's was refused and waits to come back (key 1); 5 to 6 one of 9, which
    has arrived.
    """  # noqa: D205 - a table, not a summary
    ledger = Ledger()
    ledger.fund(ALICE, 1_000)
    ledger.fund(DAVE, MAX_MINOR)
    ledger.do(ALICE, rain(ledger, 100, BOB, CAROL, DAVE))
    to_bob, to_carol, to_dave = ledger.outbox
    ledger.outbox = [to_dave]
    ledger.arrive()
    back = ledger.outbox
    ledger.outbox = [to_bob]
    ledger.arrive()
    ledger.do(ALICE, rain(ledger, 9, BOB, CAROL))
    ledger.arrive()
    ledger.arrive()
    ledger.outbox = [to_carol, *back]
    return ledger


def rain(ledger: Ledger, amount: int, *to: int) -> StartRain:
    return StartRain(to, "feed", 5, "alice", "PLAY", amount, request(ledger.next()))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger_url(migrated_postgres_url: str) -> AsyncIterator[str]:
    """A database with that ledger, which no test of this module changes for good."""
    async with fresh_database(migrated_postgres_url) as dsn:
        await store(dsn, rained())
        yield dsn


async def after(dsn: str, *statements: str) -> Report:
    """What the audit finds after `statements`, which are then rolled back."""
    connection = await asyncpg.connect(dsn)
    try:
        # Never committed: closing the connection undoes it.
        await connection.transaction().start()
        for statement in statements:
            await connection.execute(statement)
        return await examine(connection, Vault(KEY))
    finally:
        await connection.close()


async def test_rain_is_clean(ledger_url: str) -> None:
    report = await after(ledger_url)

    assert report.findings == []
    assert (report.transfers, report.messages_waiting) == (5, 2)
    assert report.of("PLAY").in_flight == 66


SENT = "update wallet_entries set {} where wallet_id = 1 and seq = {}"
DAMAGE = [
    ("a message lost", "leg_missing books", "delete from outbox where key = 3"),
    ("a way back lost", "return_missing books", "delete from outbox where key = 1"),
    (
        "a leg that became a tip",
        "leg_mismatch leg_without_origin",
        "update wallet_entries set kind = 'tip_received' where wallet_id = 2 and seq = 1",
    ),
    (
        "a refusal that became a tip's",
        "leg_mismatch leg_without_origin message_mismatch",
        "update wallet_entries set kind = 'tip_refused' where wallet_id = 4 and seq = 2",
    ),
    (
        "a message that became a tip's",
        "message_mismatch",
        "update outbox set command = 'ReceiveTip' where key = 3",
    ),
    (
        "a message of another amount",
        "message_mismatch books",
        "update outbox set body = jsonb_set(body, '{amount_minor}', '34') where key = 3",
    ),
    (
        "a leg of another amount",
        "leg_mismatch balance",
        "update wallet_entries set available_delta = 32 where wallet_id = 2 and seq = 1",
    ),
    (
        "a rain that sent nothing",
        "kind leg_mismatch balance rain",
        SENT.format("available_delta = 0", 2),
    ),
    (
        "a share sent twice to one",
        "leg_missing leg_without_origin rain",
        SENT.format("counterparty = 3", 2),
    ),
    (
        "a rain of more than fell",
        "rain",
        SENT.format("parameters = jsonb_set(parameters, '{receivers}', '4')", 2),
    ),
    (
        "a rain of another amount",
        "rain",
        SENT.format("parameters = jsonb_set(parameters, '{amount}', '102')", 2),
    ),
    # Two rains then seem to be one.
    ("a rain that says nothing", "rain", SENT.format("parameters = null", 5)),
    ("a first rain that says nothing", "rain", SENT.format("parameters = null", 2)),
    (
        "a share by another id",
        "rain",
        SENT.format("request_id = gen_random_uuid()", 3),
    ),
]


@pytest.mark.parametrize(
    ("checks", "statement"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE]
)
async def test_damage_is_noticed(ledger_url: str, checks: str, statement: str) -> None:
    report = await after(ledger_url, statement)

    assert {finding.check for finding in report.findings} == set(checks.split())
