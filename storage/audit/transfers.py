"""Both legs of every tip match, or its message is still in the outbox; nothing comes from nowhere.

A message's id says which entry sent it (`protocol.ids.message_id`), so origins are found by key.
Each share of a rain travels as a tip does, by rows and messages of its own family: `tip_sent` and
`ReceiveTip` are `rain_sent` and `ReceiveRain` there.
"""

from typing import Any, Final

import asyncpg

from storage.audit.report import Report
from storage.audit.stream import stream


def message_id_sql(wallet_id: str, seq: str) -> str:
    """`protocol.ids.message_id` as an expression of SQL; a test holds the two together."""
    # The smallest bigint is the bit pattern 10... of the variant, above the entry's number.
    return f"""(
        lpad(to_hex({wallet_id} >> 12), 12, '0') || '8' || lpad(to_hex({wallet_id} & 4095), 3, '0')
        || to_hex({seq} | (-9223372036854775807 - 1))
    )::uuid"""


def origin_sql(message_id: str) -> tuple[str, str]:
    """The wallet and the entry of a message id, as two expressions of SQL."""
    digits = f"replace({message_id}::text, '-', '')"
    wallet_id = f"('x' || left({digits}, 12) || substr({digits}, 14, 3))::bit(60)::bigint"
    seq = f"(('x' || right({digits}, 16))::bit(64)::bigint & 4611686018427387903)"
    return wallet_id, seq


def _family_sql(kind: str) -> str:
    """What a kind begins with: `tip`, or `rain`."""
    return f"split_part({kind}, '_', 1)"


_FAMILY_SENT: Final = _family_sql("sent.kind")
_LEG: Final = message_id_sql("sent.wallet_id", "sent.seq")
_SENT: Final = f"""
    select sent.wallet_id, sent.seq, sent.counterparty, sent.currency, sent.available_delta,
        got.kind, got.available_delta as got_delta, got.seq as got_seq
    from wallet_entries sent
    left join wallet_entries got
        on got.wallet_id = sent.counterparty and got.request_id = {_LEG}
    left join outbox message on message.message_id = {_LEG}
    where sent.kind in ('tip_sent', 'rain_sent') and case
        when got.seq is null then message.message_id is null
        else (
            got.counterparty = sent.wallet_id and got.currency = sent.currency
            and (got.kind, got.available_delta) in (
                ({_FAMILY_SENT} || '_received', -sent.available_delta),
                ({_FAMILY_SENT} || '_refused', 0)
            )
        ) is not true
    end
"""  # noqa: S608 - only our own expressions are put in

_WALLET, _SEQ = origin_sql("refused.request_id")
_RETURN: Final = message_id_sql("refused.wallet_id", "refused.seq")
_REFUSED: Final = f"""
    select refused.wallet_id, refused.seq, refused.counterparty, refused.currency,
        sent.available_delta, got.kind, got.available_delta as got_delta, got.seq as got_seq
    from wallet_entries refused
    left join wallet_entries sent on sent.wallet_id = {_WALLET} and sent.seq = {_SEQ}
    left join wallet_entries got
        on got.wallet_id = refused.counterparty and got.request_id = {_RETURN}
    left join outbox message on message.message_id = {_RETURN}
    where refused.kind in ('tip_refused', 'rain_refused') and case
        when got.seq is null then message.message_id is null
        else (
            got.counterparty = refused.wallet_id and got.currency = refused.currency
            and got.kind = {_family_sql("refused.kind")} || '_returned'
            and got.available_delta = -sent.available_delta
        ) is not true
    end
"""  # noqa: S608 - only our own expressions are put in

