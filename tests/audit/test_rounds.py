"""The audit computes every crash round anew, and names what does not fit it."""

from collections.abc import AsyncIterator
from itertools import product

import asyncpg
import pytest
import pytest_asyncio

from protocol.ids import settlement_id, table_message_id
from storage.audit.stakes import settlement_id_sql, table_message_id_sql
from tests.audit.crash_ledger import CrashLedger, played, store
from tests.audit.ledger import ALICE, BOB, CAROL, DAVE
from tests.audit.test_audit import after
from tests.support.databases import fresh_database

FREE = (
    "alter table crash_entries drop constraint crash_entries_columns",
    "drop index crash_entries_opened",
    "drop index crash_entries_over",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger_url(migrated_postgres_url: str) -> AsyncIterator[str]:
    """A database with this ledger, which no test changes for good."""
    async with fresh_database(migrated_postgres_url) as dsn:
        await store(dsn, played())
        yield dsn


def ends(ledger: CrashLedger) -> list[tuple[int, int, str]]:
    """How bets ended: round, wallet and kind."""
    over = {"returned", "left", "cashed_out", "lost", "refunded"}
    return [(r.round, r.wallet_id or 0, r.kind) for r in ledger.felt.rows if r.kind in over]


async def test_a_clean_ledger_passes(ledger_url: str) -> None:
    ledger = played()
    report = await after(ledger_url)

    assert report.findings == []
    assert (report.rounds, report.bets, report.messages_waiting) == (3, 9, 2)
    assert ends(ledger)[:5] == [
        (1, DAVE, "left"),
        (1, DAVE, "returned"),
        (1, ALICE, "cashed_out"),
        (1, BOB, "cashed_out"),
        (1, CAROL, "lost"),
    ]
    assert {(who, kind) for number, who, kind in ends(ledger) if number == 2} >= {(BOB, "refunded")}
    assert ledger.felt.round.betting
    assert ALICE in ledger.felt.round.bets


# The rows of the table that are named below.
ROW = {
    "opened 1": "kind = 'opened' and round = 1",
    "opened 2": "kind = 'opened' and round = 2",
    "started": "kind = 'started' and round = 1",
    "crashed": "kind = 'crashed'",
    "voided": "kind = 'voided'",
    "target": f"kind = 'cashed_out' and round = 1 and wallet_id = {ALICE}",
    "by hand": f"kind = 'cashed_out' and round = 1 and wallet_id = {BOB}",
    "joined": f"kind = 'joined' and round = 1 and wallet_id = {BOB}",
    "carol": f"kind = 'joined' and round = 1 and wallet_id = {CAROL}",
    "lost": "kind = 'lost'",
    "left": "kind = 'left'",
    "returned": "kind = 'returned'",
    "refunded": f"kind = 'refunded' and wallet_id = {BOB}",
}
DAMAGE = [
    (
        "a missing row",
        "round_bets round_gap round_sums stake_unfounded",
        "delete from",
        "by hand",
        "",
    ),
    ("a bust", "round_bust round_time", "update", "crashed", "multiplier = multiplier + 1"),
    ("a hash", "round_hash round_bust", "update", "crashed", "hash = repeat('0', 64)"),
    ("a voided hash", "round_hash round_bust", "update", "voided", "hash = repeat('0', 64)"),
    ("an edge", "round_bust", "update", "opened 1", "edge_percent = 40"),
    ("a cap", "round_bust", "update", "opened 1", "multiplier = 101"),
    ("a place in the chain", "round_hash", "update", "opened 2", "position = 3"),
    ("a chain of another table", "round_hash", "update", "opened 1", "chain_id = 9"),
    ("bets", "round_sums", "update", "crashed", "bets = bets + 1"),
    ("stakes", "round_sums", "update", "crashed", "stake = stake + 1"),
    ("payouts", "round_sums", "update", "voided", "payout = payout + 1"),
    ("a round's number", "round_order", "update", "opened 2", "round = 7"),
    (
        "a start of another round",
        "round_order round_payout round_time",
        "update",
        "started",
        "round = 2",
    ),
    ("a payout", "round_payout round_sums stake_end", "update", "target", "payout = payout + 1"),
    (
        "more than the bust",
        "round_payout round_sums stake_end",
        "update",
        "by hand",
        "multiplier = 99999, payout = 2000 * 99999 / 100",
    ),
    ("more than a bet may win", "round_payout", "update", "joined", "target = 101"),
    ("another target", "round_payout stake_end", "update", "target", "reason = 'manual'"),
    ("a moment of cashing out", "round_payout", "update", "by hand", "at_ms = at_ms - 2000"),
    ("a target paid early", "round_payout", "update", "target", "at_ms = at_ms - 5000"),
    ("an early end", "round_time", "update", "crashed", "at_ms = at_ms - 2000"),
    (
        "a target that was not paid",
        "round_payout stake_join",
        "update",
        "carol",
        "auto_cashout = 150",
    ),
    ("a stake", "round_payout round_sums stake_join", "update", "joined", "stake = 2001"),
    ("a hold", "round_bets round_sums stake_join", "update", "joined", "hold = 900"),
    (
        "a bet of somebody else",
        "round_bets stake_end stake_message",
        "update",
        "lost",
        "hold = 900",
    ),
    (
        "a loss that was paid",
        "round_payout stake_message",
        "update",
        "lost",
        "payout = 5",
    ),
    ("a refund called a loss", "round_order stake_end", "update", "refunded", "kind = 'lost'"),
    ("a crash called a void", "round_order", "update", "crashed", "kind = 'voided'"),
    (
        "a leave after the start",
        "round_order round_sums stake_end",
        "update",
        "left",
        "kind = 'lost'",
    ),
    ("a reason", "stake_end", "update", "returned", "reason = 'round_full'"),
]


@pytest.mark.parametrize(("name", "checks", "verb", "row", "change"), DAMAGE)
async def test_damage_is_named(
    ledger_url: str, name: str, checks: str, verb: str, row: str, change: str
) -> None:
    changes = f"set {change} " if change else ""
    statement = f"{verb} crash_entries {changes}where {ROW[row]}"
    found = {finding.check for finding in (await after(ledger_url, *FREE, statement)).findings}

    assert found == {*checks.split()}, name


WALLETS = [
    (
        "a stake that no table heard of",
        "stake_join",
        "delete from outbox where command = 'Join'",
    ),
    (
        "an end that was never told",
        "stake_end",
        "delete from outbox where command = 'SettleHold'",
    ),
    (
        "a settlement of another payout",
        "stake_end",
        "update wallet_entries set payout = payout + 1 where kind = 'settle' and wallet_id = 2",
    ),
    (
        "a settlement called a release",
        "stake_end",
        "update wallet_entries set kind = 'release' where kind = 'settle' and wallet_id = 1",
    ),
    (
        "an end by another id",
        "stake_end",
        """update wallet_entries set request_id = gen_random_uuid()
        where kind = 'release' and wallet_id = 4""",
    ),
    (
        "an outcome",
        "stake_end",
        """update wallet_entries set outcome = jsonb_set(outcome, '{multiplier}', '7')
        where kind = 'settle'""",
    ),
    (
        "an end that no table gave",
        "stake_end stake_unfounded",
        "update wallet_entries set hold = 999 where kind = 'release' and wallet_id = 4",
    ),
    (
        "a stake for another round",
        "stake_join",
        """update wallet_entries set parameters = jsonb_set(parameters, '{round_id}', '"1-9"')
        where kind = 'hold' and wallet_id = 3""",
    ),
    (
        "a message about another round",
        "stake_message",
        "update outbox set body = jsonb_set(body, '{round}', '9') where command = 'Join'",
    ),
    (
        "a message of another payout",
        "stake_message",
        """update outbox set body = jsonb_set(body, '{payout_minor}', '9')
        where command = 'SettleHold'""",
    ),
    (
        "a message to another wallet",
        "stake_message",
        "update outbox set key = 77 where command = 'SettleHold'",
    ),
    (
        "a message that nobody sent",
        "stake_message stake_join",
        "update outbox set message_id = gen_random_uuid() where command = 'Join'",
    ),
]


@pytest.mark.parametrize(("name", "checks", "statement"), WALLETS, ids=[one[0] for one in WALLETS])
async def test_a_wallet_that_says_something_else_is_named(
    ledger_url: str, name: str, checks: str, statement: str
) -> None:
    free = (
        "drop index wallet_entries_ending",
        "alter table wallet_entries drop constraint wallet_entries_play",
    )
    found = {finding.check for finding in (await after(ledger_url, *free, statement)).findings}
    of_tables = {check for check in found if check.startswith(("stake_", "round_"))}

    assert of_tables == {*checks.split()}, name


async def test_ids_in_sql_are_those_of_the_protocol(database_url: str) -> None:
    edges = [1, 2, 4_095, 4_096, 2**48, 2**58]
    connection = await asyncpg.connect(database_url)
    try:
        for pair in product(edges, edges):
            of_table = table_message_id_sql("$1::bigint", "$2::bigint")
            assert await connection.fetchval(f"select {of_table}", *pair) == table_message_id(*pair)
            ending = settlement_id_sql("$1::bigint", "$2::bigint")
            assert await connection.fetchval(f"select {ending}", *pair) == settlement_id(*pair)
    finally:
        await connection.close()
