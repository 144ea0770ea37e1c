"""The audit settles limbo and plinko by arithmetic of its own, and names what is wrong there."""

from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio

from actors.fairness import Words
from actors.limbo import odds as limbo_odds
from actors.plinko import odds as plinko_odds
from storage.audit import limbo, plinko
from tests.audit.ledger import ALICE, Ledger, store
from tests.audit.test_audit import after
from tests.support.databases import fresh_database
from tests.support.wallets import drop
from tests.support.wallets import limbo as play_limbo

# In the ledger below Alice's row 1 is a deposit; limbo is rows 2 to 11, plinko rows 12 to 21.
LIMBO_ROW, PLINKO_ROW = 6, 16


def played() -> Ledger:
    ledger = Ledger()
    ledger.fund(ALICE, 1_000_000)
    ledger.do(ALICE, *(play_limbo(ledger.next(), 1_000, 150) for _ in range(10)))
    ledger.do(ALICE, *(drop(ledger.next(), 1_000, 12, "high") for _ in range(10)))
    return ledger


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger_url(migrated_postgres_url: str) -> AsyncIterator[str]:
    """A database with this ledger, which no test changes for good."""
    async with fresh_database(migrated_postgres_url) as dsn:
        await store(dsn, played())
        yield dsn


async def test_a_clean_ledger_passes(ledger_url: str) -> None:
    report = await after(ledger_url)

    assert report.findings == []
    assert report.bets == 20
    assert report.totals["PLAY"].house == 1_000_000 - played().available(ALICE)


@pytest.mark.parametrize(
    ("row", "change", "checks"),
    [
        (LIMBO_ROW, "outcome = jsonb_set(outcome, '{result}', '99')", {"outcome"}),
        (LIMBO_ROW, "outcome = outcome - 'won'", {"outcome"}),
        (LIMBO_ROW, "parameters = jsonb_set(parameters, '{target}', '100')", {"parameters"}),
        (LIMBO_ROW, "parameters = jsonb_set(parameters, '{target}', '100000001')", {"parameters"}),
        (LIMBO_ROW, "parameters = jsonb_set(parameters, '{risk}', '1')", {"parameters"}),
        (LIMBO_ROW, "game = 'plinko'", {"parameters"}),
        (PLINKO_ROW, "outcome = jsonb_set(outcome, '{bucket}', '0')", {"outcome"}),
        (PLINKO_ROW, "outcome = jsonb_set(outcome, '{multiplier}', '99')", {"outcome"}),
        (PLINKO_ROW, "parameters = jsonb_set(parameters, '{rows}', '17')", {"parameters"}),
        (PLINKO_ROW, "parameters = jsonb_set(parameters, '{risk}', '\"x\"')", {"parameters"}),
        (PLINKO_ROW, "game = 'limbo'", {"parameters"}),
        (LIMBO_ROW, "payout = payout + 1, available_delta = available_delta + 1", {"payout"}),
        (PLINKO_ROW, "payout = payout + 1, available_delta = available_delta + 1", {"payout"}),
    ],
)
async def test_damage_is_named(ledger_url: str, row: int, change: str, checks: set[str]) -> None:
    where = f"where wallet_id = 1 and seq = {row}"
    report = await after(ledger_url, f"update wallet_entries set {change} {where}")  # noqa: S608 - ours
    found = {finding.check for finding in report.findings if finding.seq == row}

    # A payout that moved breaks the chain of balances as well.
    assert found - {"balance"} == checks


def test_the_audit_agrees_with_the_game_of_limbo() -> None:
    random = Random(5)
    for nonce in range(3_000):
        seeds = f"server {nonce}", f"client {nonce}"
        stake, target = random.randint(1, 2**53), random.choice([101, 150, 9_999, 10**8])
        result = limbo_odds.result(Words(*seeds).first(nonce))
        won = result >= target
        payout = limbo_odds.payout(stake, target) if won else 0

        assert limbo.settle(*seeds, nonce, stake, f'{{"target":{target}}}') == (
            {"result": result, "won": won},
            payout,
        )


@pytest.mark.parametrize(("rows", "risk"), plinko_odds.BOARDS)
def test_the_audit_agrees_with_the_game_of_plinko(rows: int, risk: str) -> None:
    random = Random(f"{rows} {risk}")
    for nonce in range(300):
        seeds = f"server {nonce} {risk}", f"client {rows}"
        stake = random.randint(1, 2**53)
        bucket = plinko_odds.bucket(Words(*seeds).of(nonce), rows)
        multiplier = plinko_odds.multiplier(rows, risk, bucket)

        assert plinko.settle(*seeds, nonce, stake, f'{{"rows":{rows},"risk":"{risk}"}}') == (
            {"bucket": bucket, "multiplier": multiplier},
            plinko_odds.payout(stake, multiplier),
        )


def test_the_audit_knows_the_same_boards() -> None:
    """Every bucket: the rare ones are not reached by a few hundred balls."""
    mirrored = {
        board: tuple(plinko._BOARDS[board][abs(2 * k - board[0]) // 2] for k in range(board[0] + 1))
        for board in plinko._BOARDS
    }

    assert mirrored == plinko_odds.BOARDS
