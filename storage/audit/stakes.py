"""What wallets hold for crash rounds and what tables say of it agree, or a message is on its way.

A hold is asked for by a message of its own entry, and ended by one of the table's row: the ids of
messages and of what ends a hold say which (`protocol.ids`).
"""

from typing import Final

import asyncpg

from storage.audit.report import Report
from storage.audit.stream import stream
from storage.audit.transfers import message_id_sql, origin_sql

# As `protocol.ids` sets them apart; a test holds the two together.
_TABLE: Final = 1 << 59
_SETTLEMENT: Final = 1 << 60

COMMANDS: Final = ("Join", "SettleHold", "ReleaseHold")
"""The messages between wallets and tables."""


def table_message_id_sql(table: str, seq: str) -> str:
    """`protocol.ids.table_message_id` as an expression of SQL."""
    return message_id_sql(f"({table} | {_TABLE})", seq)


def settlement_id_sql(wallet_id: str, hold: str) -> str:
    """`protocol.ids.settlement_id` as an expression of SQL."""
    return message_id_sql(wallet_id, f"({hold} | {_SETTLEMENT})")


# A bet ends once. What is returned may have been in a round before, so long ago that its table has
# forgotten it: then its wallet has too, and nothing follows from the later row.
_ENDS: Final = """(
    select distinct on (table_id, wallet_id, hold) * from crash_entries
    where kind in ('returned', 'left', 'cashed_out', 'lost', 'refunded')
    order by table_id, wallet_id, hold, seq
)"""
_OUTCOME: Final = """jsonb_build_object(
    'round_id', told.table_id || '-' || told.round, 'ended', told.kind,
    'multiplier', told.multiplier, 'reason', told.reason)"""
_MESSAGE: Final = table_message_id_sql("told.table_id", "told.seq")
_UNTOLD: Final = f"""
    select told.table_id, told.seq, told.kind, told.wallet_id, told.hold, told.payout,
        closed.seq as closed_by, closed.kind as closed_kind, closed.payout as closed_payout
    from {_ENDS} told
    left join wallet_entries opened on opened.wallet_id = told.wallet_id
        and opened.seq = told.hold and opened.kind = 'hold' and opened.game = 'crash'
    left join wallet_entries closed on closed.wallet_id = told.wallet_id
        and closed.hold = told.hold and closed.kind in ('settle', 'release')
    left join outbox message on message.message_id = {_MESSAGE}
    where opened.seq is null or case
        when closed.seq is null then message.message_id is null
        else (
            closed.kind = case when told.payout is null then 'release' else 'settle' end
            and closed.game = 'crash' and closed.payout is not distinct from told.payout
            and closed.outcome = {_OUTCOME}
            and closed.request_id = {settlement_id_sql("told.wallet_id", "told.hold")}
        ) is not true
    end
"""  # noqa: S608 - only our own expressions are put in
_ASK: Final = message_id_sql("opened.wallet_id", "opened.seq")
_UNASKED: Final = f"""
    select opened.wallet_id, opened.seq, opened.stake, opened.parameters,
        told.table_id, told.round, told.kind, told.stake as told_stake
    from wallet_entries opened
    left join (
        select distinct on (wallet_id, hold) * from crash_entries
        where kind in ('joined', 'returned') order by wallet_id, hold, seq
    ) told on told.wallet_id = opened.wallet_id and told.hold = opened.seq
    left join outbox message on message.message_id = {_ASK}
    where opened.kind = 'hold' and opened.game = 'crash' and case
        when told.seq is null then message.message_id is null
        else (
            told.stake = opened.stake
            and opened.parameters ->> 'round_id' = told.table_id || '-' || told.round
            and (told.kind = 'returned'
                or to_jsonb(told.auto_cashout) is not distinct from
                    nullif(opened.parameters -> 'auto_cashout', 'null'))
        ) is not true
    end
"""  # noqa: S608 - only our own expressions are put in
_UNFOUNDED: Final = """
    select closed.wallet_id, closed.seq, closed.kind, closed.hold
    from wallet_entries closed
    where closed.game = 'crash' and closed.kind in ('settle', 'release') and not exists (
        select from crash_entries told
        where told.wallet_id = closed.wallet_id and told.hold = closed.hold
            and told.kind in ('returned', 'left', 'cashed_out', 'lost', 'refunded')
    )
"""
_OWNER, _SEQ = origin_sql("message.message_id")
_MESSAGES: Final = f"""
    select message.message_id, message.command, message.key, message.body
    from outbox message
    left join wallet_entries opened on message.command = 'Join'
        and opened.wallet_id = {_OWNER} and opened.seq = {_SEQ}
    left join crash_entries told on message.command <> 'Join'
        and told.table_id | {_TABLE} = {_OWNER} and told.seq = {_SEQ}
    where message.command in {COMMANDS} and case message.command
        when 'Join' then (
            opened.kind = 'hold' and opened.game = 'crash' and message.kind = 'crash'
            and message.message_id = {_ASK}
            and message.key::text = split_part(opened.parameters ->> 'round_id', '-', 1)
            and message.body - 'player' = jsonb_build_object(
                'table', message.key,
                'round', split_part(opened.parameters ->> 'round_id', '-', 2)::bigint,
                'wallet_id', opened.wallet_id, 'hold', opened.seq,
                'stake_minor', opened.stake, 'currency', opened.currency,
                'auto_cashout', opened.parameters -> 'auto_cashout')
        ) is not true
        else (
            message.kind = 'wallet' and message.key = told.wallet_id
            and message.message_id = {_MESSAGE}
            and message.command
                = case when told.payout is null then 'ReleaseHold' else 'SettleHold' end
            and (message.body -> 'hold')::bigint = told.hold
            and (message.body -> 'payout_minor')::bigint is not distinct from told.payout
            and (message.body ->> 'outcome')::jsonb = {_OUTCOME}
        ) is not true
    end
"""  # noqa: S608 - only our own expressions are put in


async def check_stakes(connection: asyncpg.Connection, report: Report) -> None:
    """Report holds, rows of tables and messages that do not have their counterpart."""
    async for row in stream(connection, _UNTOLD):
        what = f"{row['kind']} of table {row['table_id']}, row {row['seq']}, paying {row['payout']}"
        got = f"{row['closed_kind']} of {row['closed_payout']} in row {row['closed_by']}"
        text = f"{what}: {got}" if row["closed_by"] else f"{what}: never told"
        report.found("stake_end", text, row["wallet_id"], row["hold"])
        if report.full:
            return
    async for row in stream(connection, _UNASKED):
        held = f"{row['stake']} held by {row['parameters']}"
        got = f"{row['kind']} round {row['table_id']}-{row['round']} with {row['told_stake']}"
        text = f"{held}: {got}" if row["kind"] else f"{held}: no table knows of it"
        report.found("stake_join", text, row["wallet_id"], row["seq"])
        if report.full:
            return
    async for row in stream(connection, _UNFOUNDED):
        text = f"{row['kind']} of the hold of row {row['hold']}, which no table has ended"
        report.found("stake_unfounded", text, row["wallet_id"], row["seq"])
        if report.full:
            return
    async for row in stream(connection, _MESSAGES):
        text = f"message {row['message_id']} ({row['command']} to {row['key']}): {row['body']}"
        report.found("stake_message", text)
        if report.full:
            return
