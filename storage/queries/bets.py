"""Bets with everything that verifies them, as far as they are over and it is revealed."""

from typing import Any, Final

import asyncpg
import msgspec

from protocol.commands.bets import BetHistory, BetRecord, BetState, GetBet, GetBets
from protocol.errors import NOT_FOUND, Failure
from protocol.ids import bet_id, parse_bet_id
from storage.borrow import borrow
from storage.queries.stretch import find_stretch
from storage.rows import open_seed
from storage.vault import Vault

# `revealed` is whether a later server seed exists, which is exactly when this one may be shown. An
# instant bet is its own ending; a hold has one once it is over, found by an index of endings alone.
_BETS: Final = """
    select e.wallet_id, e.seq, e.game, e.currency, e.stake, e.parameters, e.pair, e.nonce, e.at_ms,
        coalesce(ending.kind, e.kind) as kind,
        coalesce(ending.payout, e.payout) as payout, coalesce(ending.outcome, e.outcome) as outcome,
        p.client_seed, p.server_seed_hash, p.sealed_server_seed, p.server_number,
        exists (
            select from wallet_seed_pairs later
            where later.wallet_id = e.wallet_id and later.number > p.number
                and later.server_number > p.server_number
        ) as revealed
    from wallet_entries e
    left join wallet_seed_pairs p on p.wallet_id = e.wallet_id and p.number = e.pair
    left join lateral (
        select kind, payout, outcome from wallet_entries
        where e.kind = 'hold' and wallet_id = e.wallet_id and hold = e.seq
            and kind in ('settle', 'release')
        limit 1
    ) ending on true
    where e.wallet_id = $1 and e.kind in ('bet', 'hold')
"""
_PAGE: Final = f"{_BETS} and e.seq >= $2 and e.seq < $3 order by e.seq desc limit $4"
_ONE: Final = f"{_BETS} and e.seq = $2"

_STATES: Final = {
    "bet": BetState.SETTLED,
    "hold": BetState.OPEN,
    "settle": BetState.SETTLED,
    "release": BetState.RELEASED,
}


class Bets:
    """Queries over bets. Sealed server seeds are opened only once they are revealed.

    Every query may raise Failure `storage_unavailable`.
    """

    def __init__(self, pool: asyncpg.Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def page(self, wallet_id: int, command: GetBets) -> BetHistory:
        """A page of the wallet's bets, newest first."""
        async with borrow(self._pool) as connection:
            stretch = await find_stretch(connection, wallet_id, command.before)
            rows = await connection.fetch(_PAGE, wallet_id, *stretch, command.limit + 1)
        bets = [self._record(row) for row in rows[: command.limit]]
        left_out = bets[-1].seq if len(rows) > command.limit else None
        return BetHistory(bets=bets, next_before=stretch.next_before(left_out))

    async def one(self, wallet_id: int, command: GetBet) -> BetRecord:
        """One bet of the wallet. Raises Failure `not_found`."""
        parsed = parse_bet_id(command.bet_id)
        if parsed is None or parsed[0] != wallet_id:
            raise Failure(NOT_FOUND)
        async with borrow(self._pool) as connection:
            row = await connection.fetchrow(_ONE, *parsed)
        if row is None:
            raise Failure(NOT_FOUND)
        return self._record(row)

    def _record(self, row: Any) -> BetRecord:
        return BetRecord(
            bet_id=bet_id(row["wallet_id"], row["seq"]),
            game=row["game"],
            state=_STATES[row["kind"]],
            currency=row["currency"],
            stake=row["stake"],
            payout=row["payout"],
            parameters=msgspec.json.decode(row["parameters"]),
            outcome=None if row["outcome"] is None else msgspec.json.decode(row["outcome"]),
            pair=row["pair"],
            nonce=row["nonce"],
            client_seed=row["client_seed"],
            server_seed_hash=row["server_seed_hash"],
            server_seed=open_seed(self._vault, row) if row["revealed"] else None,
            seq=row["seq"],
            at_ms=row["at_ms"],
        )
