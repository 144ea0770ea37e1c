"""What exists equals what came in, less what went out and what the house has made."""

from typing import Any, Final

import asyncpg

from storage.audit.report import Report

_COUNTS: Final = """
    select count(*) as rows, count(distinct wallet_id) as wallets,
        count(*) filter (where kind in ('tip_sent', 'rain_sent')) as transfers
    from wallet_entries
"""
_MOVED: Final = """
    select currency,
        coalesce(sum(available_delta) filter (where kind = 'deposit'), 0) as deposits,
        coalesce(sum(available_delta) filter (where kind = 'faucet'), 0) as faucet,
        coalesce(-sum(available_delta) filter (where kind = 'withdrawal'), 0) as withdrawals
    from wallet_entries group by currency
"""
_IN_WALLETS: Final = """
    select currency, sum(available_after + held_after) as wallets from (
        select distinct on (wallet_id, currency) currency, available_after, held_after
        from wallet_entries order by wallet_id, currency, seq desc
    ) newest group by currency
"""
# A delivered message stays a moment longer than its money: what arrived is in a wallet already.
# Those between wallets and tables have no amount: what is held stays in its wallet.
_IN_FLIGHT: Final = """
    select body ->> 'currency' as currency,
        sum((body ->> 'amount_minor')::numeric) as in_flight
    from outbox message
    where body ? 'amount_minor' and not exists (
        select from wallet_entries got
        where got.wallet_id = message.key and got.request_id = message.message_id
    )
    group by 1
"""


async def read_books(connection: asyncpg.Connection, report: Report) -> None:
    """Fill in the counts, and all totals except the house's."""
    counts: Any = await connection.fetchrow(_COUNTS)
    report.rows, report.wallets = counts["rows"], counts["wallets"]
    report.transfers = counts["transfers"]
    report.messages_waiting = await connection.fetchval("select count(*) from outbox")
    for query in (_MOVED, _IN_WALLETS, _IN_FLIGHT):
        for row in await connection.fetch(query):
            totals = report.of(row["currency"])
            for column, value in row.items():
                if column != "currency":
                    setattr(totals, column, int(value))


def check_books(report: Report) -> None:
    """Report currencies whose books do not balance."""
    for currency, totals in sorted(report.totals.items()):
        if totals.missing > 0:
            report.found("books", f"{totals.missing} {currency} are missing")
        elif totals.missing < 0:
            report.found("books", f"there are {-totals.missing} {currency} too many")
