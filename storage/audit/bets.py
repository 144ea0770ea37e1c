"""Every bet came to what its seeds say, every seed is the one that was promised, none drew twice.

Rows and seed pairs are read side by side, each in its order, so that memory holds one of each.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import asyncpg
import msgspec

from storage.audit import dice, limbo, plinko
from storage.audit.holds import Holds
from storage.audit.report import Report
from storage.audit.seeds import Seeds
from storage.audit.stream import stream
from storage.rows import open_seed
from storage.vault import Vault, WrongKeyError

Settle = Callable[[str, str, int, int, str], tuple[dict[str, Any], int]]
"""From server seed, client seed, nonce, stake and parameters to the outcome and the payout."""

GAMES: Final[dict[str, Settle]] = {
    "dice": dice.settle,
    "limbo": limbo.settle,
    "plinko": plinko.settle,
}

_ROWS: Final = """
    select wallet_id, seq, currency, kind, held_after, game, stake, payout, pair, nonce, parameters,
        outcome, hold
    from wallet_entries order by wallet_id, seq
"""
_PAIRS: Final = "select * from wallet_seed_pairs order by wallet_id, number"
_REUSED: Final = """
    select server_seed_hash, min(wallet_id) as wallet_id
    from (select distinct wallet_id, server_number, server_seed_hash from wallet_seed_pairs) seeds
    group by server_seed_hash having count(*) > 1
"""


async def check_bets(connection: asyncpg.Connection, vault: Vault, report: Report) -> None:
    """Report bets and seed pairs that are not what they must be, and total the house's result.

    All rows are read, however much is found: the house's result needs each bet, and what is held
    is compared at each row.
    """
    seeds = Seeds(report)
    holds = Holds(seeds, report)
    pairs = _Pairs(stream(connection, _PAIRS), vault, seeds, report)
    await pairs.next()
    async for row in stream(connection, _ROWS):
        while pairs.comes_before(row):
            await pairs.take()
        house = holds.enter(row)
        if row["kind"] == "bet":
            report.bets += 1
            house = row["stake"] - _check(row, seeds, report)
        report.of(row["currency"]).house += house
    while pairs.row is not None:
        await pairs.take()
    async for row in stream(connection, _REUSED):
        text = f"the server seed of hash {row['server_seed_hash']} is used twice"
        report.found("seed_reused", text, row["wallet_id"])


class _Pairs:
    """The stream of seed pairs, with the next one at hand."""

    def __init__(
        self, rows: AsyncIterator[Any], vault: Vault, seeds: Seeds, report: Report
    ) -> None:
        self._rows = rows
        self._vault = vault
        self._seeds = seeds
        self._report = report
        self.row: Any = None

    async def next(self) -> None:
        """Look at the next row."""
        self.row = await anext(self._rows, None)

    def comes_before(self, entry: Any) -> bool:
        """Whether the next pair was issued before this entry."""
        row = self.row
        return row is not None and (row["wallet_id"], row["after_seq"]) < (
            entry["wallet_id"],
            entry["seq"],
        )

    async def take(self) -> None:
        """Let the next pair be the one that bets draw from."""
        self._report.seed_pairs += 1
        try:
            server_seed = open_seed(self._vault, self.row)
        except WrongKeyError:
            server_seed = None
        self._seeds.issue(self.row, server_seed)
        await self.next()


def _check(bet: Any, seeds: Seeds, report: Report) -> int:
    """Compare a bet with what it must be, and return the payout that it must have."""
    at = (bet["wallet_id"], bet["seq"])
    paid: int = bet["payout"]
    settle = GAMES.get(bet["game"])
    if settle is None:
        report.found("game", f"there is no game {bet['game']}", *at)
        return paid
    drawn = seeds.draw(bet)
    if drawn is None:
        return paid
    try:
        outcome, payout = settle(*drawn, bet["nonce"], bet["stake"], bet["parameters"])
    except (ValueError, msgspec.DecodeError) as error:
        report.found("parameters", f"{bet['parameters']}: {error}", *at)
        return paid
    if msgspec.json.decode(bet["outcome"]) != outcome:
        text = f"the row says {bet['outcome']}, the seeds say {outcome}"
        report.found("outcome", text, *at)
    if paid != payout:
        report.found("payout", f"{paid} was paid, {payout} is due", *at)
    return payout
