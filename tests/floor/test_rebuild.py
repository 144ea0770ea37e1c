"""A wallet read back without its snapshots is the same wallet."""

import asyncio
from functools import partial

import pytest

from actors.wallet.state import restore
from storage import wallets
from storage.borrow import borrow
from storage.rebuild import Lend, rebuild_snapshot
from tests.floor.house import LIMIT_S, House, bet, request_id


async def test_a_dropped_snapshot_is_made_again_from_the_newest_rows(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallets, "MAX_FOLD", 3)
    monkeypatch.setattr("storage.rebuilder.PATIENCE_S", 60)
    ann = await house.guest()
    await ann.pull("PLAY")
    await ann.pull("BTC")
    seat = await ann.connect()
    for _ in range(4):
        await seat.ok("dice:roll", bet())
    await seat.ok("seed:set_client", {"client_seed": "mine"})
    placed = await seat.ok("dice:roll", bet())
    before = (await seat.ok("wallet:get"), await seat.ok("seed:get"))
    node = house.pitboss.node
    assert node.passivate(-1, 10) == 1
    house.pitboss.storage.wallets._snapshots.clear()
    await house.pool.execute("delete from wallet_snapshots")
    assert (await seat.ok("wallet:get"), await seat.ok("seed:get")) == before
    after = await seat.ok("dice:roll", bet())
    assert after["nonce"] == placed["nonce"] + 1
    assert after["balance"]["seq"] == placed["balance"]["seq"] + 1


async def test_a_wallet_that_takes_long_is_refused_alone_until_it_is_rebuilt(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallets, "MAX_FOLD", 3)
    ann, bob = await house.guest(), await house.guest()
    seats = []
    for person in (ann, bob):
        await person.pull()
        seats.append(await person.connect())
    for _ in range(4):
        await seats[0].ok("dice:roll", bet())
    before = await seats[0].ok("wallet:get")
    assert house.pitboss.node.passivate(-1, 10) == 2
    house.pitboss.storage.wallets._snapshots.clear()
    await house.pool.execute("delete from wallet_snapshots")
    # It takes longer than any read may.
    ready = asyncio.Event()

    async def slow(lend: Lend, wallet_id: int) -> tuple[int, bytes]:
        await ready.wait()
        return await rebuild_snapshot(lend, wallet_id)

    monkeypatch.setattr("storage.rebuilder.rebuild_snapshot", slow)
    for _ in range(2):
        refused, read = await asyncio.gather(
            seats[0].refused("wallet:get"), seats[1].ok("wallet:get")
        )
        assert refused == "storage_unavailable"
        assert read["balances"]
        house.pitboss.node.let_go("wallet", bob.user_id)
    ready.set()
    async with asyncio.timeout(LIMIT_S):
        while not await house.pool.fetchval("select count(*) from wallet_snapshots"):
            await asyncio.sleep(0.01)
    assert await seats[0].ok("wallet:get") == before


async def test_a_rotated_pair_without_bets_starts_at_its_first_nonce(
    house: House,
) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    await seat.ok("dice:roll", bet(request_id=request_id()))
    await seat.ok("seed:rotate", {})
    lend = partial(borrow, house.pool)
    seq, snapshot = await rebuild_snapshot(lend, ann.user_id)
    empty_seq, empty = await rebuild_snapshot(lend, 999_999)
    state = restore(ann.user_id, snapshot)
    assert (seq, state.nonce, state.pair_number) == (2, 0, 2)
    assert (empty_seq, restore(1, empty).balances) == (0, {})


async def test_a_drain_leaves_a_snapshot_of_every_wallet(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    placed = await seat.ok("dice:roll", bet())
    await house.pitboss.stop()
    seq = await house.pool.fetchval("select seq from wallet_snapshots")
    assert seq == placed["balance"]["seq"]
