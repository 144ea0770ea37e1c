"""What the database has in the end, held against everything that players were told."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from storage.audit import audit
from storage.vault import Vault
from tests.cluster.player import Player
from tests.support.clusters import LIMIT_S, SETTINGS
from tests.support.promises import Fields, kept

_ENTRIES: Final = """
    select * from wallet_entries where kind in ('bet', 'hold', 'tip_sent') and wallet_id = $1
"""
_OPEN: Final = """
    select wallet_id, seq, game from wallet_entries hold where kind = 'hold' and not exists (
        select from wallet_entries ending
        where ending.wallet_id = hold.wallet_id and ending.hold = hold.seq
            and ending.kind in ('settle', 'release')
    )
"""
_WAITING: Final = "select message_id, command, key from outbox"
_CASHED_OUT: Final = """
    select wallet_id || '-' || hold as bet_id, multiplier, payout from crash_entries
    where kind = 'cashed_out'
"""


async def calm(connection: asyncpg.Connection) -> None:
    """Wait until every hold has ended and every message has arrived; nobody plays any more."""
    left: tuple[Any, Any] = ((), ())
    try:
        async with asyncio.timeout(LIMIT_S):
            while any(left := (await connection.fetch(_OPEN), await connection.fetch(_WAITING))):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"open holds and messages for {LIMIT_S:.0f} s: {left}") from None


async def check(connection: asyncpg.Connection, dsn: str, players: Sequence[Player]) -> None:
    """No promise is lost, nothing was done twice, and the audit finds nothing."""
    refused = [refusal for player in players for refusal in player.refused]
    assert not refused, f"refused for good, with nothing wrong: {refused}"
    paid = {row["bet_id"]: row for row in await connection.fetch(_CASHED_OUT)}
    for player in players:
        rows = await connection.fetch(_ENTRIES, player.user_id)
        by_id = {str(row["request_id"]): row for row in rows}
        # The index on request ids would refuse a second row of one.
        assert len(by_id) == len(rows)
        lost = player.promised.keys() - by_id
        assert not lost, f"acknowledged, and not in the ledger: {lost}"
        twice = by_id.keys() - player.promised.keys() - player.late
        assert not twice, f"in the ledger under another id than was acknowledged: {twice}"
        for request_id, promised in player.promised.items():
            assert kept(promised, by_id[request_id]), (promised, by_id[request_id])
        for told in player.cashed_out:
            assert _is_paid(told, paid.get(told["bet_id"])), told
    report = await audit(dsn, Vault(base64.b64decode(SETTINGS["PITBOSS_SEED_ENCRYPTION_KEY"])))
    assert not report.findings, report.findings
    assert report.messages_waiting == 0
    assert report.transfers > 0
    assert report.rounds > 0


def _is_paid(told: Fields, row: Any) -> bool:
    return row is not None and (told["multiplier"], told["payout"]) == (
        row["multiplier"],
        row["payout"],
    )
