"""The audit names every wager that its player's limits should have refused, and limits made wrong.

What is damaged is what a node with a broken guard would have written.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
import pytest
import pytest_asyncio

from actors.wallet.commands import ReleaseHold, SettleHold
from actors.wallet.facts import RestrictionSet
from protocol.commands.limits import CoolOff, Exclude, LimitKind, Period, SetLimit
from protocol.commands.mines import StartMines
from storage.audit import Report, audit
from storage.audit.limits import check_limits
from storage.vault import Vault
from tests.audit.ledger import ALICE, BOB, KEY, Ledger, store
from tests.support.databases import fresh_database
from tests.support.wallets import request

HOUR = 3_600_000
DAY = 24 * HOUR
STAKE, LOSS, DEPOSIT = LimitKind.STAKE, LimitKind.LOSS, LimitKind.DEPOSIT
MONDAY = int(datetime(2027, 3, 29, tzinfo=UTC).timestamp() * 1_000)


def restricted() -> Ledger:
    """Alice's rows by number: 1 deposit, before any limit; 2 to 3 bets of 300 on a Monday; then
    limits: 1,000 staked a day, 9,000 lost a week, deposits of 500 a month; 4 to 5 bets of 200; 6
    deposit of 400; the stake limit to 2,000, from tomorrow on; the next day 7 to 8 bets of 100; on
    Wednesday 9 a bet of 1,500 and 10 a hold of 300, settled as 11; 12 a hold of 100; a break of an
    hour; on April the first 12 is released as 13, 14 a deposit of 500, and an exclusion.

    Bob has no limits: 1 deposit, 2 to 4 bets.
    """  # noqa: D205 - a table, not a summary
    ledger = Ledger()
    ledger.set_clock(MONDAY - 90 * DAY)
    ledger.fund(ALICE, 1_000_000)
    ledger.set_clock(MONDAY)
    ledger.fund(BOB, 1_000_000)
    ledger.bets(ALICE, 2, 300)
    ledger.do(ALICE, SetLimit(STAKE, Period.DAY, "PLAY", 1_000))
    ledger.do(ALICE, SetLimit(LOSS, Period.WEEK, "PLAY", 9_000))
    ledger.do(ALICE, SetLimit(DEPOSIT, Period.MONTH, "PLAY", 500))
    ledger.bets(ALICE, 2, 200)
    ledger.fund(ALICE, 400)
    ledger.set_clock(MONDAY + HOUR)
    ledger.do(ALICE, SetLimit(STAKE, Period.DAY, "PLAY", 2_000))
    ledger.set_clock(MONDAY + DAY)
    ledger.bets(ALICE, 2, 100)
    ledger.set_clock(MONDAY + 2 * DAY)
    ledger.bets(ALICE, 1, 1_500)
    ledger.do(ALICE, StartMines(300, "PLAY", 3, request(ledger.next())))
    ledger.do(ALICE, SettleHold(10, 0, '{"mines":[],"picked":[],"multiplier":0,"ended":"mine"}'))
    ledger.do(ALICE, StartMines(100, "PLAY", 3, request(ledger.next())))
    ledger.do(ALICE, CoolOff(1))
    ledger.set_clock(MONDAY + 3 * DAY)
    ledger.do(ALICE, ReleaseHold(12, '{"reason":"voided"}'))
    ledger.fund(ALICE, 500)
    ledger.do(ALICE, Exclude(180))
    ledger.bets(BOB, 3, 5_000)
    return ledger


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger_url(migrated_postgres_url: str) -> AsyncIterator[str]:
    """A database with the ledger of `restricted`, which no test of this module changes."""
    async with fresh_database(migrated_postgres_url) as dsn:
        await store(dsn, restricted())
        yield dsn


async def after(dsn: str, *statements: str) -> Report:
    """What this check finds after `statements`, which are then rolled back."""
    connection = await asyncpg.connect(dsn)
    try:
        # Never committed: closing the connection undoes it.
        await connection.transaction().start()
        for statement in statements:
            await connection.execute(statement)
        report = Report()
        await check_limits(connection, report)
        return report
    finally:
        await connection.close()


def test_the_ledger_is_the_one_described() -> None:
    facts = restricted().facts[ALICE]
    kinds = [fact.kind for fact in restricted().entries(ALICE)]
    assert kinds == [
        *["deposit", "bet", "bet", "bet", "bet", "deposit", "bet", "bet", "bet"],
        *["hold", "settle", "hold", "release", "deposit"],
    ]
    made = [(f.after_seq, f.kind) for f in facts if isinstance(f, RestrictionSet)]
    assert made == [
        (3, "stake"),
        (3, "loss"),
        (3, "deposit"),
        (6, "stake"),
        (12, "cool_off"),
        (14, "exclusion"),
    ]


async def test_a_ledger_within_its_limits_is_clean(ledger_url: str) -> None:
    assert (await after(ledger_url)).findings == []


async def test_the_whole_audit_looks_at_limits(database_url: str) -> None:
    ledger = Ledger()
    ledger.fund(ALICE, 1_000)
    ledger.do(ALICE, SetLimit(STAKE, Period.DAY, "PLAY", 100))
    ledger.bets(ALICE, 1, 100)
    await store(database_url, ledger)
    assert (await audit(database_url, Vault(KEY))).clean
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("update wallet_restrictions set amount = 99")
    finally:
        await connection.close()
    findings = (await audit(database_url, Vault(KEY))).findings
    assert [(one.check, one.wallet_id, one.seq) for one in findings] == [("beyond_limit", ALICE, 2)]


class Damage(NamedTuple):
    """What is done, and which rows must be named by which check, no others."""

    name: str
    found: set[tuple[str, int]]
    statements: tuple[str, ...]


def harm(name: str, found: set[tuple[str, int]], *statements: str) -> Damage:
    return Damage(name, found, statements)


def changed(number: int, assignment: str) -> str:
    """The statement that changes one of Alice's restrictions."""
    return f"update wallet_restrictions set {assignment} where number = {number}"  # noqa: S608 - a test's own


