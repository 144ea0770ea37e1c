"""Outbox: what was committed and not delivered comes back, oldest first, until it is deleted."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.decision import Message
from actors.wallet.commands import ReceiveTip, ReturnTip
from storage.lane import Writer
from storage.outbox import OVERDUE_MS
from tests.contract.storages import InPostgres, Storage, now_ms
from tests.contract.test_writer import SHARDS, entry, won

SHARD = 1


def tip(number: int) -> Message:
    leg = UUID(int=number)
    return Message(leg, "wallet", 40 + number, ReceiveTip(1, "USD", number, leg))


def returned(number: int) -> Message:
    leg = UUID(int=number)
    return Message(leg, "wallet", 1, ReturnTip(40 + number, "USD", number, leg))


async def send(
    writer: Writer, seq: int, messages: Sequence[Message], age_ms: int, shard: int = SHARD
) -> None:
    fact = replace(entry(1, seq), at_ms=now_ms() - age_ms)
    await writer.write([fact], [(message, shard) for message in messages])


async def test_only_what_has_waited_for_some_time_is_overdue(storage: Storage) -> None:
    writer = await won(storage.connector())
    await send(writer, 1, [tip(1)], OVERDUE_MS + 1_000)
    await send(writer, 2, [tip(2)], 0)
    assert await storage.outbox(lambda: [SHARD]).overdue(10) == [tip(1)]
    await writer.close()


async def test_messages_come_back_as_they_were_sent_oldest_first(storage: Storage) -> None:
    writer = await won(storage.connector())
    await send(writer, 1, [tip(1)], OVERDUE_MS + 1_000)
    await send(writer, 2, [returned(2)], OVERDUE_MS + 9_000)
    await send(writer, 3, [tip(3)], OVERDUE_MS + 5_000)
    outbox = storage.outbox(lambda: [SHARD])
    assert await outbox.overdue(10) == [returned(2), tip(3), tip(1)]
    assert await outbox.overdue(2) == [returned(2), tip(3)]
    await writer.close()


async def test_only_messages_of_our_shards(storage: Storage) -> None:
    writer = await won(storage.connector())
    await send(writer, 1, [tip(1)], OVERDUE_MS + 1_000, shard=SHARDS[0])
    await send(writer, 2, [tip(2)], OVERDUE_MS + 1_000, shard=SHARDS[2])
    assert await storage.outbox(lambda: [SHARDS[0], SHARDS[1]]).overdue(10) == [tip(1)]
    assert await storage.outbox(list).overdue(10) == []
    await writer.close()


async def test_what_was_delivered_is_not_overdue_and_then_deleted(storage: Storage) -> None:
    writer = await won(storage.connector())
    await send(writer, 1, [tip(1), tip(2)], OVERDUE_MS + 1_000)
    outbox, another = storage.outbox(lambda: [SHARD]), storage.outbox(lambda: [SHARD])
    outbox.forget(tip(1).id)
    assert await outbox.overdue(10) == [tip(2)]
    assert sorted(m.id for m in await another.overdue(10)) == [tip(1).id, tip(2).id]
    await outbox.flush()
    assert await another.overdue(10) == [tip(2)]
    await writer.close()


async def test_deleting_what_is_gone_harms_nobody(storage: Storage) -> None:
    writer = await won(storage.connector())
    await send(writer, 1, [tip(1), tip(2)], OVERDUE_MS + 1_000)
    first, second = storage.outbox(lambda: [SHARD]), storage.outbox(lambda: [SHARD])
    for outbox in (first, second):
        outbox.forget(tip(1).id)
        await outbox.flush()
        await outbox.flush()
    assert await first.overdue(10) == [tip(2)]
    await writer.close()


async def test_a_message_that_cannot_be_read_holds_up_no_other(
    postgres: InPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await won(postgres.connector())
    await send(writer, 1, [tip(1), tip(2), tip(3), tip(4)], OVERDUE_MS + 1_000)
    await postgres.pool.execute(
        "update outbox set command = 'OfAnotherVersion' where message_id = $1", tip(1).id
    )
    await postgres.pool.execute(
        "update outbox set body = '{\"odd\": 1}' where message_id = $1", tip(3).id
    )
    assert await postgres.outbox(lambda: [SHARD]).overdue(10) == [tip(2), tip(4)]
    assert [str(id_) in caplog.text for id_ in (tip(1).id, tip(3).id)] == [True, True]
    await writer.close()
