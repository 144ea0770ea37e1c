"""Bets in several steps as records: what a round of crash leaves has no seeds of the player's."""

import asyncpg

from tests.floor.house import House, bet

_ROW = """
    insert into wallet_entries (wallet_id, seq, currency, kind, available_delta, held_delta,
        available_after, held_after, request_id, at_ms, game, stake, payout, parameters, outcome,
        hold)
    values ($1, $2, 'PLAY', $3, 0, 0, 0, 0, gen_random_uuid(), 7, 'crash', 100, $4, $5, $6, $7)
"""
_CHOSEN = '{"round_id": "1-42", "auto_cashout": null}'


async def _hold(pool: asyncpg.Pool, wallet_id: int, seq: int) -> None:
    await pool.execute(_ROW, wallet_id, seq, "hold", None, _CHOSEN, None, None)


async def _end(pool: asyncpg.Pool, wallet_id: int, seq: int, hold: int, paid: int | None) -> None:
    kind, outcome = ("settle", '{"multiplier": 150}') if paid else ("release", '{"reason": "late"}')
    await pool.execute(_ROW, wallet_id, seq, kind, paid, None, outcome, hold)


async def test_open_settled_and_released_bets_are_one_record_each(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    rolled = await seat.ok("dice:roll", bet())
    for seq in (3, 4, 5):
        await _hold(house.pool, ann.user_id, seq)
    await _end(house.pool, ann.user_id, 6, 4, 150)
    await _end(house.pool, ann.user_id, 7, 3, None)
    history = (await seat.ok("bet:history"))["bets"]

    assert [(one["seq"], one["state"], one["payout"], one["outcome"]) for one in history[:3]] == [
        (5, "open", None, None),
        (4, "settled", 150, {"multiplier": 150}),
        (3, "released", None, {"reason": "late"}),
    ]
    assert [(one["bet_id"], one["state"]) for one in history[3:]] == [(rolled["bet_id"], "settled")]
    for one in history[:3]:
        assert one["game"] == "crash"
        assert one["parameters"] == {"round_id": "1-42", "auto_cashout": None}
        seeds = ("pair", "nonce", "client_seed", "server_seed_hash", "server_seed")
        assert [one[name] for name in seeds] == [None] * 5
        assert await seat.ok("bet:get", {"bet_id": one["bet_id"]}) == one


async def test_pages_are_by_the_number_of_the_hold(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    for seq in range(2, 8):
        await _hold(house.pool, ann.user_id, seq)
    for seq in range(8, 14):
        await _end(house.pool, ann.user_id, seq, seq - 6, 1)
    found: list[int] = []
    before: dict[str, int] = {}
    while True:
        page = await seat.ok("bet:history", {"limit": 2, **before})
        found += [one["seq"] for one in page["bets"]]
        if page["next_before"] is None:
            break
        before = {"before": page["next_before"]}

    assert found == [7, 6, 5, 4, 3, 2]


async def test_an_ending_is_found_by_its_index(house: House) -> None:
    """However many endings a wallet has: the planner must not read them all for one bet."""
    async with house.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local enable_seqscan = off")
        plan = await connection.fetch(
            "explain select payout from wallet_entries where wallet_id = 1 and hold = 5"
            " and kind in ('settle', 'release')"
        )

    assert "_hold_idx" in "\n".join(row[0] for row in plan)
