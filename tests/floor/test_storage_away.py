"""Storage that is busy or hangs, as players meet it."""

from contextlib import AsyncExitStack

from tests.floor.house import House, bet


async def test_queries_that_take_every_connection_keep_no_bet_from_its_wallet(
    house: House,
) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    first = bet()
    placed = await seat.ok("dice:roll", first)
    async with AsyncExitStack() as busy:
        for _ in range(house.pool.get_max_size()):
            await busy.enter_async_context(house.pool.acquire())
        assert house.pitboss.node.passivate(-1, 10) == 1
        assert (await seat.ok("dice:roll", bet()))["nonce"] == placed["nonce"] + 1
        assert (await seat.ok("dice:roll", first))["bet_id"] == placed["bet_id"]
