"""Crash rounds that are over, newest first, with what verifies them."""

from typing import Final

import asyncpg

from protocol.commands.crash import GetRounds, RoundRecord, Rounds, round_id
from storage.borrow import borrow

_PAGE: Final = """
    select e.round, e.multiplier, e.hash, e.position, e.bets, e.stake, e.payout, e.at_ms,
        e.kind = 'voided' as voided, c.public_seed, c.terminal_hash,
        o.edge_percent, o.multiplier as most_multiplier
    from crash_entries e
    join crash_entries o on o.table_id = e.table_id and o.round = e.round and o.kind = 'opened'
    join crash_chains c on c.id = e.chain_id
    where e.table_id = $1 and e.kind in ('crashed', 'voided') and e.round < $2
    order by e.round desc limit $3
"""
_NEWEST: Final = 2**63 - 1


async def rounds(pool: asyncpg.Pool, command: GetRounds) -> Rounds:
    """A page of a table's rounds. Raises Failure `storage_unavailable`."""
    async with borrow(pool) as connection:
        rows = await connection.fetch(
            _PAGE, command.table, command.before or _NEWEST, command.limit + 1
        )
    shown = [
        RoundRecord(
            round_id=round_id(command.table, row["round"]),
            number=row["round"],
            bust=row["multiplier"],
            hash=row["hash"],
            public_seed=row["public_seed"],
            terminal_hash=row["terminal_hash"],
            edge_percent=row["edge_percent"],
            most_multiplier=row["most_multiplier"],
            position=row["position"],
            bets=row["bets"],
            staked=row["stake"],
            paid=row["payout"],
            voided=row["voided"],
            at_ms=row["at_ms"],
        )
        for row in rows[: command.limit]
    ]
    return Rounds(rounds=shown, next_before=shown[-1].number if len(rows) > len(shown) else None)
