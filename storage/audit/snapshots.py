"""A snapshot says what the rows say: balances, open holds and how far it goes."""

from typing import Any, Final

import asyncpg
import msgspec

from actors.wallet.state import Snapshot
from storage.audit.report import Report
from storage.audit.stream import stream

_SNAPSHOTS: Final = """
    select snapshot.wallet_id, snapshot.seq, snapshot.state,
        coalesce(newest.seq, 0) as newest, coalesce(rows.balances, '{}'::jsonb) as balances,
        coalesce(opened.holds, '{}'::jsonb) as holds
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
    cross join lateral (
        select jsonb_object_agg(
            opening.seq,
            jsonb_build_array(opening.game, opening.currency, opening.stake, picks.revealed)
        ) as holds
        from wallet_entries opening
        cross join lateral (
            select coalesce(jsonb_agg(outcome -> 'tile' order by seq), '[]') as revealed
            from wallet_entries
            where wallet_id = snapshot.wallet_id and seq <= snapshot.seq
                and kind = 'reveal' and hold = opening.seq
        ) picks
        where opening.wallet_id = snapshot.wallet_id and opening.seq <= snapshot.seq
            and opening.kind = 'hold' and not exists (
                select from wallet_entries
                where wallet_id = snapshot.wallet_id and seq <= snapshot.seq
                    and kind in ('settle', 'release') and hold = opening.seq
            )
    ) opened
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
    holds = {
        str(seq): [hold.game, hold.currency, hold.stake_minor, hold.revealed]
        for seq, hold in stored.holds.items()
    }
    if holds != msgspec.json.decode(row["holds"]):
        return f"it has the open holds {holds}, the rows have {row['holds']}"
    return None
