"""Writer: atomic batches, refusals that name the wallet, and locks that are the connection's."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from actors.decision import Message
from actors.wallet.commands import ReceiveTip
from actors.wallet.facts import (
    BET,
    DEPOSIT,
    HOLD,
    RELEASE,
    REVEAL,
    SETTLE,
    Bet,
    Entry,
    SeedPair,
    SeedPairIssued,
    Step,
)
from protocol.bounds import MAX_MINOR
from storage.lane import Connect, Lost, NotOurs, Refused, Transient, Writer
from tests.contract.storages import InPostgres, Storage, contents

SHARDS = (0, 1, 2)
PATIENCE_S = 10.0


def entry(wallet_id: int, seq: int, **changes: Any) -> Entry:
    plain = Entry(
        wallet_id, seq, "USD", DEPOSIT, 5, 0, 5 * seq, 0, 9, UUID(int=wallet_id << 32 | seq), 1
    )
    return replace(plain, **changes)


def pair(wallet_id: int, number: int, after_seq: int = 0) -> SeedPairIssued:
    seeds = SeedPair(number, number, f"{number:064x}", "h", "c", 0)
    return SeedPairIssued(wallet_id, after_seq, seeds, 1)


BETTING = Bet("dice", 5, 0, 1, 0, '{"target": 1}', '{"roll": 2}')


STAKED = Step("mines", stake_minor=5, pair=1, nonce=0, parameters='{"mines": 3}')


def ended(wallet_id: int, seq: int, hold: int, kind: str = SETTLE) -> Entry:
    """The row that ends a hold, by a request id of its own."""
    paid = 0 if kind == SETTLE else None
    step = Step("mines", stake_minor=5, payout_minor=paid, outcome='{"n": 1}', hold=hold)
    return entry(wallet_id, seq, kind=kind, step=step)


async def won(connect: Connect, shards: Sequence[int] = SHARDS, lane: int = 0) -> Writer:
    """A writer, however long the server takes to see that the one before is gone."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await connect(lane, shards)
            except NotOurs:
                await asyncio.sleep(0.01)


async def test_a_batch_is_committed_whole(storage: Storage) -> None:
    writer = await won(storage.connector())
    leg = UUID(int=77)
    message = Message(leg, "wallet", 2, ReceiveTip(1, "USD", 3, leg))
    await writer.write([pair(1, 1), entry(1, 1), entry(2, 1), entry(1, 2)], [(message, 1)])
    assert await contents(storage, [1, 2, 3]) == {
        1: [pair(1, 1), entry(1, 1), entry(1, 2)],
        2: [entry(2, 1)],
        3: [],
    }
    assert await storage.outbox(lambda: [1]).overdue(10) == [message]
    await writer.close()


async def test_a_bet_is_committed_with_what_verifies_it(storage: Storage) -> None:
    writer = await won(storage.connector())
    await writer.write([entry(1, 1, kind=BET, bet=BETTING)], [])
    ((read,),) = (await contents(storage, [1])).values()
    assert read.bet == BETTING
    await writer.close()


OFFENCES = {
    "seq again": [entry(7, 1, request_id=UUID(int=1))],
    "seq twice in the batch": [entry(7, 2), entry(7, 2, request_id=UUID(int=1))],
    "request id again": [entry(7, 2, request_id=entry(7, 1).request_id)],
    "request id twice in the batch": [entry(7, 2), entry(7, 3, request_id=entry(7, 2).request_id)],
    "seq zero": [entry(7, 0)],
    "less than nothing": [entry(7, 2, available_after=-1)],
    "more than a wallet holds": [entry(7, 2, available_after=MAX_MINOR + 1)],
    "less than nothing held": [entry(7, 2, held_after=-1)],
    "more than a wallet holds, held": [entry(7, 2, held_after=MAX_MINOR + 1)],
    "a bet without its bet": [entry(7, 2, kind=BET)],
    "a deposit with a bet": [entry(7, 2, bet=BETTING)],
    "a settle without its step": [entry(7, 2, kind=SETTLE)],
    "a deposit with a step": [entry(7, 2, step=STAKED)],
    "a hold settled twice in the batch": [ended(7, 2, 1), ended(7, 3, 1)],
    "a hold settled and released in the batch": [ended(7, 2, 1), ended(7, 3, 1, RELEASE)],
    "pair again": [pair(7, 1)],
    "pair twice in the batch": [pair(7, 2), pair(7, 2)],
    "pair zero": [pair(7, 0)],
}


@pytest.mark.parametrize("offence", OFFENCES.values(), ids=OFFENCES)
async def test_a_refusal_names_the_wallet_and_undoes_the_batch(
    storage: Storage, offence: list[Any]
) -> None:
    writer = await won(storage.connector())
    await writer.write([pair(7, 1), entry(7, 1)], [])
    leg = UUID(int=77)
    message = Message(leg, "wallet", 2, ReceiveTip(6, "USD", 3, leg))
    with pytest.raises(Refused) as refused:
        await writer.write([entry(6, 1), pair(6, 1), *offence, entry(8, 1)], [(message, 1)])
    assert refused.value.key == 7
    assert await contents(storage, [6, 7, 8]) == {6: [], 7: [pair(7, 1), entry(7, 1)], 8: []}
    assert await storage.outbox(lambda: [1]).overdue(10) == []
    await writer.write([entry(6, 1)], [])
    assert await contents(storage, [6]) == {6: [entry(6, 1)]}
    await writer.close()


