"""Each row continues its predecessor, by number and by balance, and its kind fits what it did."""

from typing import Any, Final

import asyncpg

from storage.audit.report import Report
from storage.audit.stream import stream

# The window of a wallet and a currency sorts on disk when it must, so memory stays bounded.
_BROKEN: Final = """
    with linked as (
        select wallet_id, seq, currency, kind, available_delta, held_delta,
            available_after, held_after, stake, payout, hold,
            lag(seq, 1, 0::bigint) over (partition by wallet_id order by seq) as seq_before,
            lag(available_after, 1, 0::bigint) over balance as available_before,
            lag(held_after, 1, 0::bigint) over balance as held_before
        from wallet_entries
        window balance as (partition by wallet_id, currency order by seq)
    ), checked as (
        select *,
            seq = seq_before + 1 as gapless,
            available_after = available_before + available_delta
                and held_after = held_before + held_delta as continuous,
            available_after >= 0 and held_after >= 0 as covered,
            case
                when kind in (
                    'deposit', 'faucet', 'tip_received', 'tip_returned',
                    'rain_received', 'rain_returned'
                )
                    then available_delta > 0 and held_delta = 0
                when kind in ('withdrawal', 'tip_sent', 'rain_sent')
                    then available_delta < 0 and held_delta = 0
                when kind in ('tip_refused', 'rain_refused', 'reveal')
                    then available_delta = 0 and held_delta = 0
                when kind = 'bet' then available_delta = payout - stake and held_delta = 0
                when kind = 'hold'
                    then stake > 0 and available_delta = -stake and held_delta = stake
                when kind = 'settle'
                    then payout >= 0 and available_delta = payout and held_delta = -stake
                when kind = 'release' then available_delta = stake and held_delta = -stake
                else false
            end as sound
        from linked
    )
    select * from checked where not (gapless and continuous and covered and sound)
"""


async def check_chain(connection: asyncpg.Connection, report: Report) -> None:
    """Report every row that does not continue the one before it."""
    async for row in stream(connection, _BROKEN):
        _report(row, report)
        if report.full:
            return


def _report(row: Any, report: Report) -> None:
    at = (row["wallet_id"], row["seq"])
    if not row["gapless"]:
        report.found("gap", f"row {row['seq']} follows row {row['seq_before']}", *at)
    if not row["continuous"]:
        before = f"{row['available_before']} available and {row['held_before']} held"
        change = f"{row['available_delta']:+d} and {row['held_delta']:+d}"
        after = f"{row['available_after']} and {row['held_after']}"
        report.found("balance", f"{before} {row['currency']}, {change}, made {after}", *at)
    if not row["covered"]:
        report.found("negative", f"the {row['currency']} balance is negative", *at)
    if not row["sound"]:
        change = f"{row['available_delta']:+d} {row['currency']} ({row['held_delta']:+d} held)"
        report.found("kind", f"a row of kind {row['kind']} cannot change {change}", *at)