def entry(seq: int, assignment: str) -> str:
    """The statement that changes one of Alice's entries."""
    return (
        f"update wallet_entries set {assignment}"  # noqa: S608 - a test's own
        f" where wallet_id = 1 and seq = {seq}"
    )


BEYOND, BREAK = "beyond_limit", "in_break"
LOOSENED, ORDER = "restriction_loosened", "restriction_order"

DAMAGE = [
    harm("a stake beyond the limit", {(BEYOND, 5)}, entry(5, "stake = stake + 1")),
    # What was staked before the limit was set counts on that day.
    harm("stakes before the limit", {(BEYOND, 5)}, entry(2, "stake = stake + 1")),
    harm("stakes of the day before", set(), entry(2, f"at_ms = {MONDAY - 1}")),
    harm(
        "stakes beyond the raised limit", {(BEYOND, 10), (BEYOND, 12)}, changed(4, "amount = 1799")
    ),
    harm(
        "stakes that used the raise before it came",
        {(BEYOND, 7), (BEYOND, 8)},
        entry(7, "stake = 1001"),
        entry(8, "stake = 1001"),
        entry(10, "stake = 1"),
    ),
    harm("a hold beyond the limit", {(BEYOND, 10), (BEYOND, 12)}, entry(10, "stake = 501")),
    harm(
        "losses beyond the limit, but where what was won made room",
        {(BEYOND, 4), (BEYOND, 7), (BEYOND, 8), (BEYOND, 9)},
        changed(2, "amount = 99"),
    ),
    harm("a deposit beyond the limit", {(BEYOND, 6), (BEYOND, 14)}, changed(3, "amount = 399")),
    harm("a deposit in a month with others", {(BEYOND, 14)}, entry(14, "available_delta = 501")),
    harm("a raise without its day", {(LOOSENED, 6)}, changed(4, "effective_at_ms = at_ms")),
    harm("a raise that waits too long", {(LOOSENED, 6)}, changed(4, "effective_at_ms = at_ms * 2")),
    harm("a cut that waits", {(LOOSENED, 3)}, changed(2, "effective_at_ms = at_ms + 1")),
    harm("a break with play in it", {(BREAK, 14)}, changed(5, "until_ms = until_ms + 172800000")),
    harm(
        "a break made shorter",
        {(LOOSENED, 14)},
        changed(5, "kind = 'exclusion', until_ms = at_ms + 1"),
        changed(6, f"until_ms = {MONDAY}"),
    ),
    harm(
        "play after an exclusion for good",
        {(BREAK, 4), (BREAK, 5), (BREAK, 6), (BREAK, 7), (BREAK, 8), (BREAK, 9)}
        | {(BREAK, 10), (BREAK, 12), (BREAK, 14), (LOOSENED, 14)},
        changed(3, "kind = 'exclusion', period = null, currency = null, amount = null"),
    ),
    harm(
        "a restriction that is missing",
        {(ORDER, 3)},
        "delete from wallet_restrictions where number = 2",
    ),
    harm("a restriction after another row", {(ORDER, 2)}, changed(4, "after_seq = 2")),
    harm("a restriction ahead of the rows", {(ORDER, 15)}, changed(6, "after_seq = 15")),
]


@pytest.mark.parametrize("done", DAMAGE, ids=lambda done: done.name)
async def test_damage_is_named(ledger_url: str, done: Damage) -> None:
    report = await after(ledger_url, *done.statements)
    found: set[tuple[str, Any]] = {(one.check, one.seq) for one in report.findings}
    assert found == done.found
    assert {one.wallet_id for one in report.findings} <= {ALICE}
