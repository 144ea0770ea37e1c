"""The rows of each rain are what its first row says: so many equal shares, to as many players."""

from typing import Final

import asyncpg

from storage.audit.report import Report
from storage.audit.stream import stream
from storage.audit.transfers import message_id_sql

_OWN_ID: Final = message_id_sql("wallet_id", "seq")
# Rows before a wallet's first rain that says what it is are in a group of their own, numbered 0.
_BROKEN: Final = f"""
    with sent as (
        select *, count(parameters) over (partition by wallet_id order by seq) as rain
        from wallet_entries where kind = 'rain_sent'
    ), rains as (
        select wallet_id, rain, min(seq) as seq, count(*) as rows,
            max(seq) - min(seq) + 1 as stretch,
            count(distinct counterparty) as receivers,
            count(distinct (currency, available_delta, at_ms)) as shares,
            -min(available_delta) as share,
            count(*) filter (where parameters is null and request_id = {_OWN_ID}) as own_ids,
            (array_agg(parameters order by seq))[1] as said
        from sent group by wallet_id, rain
    )
    select wallet_id, seq, rows, share, said from rains
    where (
        rain > 0 and shares = 1 and stretch = rows and receivers = rows and own_ids = rows - 1
        and (said ->> 'receivers')::bigint = rows and (said ->> 'amount')::bigint / rows = share
    ) is not true
"""  # noqa: S608 - only our own expressions are put in


async def check_rains(connection: asyncpg.Connection, report: Report) -> None:
    """Report every rain whose rows are not what it says."""
    async for row in stream(connection, _BROKEN):
        text = f"{row['rows']} shares of {row['share']} are not the rain {row['said']}"
        report.found("rain", text, row["wallet_id"], row["seq"])
        if report.full:
            return
