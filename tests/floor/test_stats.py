"""A player's statistics: what the rows add up to, however they are read."""

import asyncio
from typing import Any

import asyncpg
import pytest

from actors.wallet.commands import ReleaseHold
from protocol.commands.floor import Game
from protocol.commands.stats import GetPlayerStats, PlayerStats
from protocol.errors import STORAGE_UNAVAILABLE, Failure
from storage.queries import stats
from storage.queries.stats import StatsReader
from tests.floor.house import LIMIT_S, Fields, House, Person, Seat, bet, request_id

STAKE = {"stake": 100, "currency": "PLAY"}

# Said in another way than the code does: row by row, in Python.
_ROWS = """
    select seq, game, currency, stake, payout from wallet_entries
    where wallet_id = $1 and (kind = 'bet' or kind = 'settle') order by seq
"""


async def added_up(pool: asyncpg.Pool, wallet_id: int) -> list[Fields]:
    """The statistics of a wallet, from all of its rows."""
    totals: dict[tuple[str, str], Fields] = {}
    for row in await pool.fetch(_ROWS, wallet_id):
        stake, payout = row["stake"], row["payout"]
        total = totals.setdefault(
            (row["game"], row["currency"]),
            {
                "game": row["game"],
                "currency": row["currency"],
                **dict.fromkeys(
                    ("bets", "staked", "paid", "net", "biggest_win", "best_multiplier"), 0
                ),
            },
        )
        total["bets"] += 1
        total["staked"] += stake
        total["paid"] += payout
        total["net"] += payout - stake
        total["biggest_win"] = max(total["biggest_win"], payout - stake)
        total["best_multiplier"] = max(total["best_multiplier"], payout * 100 // stake)
    return [totals[key] for key in sorted(totals)]


async def play(seat: Seat) -> None:
    """Some of every game that a player ends alone."""
    for stake in (100, 250, 700):
        await seat.ok("dice:roll", bet(stake=stake))
        await seat.ok("dice:roll", bet(stake=stake, currency="USD"))
        body = {"stake": stake, "currency": "PLAY", "target": 150, "request_id": request_id()}
        await seat.ok("limbo:play", body)
    dropped = {**STAKE, "rows": 16, "risk": "high", "request_id": request_id()}
    await seat.ok("plinko:drop", dropped)
    await seat.ok("mines:start", {**STAKE, "mines": 5, "request_id": request_id()})
    for tile in (0, 6, 12):
        pick = {"currency": "PLAY", "tile": tile, "request_id": request_id()}
        if (await seat.ok("mines:reveal", pick))["ended"]:
            return
    await seat.ok("mines:cashout", {"currency": "PLAY", "request_id": request_id()})


async def player(house: House) -> tuple[Person, Seat]:
    """Somebody with two currencies."""
    ann = await house.guest()
    await ann.pull()
    await ann.pull("USD")
    return ann, await ann.connect()


async def test_they_are_what_the_rows_add_up_to(house: House) -> None:
    ann, seat = await player(house)
    assert await seat.ok("stats:get") == {"stats": [], "upto": 2}
    await play(seat)
    shown = await seat.ok("stats:get")

    assert shown["stats"] == await added_up(house.pool, ann.user_id)
    assert [s["game"] for s in shown["stats"]] == ["dice", "dice", "limbo", "mines", "plinko"]
    assert (await ann.http("GET", "/stats"))[1]["data"] == shown


async def test_they_can_be_asked_for_by_game_and_currency(house: House) -> None:
    ann, seat = await player(house)
    await play(seat)
    whole = await added_up(house.pool, ann.user_id)

    dice = await seat.ok("stats:get", {"game": "dice"})
    assert dice["stats"] == [s for s in whole if s["game"] == "dice"]
    dollars = await ann.http("GET", "/stats?currency=USD")
    assert dollars[1]["data"]["stats"] == [s for s in whole if s["currency"] == "USD"]
    assert (await seat.ok("stats:get", {"game": "crash"}))["stats"] == []
    assert await seat.refused("stats:get", {"game": "roulette"}) == "malformed"


async def test_an_open_game_is_no_bet_yet_and_one_given_back_never_was(house: House) -> None:
    ann, seat = await player(house)
    await seat.ok("mines:start", {**STAKE, "mines": 5, "request_id": request_id()})
    assert (await seat.ok("stats:get"))["stats"] == []

    # As a crash table would: the hold is released.
    reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    house.pitboss.node.send(
        "wallet", ann.user_id, ReleaseHold(3, '{"reason":"test"}'), Reply(reply)
    )
    await reply
    assert await seat.ok("stats:get") == {"stats": [], "upto": 4}


class Reply:
    """An answer that somebody awaits."""

    origin = None

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future

    def resolve(self, value: Any) -> None:
        self._future.set_result(value)

    def reject(self, failure: Failure) -> None:
        self._future.set_exception(failure)


async def shown(reader: StatsReader, wallet_id: int) -> list[Fields]:
    """What a reader says of a wallet."""
    found: PlayerStats = await reader.read(wallet_id, GetPlayerStats())
    return [
        {**{f: getattr(s, f) for f in s.__struct_fields__}, "game": s.game.value}
        for s in found.stats
    ]


async def kept(house: House, wallet_id: int) -> int:
    """How far the checkpoint of a wallet is; -1 for none."""
    upto = await house.pool.fetchval(
        "select upto_seq from player_stats where wallet_id = $1", wallet_id
    )
    return -1 if upto is None else int(upto)


async def test_a_checkpoint_moves_behind_reads_and_changes_no_answer(house: House) -> None:
    ann, seat = await player(house)
    reader = StatsReader(house.pool, page=4, keep=3)
    for round_ in range(4):
        await play(seat)
        for _read in range(2):
            whole = await added_up(house.pool, ann.user_id)
            assert await shown(reader, ann.user_id) == whole, round_
    newest = (await seat.ok("wallet:get"))["seq"]
    assert newest - 3 < await kept(house, ann.user_id) <= newest
    # Read with the usual pages, from the same checkpoint.
    assert (await seat.ok("stats:get"))["stats"] == await added_up(house.pool, ann.user_id)


async def test_few_new_rows_are_counted_without_writing(house: House) -> None:
    ann, seat = await player(house)
    await play(seat)
    await seat.ok("stats:get")

    assert await kept(house, ann.user_id) == -1


async def test_dropped_they_come_to_the_same_again(house: House) -> None:
    ann, seat = await player(house)
    await play(seat)
    reader = StatsReader(house.pool, page=5, keep=1)
    before = await shown(reader, ann.user_id)
    assert await kept(house, ann.user_id) > 0
    await house.pool.execute("truncate player_stats, player_game_stats")

    assert await shown(reader, ann.user_id) == before == await added_up(house.pool, ann.user_id)


async def test_readers_and_players_at_once_count_nothing_twice(house: House) -> None:
    ann, seat = await player(house)
    readers = [StatsReader(house.pool, page=3, keep=1) for _ in range(4)]

    async def read_on(reader: StatsReader) -> None:
        for _ in range(6):
            before = await house.pool.fetchval("select count(*) from wallet_entries")
            found = await reader.read(ann.user_id, GetPlayerStats())
            # Of one moment: never behind what was committed, and whole.
            assert found.upto >= before
            rows = await house.pool.fetchval(
                "select count(*) from wallet_entries where seq <= $1 and wallet_id = $2"
                " and kind in ('bet', 'settle')",
                found.upto,
                ann.user_id,
            )
            assert sum(part.bets for part in found.stats) == rows

    async def play_on() -> None:
        for _ in range(5):
            await play(seat)
            await house.pool.execute("truncate player_stats, player_game_stats")

    await asyncio.gather(play_on(), *map(read_on, readers))
    assert await shown(readers[0], ann.user_id) == await added_up(house.pool, ann.user_id)


async def test_a_checkpoint_that_moves_in_the_middle_of_a_read_counts_nothing_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, seat = await player(house)
    await play(seat)
    newest = (await seat.ok("wallet:get"))["seq"]
    # The reader stays for a moment where it has seen the old checkpoint and nothing else.
    monkeypatch.setattr(stats, "_MARK", stats._MARK + " from pg_sleep(0.5)")
    reader = StatsReader(house.pool)
    reading = asyncio.create_task(shown(reader, ann.user_id))
    asleep = "select exists (select from pg_stat_activity where wait_event = 'PgSleep')"
    async with asyncio.timeout(LIMIT_S):
        while not await house.pool.fetchval(asleep):
            await asyncio.sleep(0.01)
    await reader._move(ann.user_id, 0, newest)

    assert await kept(house, ann.user_id) == newest
    assert await reading == await added_up(house.pool, ann.user_id)


async def test_the_checkpoint_may_be_out_of_reach(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, seat = await player(house)
    await play(seat)
    reader = StatsReader(house.pool, keep=1)

    async def broken(*_args: Any) -> None:
        raise Failure(STORAGE_UNAVAILABLE)

    monkeypatch.setattr(reader, "_move", broken)
    assert await shown(reader, ann.user_id) == await added_up(house.pool, ann.user_id)


async def test_a_wallet_with_very_many_bets_and_very_large_ones(house: House) -> None:
    ann, _seat = await player(house)
    # The sums are past what a bigint holds, and one multiplier is just below a whole number.
    await house.pool.execute(
        """
        insert into wallet_entries (
            wallet_id, seq, currency, kind, available_delta, held_delta, available_after,
            held_after, request_id, at_ms, game, stake, payout, pair, nonce, parameters, outcome
        )
        select $1, n + 2, 'USD', 'bet', 0, 0, 0, 0, gen_random_uuid(), n, 'dice',
            case when n % 2 = 0 then 9007199254740991 else 9007199254740990 end,
            case when n % 2 = 0 then 9007199254740990 else 0 end, 1, n, '{}', '{}'
        from generate_series(1, 5000) n
        """,
        ann.user_id,
    )
    reader = StatsReader(house.pool, page=700)
    (found,) = await shown(reader, ann.user_id)

    assert found["staked"] == 2_500 * (2**53 - 1) + 2_500 * (2**53 - 2) > 2**63
    assert (found["bets"], found["best_multiplier"], found["biggest_win"]) == (5_000, 99, 0)
    assert [found] == await added_up(house.pool, ann.user_id)
    assert await kept(house, ann.user_id) >= 4_200
    only = await reader.read(ann.user_id, GetPlayerStats(Game.DICE, "USD"))
    assert len(only.stats) == 1
