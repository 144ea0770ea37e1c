"""Money moves between a hundred wallets on three nodes, and there is never more or less of it."""

import asyncio
import random
from typing import Final
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from tests.cluster.player import CURRENCY, Player, enrol
from tests.support.clusters import LIMIT_S, Cluster

WALLETS: Final = 100
FUNDS: Final = 100_000
# Of each wallet: a few thousand in all, which take some seconds.
TRANSFERS: Final = 40
# A statement sees one moment: what wallets have, and what has left one and not reached another.
_READ: Final = """
    select (
        select sum(available_after + held_after) from (
            select distinct on (wallet_id) available_after, held_after from wallet_entries
            order by wallet_id, seq desc
        ) newest
    )::bigint as stored, coalesce((
        select sum((body ->> 'amount_minor')::bigint) from outbox message where not exists (
            select from wallet_entries received
            where received.wallet_id = message.key and received.request_id = message.message_id
        )
    ), 0)::bigint as moving
"""


async def transfer(player: Player, friends: list[str]) -> None:
    """Send away a part of what there is, again and again; there may be too little for it."""
    for _ in range(TRANSFERS):
        tip = {"to": random.choice(friends), "amount": random.randint(1, FUNDS // 4)}
        fields = {**tip, "currency": CURRENCY, "request_id": str(uuid4())}
        answer = await player.devices[0].ask("wallet:tip", fields)
        assert answer["success"] or answer["error"]["code"] == "insufficient_balance", answer


async def reads(
    view: asyncpg.Connection, until: asyncio.Future[list[None]]
) -> list[asyncpg.Record]:
    """What there is, again and again."""
    found = []
    while not until.done():
        found.append(await view.fetchrow(_READ))
        # A hundred or so: a read takes as much of PostgreSQL as all the transfers meanwhile.
        await asyncio.sleep(0.02)
    return found


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_every_consistent_read_sums_to_the_same_total(nodes: Cluster) -> None:
    async with aiohttp.ClientSession() as http:
        players = await enrol(http, lambda: [node.url for node in nodes.nodes], WALLETS)
        names = {player.username for player in players}
        transferring = asyncio.gather(
            *(transfer(player, sorted(names - {player.username})) for player in players)
        )
        async with asyncio.timeout(LIMIT_S):
            seen = await reads(nodes.view, transferring)
        await transferring
        for player in players:
            for device in player.devices:
                await device.leave()
    assert {row["stored"] + row["moving"] for row in seen} == {WALLETS * FUNDS}
    # Some of the reads found money on its way, and all of it arrived.
    assert any(row["moving"] for row in seen)
    async with asyncio.timeout(LIMIT_S):
        while (last := await nodes.view.fetchrow(_READ))["moving"]:
            await asyncio.sleep(0.05)
    assert last["stored"] == WALLETS * FUNDS