_ID_OF_ORIGIN: Final = message_id_sql("origin.wallet_id", "origin.seq")
_WALLET_OF_LEG, _SEQ_OF_LEG = origin_sql("leg.request_id")
_ORPHANS: Final = f"""
    select leg.wallet_id, leg.seq, leg.kind, leg.counterparty
    from wallet_entries leg
    left join wallet_entries origin
        on origin.wallet_id = {_WALLET_OF_LEG} and origin.seq = {_SEQ_OF_LEG}
    where leg.kind in (
        'tip_received', 'tip_refused', 'tip_returned',
        'rain_received', 'rain_refused', 'rain_returned'
    ) and (
        leg.request_id = {_ID_OF_ORIGIN}
        and origin.wallet_id = leg.counterparty and origin.counterparty = leg.wallet_id
        and origin.currency = leg.currency
        and origin.kind = {_family_sql("leg.kind")} || case
            when leg.kind in ('tip_returned', 'rain_returned') then '_refused' else '_sent'
        end
    ) is not true
"""  # noqa: S608 - only our own expressions are put in

_WALLET_OF_MESSAGE, _SEQ_OF_MESSAGE = origin_sql("message.message_id")
_WALLET_OF_TIP, _SEQ_OF_TIP = origin_sql("origin.request_id")
_NAME_OF_ORIGIN: Final = f"initcap({_family_sql('origin.kind')})"
_MESSAGES: Final = f"""
    select message.message_id, message.command, message.key, message.body,
        origin.wallet_id, origin.seq
    from outbox message
    left join wallet_entries origin
        on origin.wallet_id = {_WALLET_OF_MESSAGE} and origin.seq = {_SEQ_OF_MESSAGE}
    left join wallet_entries tip
        on origin.kind in ('tip_refused', 'rain_refused')
        and tip.wallet_id = {_WALLET_OF_TIP} and tip.seq = {_SEQ_OF_TIP}
    where message.command not in ('Join', 'SettleHold', 'ReleaseHold') and (
        message.message_id = {_ID_OF_ORIGIN}
        and message.kind = 'wallet' and message.key = origin.counterparty
        and case
            when origin.kind in ('tip_sent', 'rain_sent')
                then message.command = 'Receive' || {_NAME_OF_ORIGIN} and message.body
                = jsonb_build_object(
                    'sender', origin.wallet_id, 'currency', origin.currency,
                    'amount_minor', -origin.available_delta, 'request_id', message.message_id)
            when origin.kind in ('tip_refused', 'rain_refused')
                then message.command = 'Return' || {_NAME_OF_ORIGIN} and message.body
                = jsonb_build_object(
                    'receiver', origin.wallet_id, 'currency', origin.currency,
                    'amount_minor', -tip.available_delta, 'request_id', message.message_id)
        end
    ) is not true
"""  # noqa: S608 - only our own expressions are put in


async def check_transfers(connection: asyncpg.Connection, report: Report) -> None:
    """Report every leg and message that does not have its counterpart."""
    for query, name in ((_SENT, "leg"), (_REFUSED, "return")):
        async for row in stream(connection, query):
            _report_leg(row, name, report)
            if report.full:
                return
    async for row in stream(connection, _ORPHANS):
        report.found(
            "leg_without_origin",
            f"{row['kind']} from wallet {row['counterparty']}, which did not send it",
            row["wallet_id"],
            row["seq"],
        )
        if report.full:
            return
    async for row in stream(connection, _MESSAGES):
        text = f"message {row['message_id']} ({row['command']} to wallet {row['key']})"
        if row["seq"] is None:
            report.found("message_without_origin", f"{text} was sent by no row")
        else:
            text = f"{text} is not what the row sent: {row['body']}"
            report.found("message_mismatch", text, row["wallet_id"], row["seq"])
        if report.full:
            return


def _report_leg(row: Any, name: str, report: Report) -> None:
    at = (row["wallet_id"], row["seq"])
    amount = abs(row["available_delta"] or 0)
    there = f"{amount} {row['currency']} for wallet {row['counterparty']}"
    if row["got_seq"] is None:
        text = f"{there} neither arrived nor waits in the outbox"
        report.found(f"{name}_missing", text, *at)
    else:
        got = f"{row['kind']} {row['got_delta']:+d} in its row {row['got_seq']}"
        report.found(f"{name}_mismatch", f"{there} arrived as {got}", *at)