async def test_a_hold_is_committed_step_by_step_and_ends_once(storage: Storage) -> None:
    writer = await won(storage.connector())
    tile = Step("mines", outcome='{"tile": 3}', hold=1)
    facts = [entry(1, 1, kind=HOLD, step=STAKED), entry(1, 2, kind=REVEAL, step=tile)]
    await writer.write([*facts, ended(1, 3, 1)], [])
    # Other numbers, and those of other wallets, end by themselves.
    await writer.write([ended(1, 4, 2), ended(2, 1, 1)], [])
    with pytest.raises(Refused) as refused:
        await writer.write([ended(1, 5, 1, RELEASE)], [])
    assert refused.value.key == 1
    assert await contents(storage, [1]) == {1: [*facts, ended(1, 3, 1), ended(1, 4, 2)]}
    await writer.close()


async def test_a_message_twice_is_refused_without_a_name(storage: Storage) -> None:
    writer = await won(storage.connector())
    leg = UUID(int=77)
    message = Message(leg, "wallet", 2, ReceiveTip(1, "USD", 3, leg))
    await writer.write([entry(1, 1)], [(message, 1)])
    with pytest.raises(Refused) as refused:
        await writer.write([entry(1, 2)], [(message, 1)])
    assert refused.value.key is None
    assert await contents(storage, [1]) == {1: [entry(1, 1)]}
    await writer.close()


async def test_a_number_that_fits_no_column_is_refused(storage: Storage) -> None:
    writer = await won(storage.connector())
    with pytest.raises(Refused):
        await writer.write([entry(6, 1), entry(7, 1, available_delta=2**63)], [])
    await writer.write([entry(6, 1)], [])
    assert await contents(storage, [6, 7]) == {6: [entry(6, 1)], 7: []}
    await writer.close()


async def test_a_passing_trouble_is_transient_and_the_connection_lives(storage: Storage) -> None:
    writer = await won(storage.connector())
    async with storage.obstructed():
        with pytest.raises(Transient):
            await writer.write([entry(1, 1), pair(1, 1)], [])
    await writer.write([entry(1, 1), pair(1, 1)], [])
    assert len((await contents(storage, [1]))[1]) == 2
    await writer.close()


async def test_an_ended_backend_is_a_lost_connection(storage: Storage) -> None:
    writer = await won(storage.connector())
    await storage.end_backends()
    async with asyncio.timeout(PATIENCE_S):
        await writer.lost()
    with pytest.raises(Lost):
        await writer.write([entry(1, 1)], [])
    assert await contents(storage, [1]) == {1: []}
    writer.terminate()


async def test_a_shard_has_one_owner(storage: Storage) -> None:
    first = await storage.connector()(0, SHARDS)
    with pytest.raises(NotOurs):
        await storage.connector()(0, SHARDS)
    with pytest.raises(NotOurs):
        await storage.connector()(1, [2, 3, 4])
    # Who did not get all of them kept none.
    second = await won(storage.connector(), [3, 4], lane=1)
    await first.write([entry(1, 1)], [])
    await second.write([entry(2, 1)], [])
    await first.close()
    await second.close()


async def test_locks_are_free_when_the_connection_ends(storage: Storage) -> None:
    first = await storage.connector()(0, SHARDS)
    await storage.end_backends()
    heir = await won(storage.connector())
    with pytest.raises(Lost):
        await first.write([entry(1, 1)], [])
    await heir.write([entry(1, 1)], [])
    await heir.close()


@pytest.mark.parametrize("ending", ["close", "terminate"])
async def test_locks_are_free_when_their_owner_leaves(storage: Storage, ending: str) -> None:
    first = await storage.connector()(0, SHARDS)
    if ending == "close":
        await first.close()
    else:
        first.terminate()
    heir = await won(storage.connector())
    await heir.close()


async def test_a_process_ends_its_own_lingering_backend(storage: Storage) -> None:
    connect = storage.connector()
    first = await connect(0, SHARDS)
    second = await won(connect)
    with pytest.raises(Lost):
        await first.write([entry(1, 1)], [])
    await second.write([entry(1, 1)], [])
    async with asyncio.timeout(PATIENCE_S):
        await first.lost()
    first.terminate()
    await second.close()


async def test_a_connection_that_broke_over_its_locks_does_not_keep_them(
    postgres: InPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = postgres.connector()
    broken: list[asyncpg.Connection] = []

    def go_without_a_word(connection: asyncpg.Connection) -> None:
        broken.append(connection)

    with monkeypatch.context() as patch:
        patch.setattr("storage.writer._HELD", "select $1::int / 0")
        patch.setattr(asyncpg.Connection, "terminate", go_without_a_word)
        with pytest.raises(Lost):
            await connect(0, SHARDS)
    writer = await won(connect)
    await writer.close()
    broken[0].terminate()
