"""A snapshot says what the rows say, as far as it has rows of its own: balances and their end."""

from typing import Any, Final

import asyncpg
import msgspec

from actors.wallet.state import Snapshot
from storage.audit.report import Report
from storage.audit.stream import stream

_SNAPSHOTS: Final = """
    select snapshot.wallet_id, snapshot.seq, snapshot.state,
        coalesce(newest.seq, 0) as newest, coalesce(rows.balances, '{}'::jsonb) as balances
    from wallet_snapshots snapshot
    cross join lateral (
        select max(seq) as seq from wallet_entries where wallet_id = snapshot.wallet_id
    ) newest
    cross join lateral (
        select jsonb_object_agg(currency, jsonb_build_array(available_after, held_after))
            as balances
        from (
            select distinct on (currency) currency, available_after, held_after
            from wallet_entries
            where wallet_id = snapshot.wallet_id and seq <= snapshot.seq
            order by currency, seq desc
        ) balance
    ) rows
"""
_DECODER: Final = msgspec.msgpack.Decoder(Snapshot)


async def check_snapshots(connection: asyncpg.Connection, report: Report) -> None:
    """Report snapshots that a wallet would be read back wrong from."""
    async for row in stream(connection, _SNAPSHOTS):
        report.snapshots += 1
        text = _problem(row)
        if text is not None:
            report.found("snapshot", text, row["wallet_id"], row["seq"])
        if report.full:
            return


def _problem(row: Any) -> str | None:
    if row["seq"] > row["newest"]:
        return f"it is ahead of the newest row, {row['newest']}: rows are missing at the end"
    try:
        stored = _DECODER.decode(row["state"])
    except msgspec.DecodeError as error:
        return f"it cannot be read: {error}"
    balances = {code: [held.available, held.held] for code, held in stored.balances.items()}
    if stored.seq != row["seq"] or balances != msgspec.json.decode(row["balances"]):
        return f"it says {balances} at row {stored.seq}, the rows say {row['balances']}"
    return None
