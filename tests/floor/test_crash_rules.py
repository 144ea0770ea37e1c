"""Crash over real sockets and HTTP: every refusal by its number, with nothing changed by it."""

import asyncio
import operator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from actors.crash.chain import Chain, before
from actors.crash.table import Table
from protocol.errors import ERRORS
from server.settings import Settings
from storage.audit import audit
from storage.chains import link_place
from storage.vault import Vault
from tests.floor.house import LIMIT_S, Fields, House, Person, Seat, request_id
from tests.support.rounds import chain

# One that takes bets all the time, one whose first round runs all the time, and a quick one.
BETTING, RUNNING, QUICK = 1, 2, 3
TABLES = [
    Table(BETTING, "Open", "PLAY", 100, 5_000, 10**8, betting_ms=600_000),
    Table(RUNNING, "Long", "PLAY", 100, 5_000, 10**8, betting_ms=700, tick_ms=100),
    Table(
        QUICK, "Quick", "PLAY", 100, 5_000, 10**8, betting_ms=400, pause_ms=300, most_multiplier=110
    ),
]


@pytest.fixture
def options() -> dict[str, Any]:
    """The tables."""
    return {"crash_tables": TABLES}


@pytest_asyncio.fixture(autouse=True)
async def vault(database_url: str, tmp_path: Path) -> Vault:
    """The vault of the house to come; its second table has a first round of over two minutes."""
    vault = Vault(Settings(env="test", data_dir=tmp_path).seed_key())
    connection = await asyncpg.connect(database_url)
    try:
        for number in (BETTING, RUNNING, QUICK):
            least = 200_000 if number == RUNNING else 100
            await give(connection, vault, chain(number, 50, partial(operator.le, least)))
    finally:
        await connection.close()
    return vault


async def give(connection: asyncpg.Connection, vault: Vault, made: Chain) -> None:
    """Store a chain for the table of its number."""
    number = made.chain_id
    await connection.execute(
        "insert into crash_chains (id, table_id, length, terminal_hash, public_seed,"
        " created_at_ms, fixed_at_ms) overriding system value values ($1, $2, $3, $4, $5, 0, 1)",
        number,
        number,
        made.length,
        before(made.hash_of(1)),
        made.public_seed,
    )
    for position, link in made.links.items():
        await connection.execute(
            "insert into crash_chain_links values ($1, $2, $3)",
            number,
            position,
            vault.seal(link, link_place(number, position)),
        )


async def player(house: House) -> tuple[Person, Seat]:
    """Somebody with money."""
    ann = await house.guest()
    await ann.pull()
    return ann, await ann.connect()


async def state_in(seat: Seat, table: int, *phases: str) -> Fields:
    """A table's state once it is in one of these phases."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            state = await seat.ok("crash:state", {"table": table})
            if state["phase"] in phases:
                return state
            await asyncio.sleep(0.02)


def bet(round_id: str, **changes: Any) -> Fields:
    """A bet of one credit."""
    fields = {"round_id": round_id, "stake": 100, "currency": "PLAY", "request_id": request_id()}
    return {**fields, **changes}


async def rows(house: House) -> list[Any]:
    """All that there is of wallets, of the tables that stand still, and on its way."""
    queries = (
        "select count(*) from wallet_entries",
        "select count(*) from crash_entries where table_id in (1, 2)",
        "select count(*) from outbox",
    )
    return [await house.pool.fetchval(query) for query in queries]


async def settled(seat: Seat) -> Fields:
    """The wallet's balance once nothing is held."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            balance: Fields = (await seat.ok("wallet:get"))["balances"][0]
            if not balance["held"]:
                return balance
            await asyncio.sleep(0.02)


WRONG: list[tuple[str, Fields]] = [
    ("malformed", {"stake": 100.0}),
    ("malformed", {"stake": 100.5}),
    ("malformed", {"stake": "100"}),
    ("malformed", {"stake": -100}),
    ("malformed", {"stake": 0}),
    ("malformed", {"stake": 2**53}),
    ("malformed", {"stake": True}),
    ("malformed", {"stake": None}),
    ("malformed", {"auto_cashout": 1.5}),
    ("malformed", {"auto_cashout": -150}),
    ("malformed", {"auto_cashout": "2.00"}),
    ("malformed", {"round_id": 1}),
    ("malformed", {"round_id": "1"}),
    ("malformed", {"round_id": "1-0"}),
    ("malformed", {"round_id": "01-1"}),
    ("malformed", {"round_id": "1-1 "}),
    ("malformed", {"round_id": "1--1"}),
    ("malformed", {"round_id": "1-٣"}),
    ("malformed", {"round_id": "1-1\x00"}),
    ("malformed", {"round_id": "1-99999999999999999"}),
    ("malformed", {"request_id": "no id"}),
    ("malformed", {"request_id": None}),
    ("malformed", {"round": 5}),
    ("unknown_table", {"round_id": "9-1"}),
    ("unknown_table", {"round_id": "999999-1"}),
    ("unknown_round", {"round_id": "1-2"}),
    ("unknown_round", {"round_id": "1-9999999999999999"}),
    ("round_started", {"round_id": "2-1"}),
    ("auto_cashout_out_of_range", {"auto_cashout": 100}),
    ("auto_cashout_out_of_range", {"auto_cashout": 99}),
    ("auto_cashout_out_of_range", {"auto_cashout": 0}),
    ("auto_cashout_out_of_range", {"auto_cashout": 100_000_001}),
    ("currency_mismatch", {"currency": "USD"}),
    ("currency_mismatch", {"currency": "XXX"}),
    ("stake_too_small", {"stake": 99}),
    ("stake_too_large", {"stake": 5_001}),
]


async def test_what_is_wrong_with_a_bet_is_said_and_changes_nothing(house: House) -> None:
    ann, seat = await player(house)
    await state_in(seat, RUNNING, "running")
    opened = await state_in(seat, BETTING, "betting")
    assert opened["round_id"] == "1-1"
    before = await rows(house)
    for code, changes in WRONG:
        body = {**bet("1-1"), **changes}
        answer = await seat.call("crash:bet", body)
        assert not answer["success"], (changes, answer)
        error = answer["error"]
        assert (error["code"], error["number"]) == (code, ERRORS[code].number), changes
        status, told = await ann.http("POST", "/crash/bet", body)
        assert (status, told["error"]["code"]) == (ERRORS[code].status, code), changes
    body = bet("1-1")
    del body["request_id"]
    assert await seat.refused("crash:bet", body) == "malformed"
    poor = await (await house.guest()).connect()
    assert await poor.refused("crash:bet", bet("1-1")) == "insufficient_balance"
    assert await rows(house) == before
    assert (await seat.ok("wallet:get"))["balances"][0]["held"] == 0


async def test_a_bet_that_is_taken_is_the_only_one_until_it_leaves(house: House) -> None:
    _ann, seat = await player(house)
    await state_in(seat, BETTING, "betting")
    first = bet("1-1", auto_cashout=150)
    placed = await seat.ok("crash:bet", first)
    before = await rows(house)

    assert await seat.refused("crash:bet", bet("1-1")) == "already_in_round"
    assert await seat.refused("crash:bet", {**first, "stake": 101}) == "request_mismatch"
    assert await seat.refused("crash:bet", {**first, "auto_cashout": 151}) == "request_mismatch"
    assert await seat.refused("crash:cashout", {"round_id": "1-1"}) == "round_not_started"
    assert await seat.refused("crash:cashout", {"round_id": "1-2"}) == "unknown_round"
    assert await seat.refused("crash:cancel", {"round_id": "1-2"}) == "unknown_round"
    assert await seat.refused("crash:cancel", {"round_id": "9-1"}) == "unknown_table"
    again = await seat.ok("crash:bet", first)
    assert {**again, "at_ms": 0} == {**placed, "at_ms": 0}
    assert (await rows(house))[:2] == before[:2]

    await seat.ok("crash:cancel", {"round_id": "1-1"})
    assert await settled(seat) | {"seq": 0} == {
        "currency": "PLAY",
        "available": 100_000,
        "held": 0,
        "seq": 0,
    }
    assert await seat.refused("crash:cancel", {"round_id": "1-1"}) == "not_in_round"
    # The bet that left is answered as it was, and does not come back by it.
    assert (await seat.ok("crash:bet", first))["bet_id"] == placed["bet_id"]
    assert (await seat.ok("crash:state", {"table": BETTING}))["own"] is None
    assert (await seat.ok("crash:bet", bet("1-1")))["bet_id"] != placed["bet_id"]


async def test_a_cashout_counts_once_and_for_its_own_player(
    house: House, vault: Vault, database_url: str
) -> None:
    _ann, seat = await player(house)
    _bob, other = await player(house)
    await state_in(seat, BETTING, "betting")
    await state_in(seat, RUNNING, "betting")
    placed = await seat.ok("crash:bet", bet("2-1", stake=1_000))
    await state_in(seat, RUNNING, "running")
    assert await seat.refused("crash:cancel", {"round_id": "2-1"}) == "round_started"
    paid = await seat.ok("crash:cashout", {"round_id": "2-1"})
    assert paid["bet_id"] == placed["bet_id"]
    assert paid["payout"] == 1_000 * paid["multiplier"] // 100
    assert (await settled(seat))["available"] == 99_000 + paid["payout"]

    before = await rows(house)
    answers = [await seat.call("crash:cashout", {"round_id": "2-1"}) for _ in range(3)]
    for answer in answers:
        assert answer["error"]["code"] == "already_cashed_out"
        details = {"multiplier": paid["multiplier"], "payout": paid["payout"]}
        assert answer["error"]["details"] == details
    assert await other.refused("crash:cashout", {"round_id": "2-1"}) == "not_in_round"
    assert await other.refused("crash:bet", bet("2-1")) == "round_started"
    assert await seat.refused("crash:bet", bet("2-1")) == "round_started"
    assert await seat.refused("crash:cashout", {"round_id": "2-2"}) == "unknown_round"
    assert (await rows(house))[:2] == before[:2]
    shown = await seat.ok("crash:state", {"table": RUNNING})
    assert (shown["bust"], shown["hash"]) == (None, None)
    assert shown["own"]["payout"] == paid["payout"]
    report = await audit(database_url, vault)
    assert report.findings == []


async def test_a_cashout_that_was_buffered_for_an_old_round_cashes_nothing_out(
    house: House,
) -> None:
    ann, seat = await player(house)
    old = (await state_in(seat, QUICK, "betting"))["round_id"]
    await seat.ok("crash:bet", bet(old))
    await seat.client.disconnect()

    seat = await ann.connect()
    await state_in(seat, QUICK, "crashed")
    new = (await state_in(seat, QUICK, "betting"))["round_id"]
    await seat.ok("crash:bet", bet(new))
    assert await seat.refused("crash:cashout", {"round_id": old}) == "round_over"
    assert await seat.refused("crash:cancel", {"round_id": old}) == "round_over"
    assert await seat.refused("crash:bet", bet(old)) == "round_over"
    own = (await seat.ok("crash:state", {"table": QUICK}))["own"]
    assert own is not None
    ends = await house.pool.fetchval(
        "select count(*) from crash_entries where kind = 'cashed_out' and reason = 'manual'"
    )
    assert ends == 0


async def test_one_player_is_at_several_tables_at_once(house: House) -> None:
    _ann, seat = await player(house)
    await state_in(seat, RUNNING, "betting")
    await seat.ok("crash:bet", bet("2-1", stake=200))
    await state_in(seat, BETTING, "betting")
    await seat.ok("crash:bet", bet("1-1", stake=300))
    assert (await seat.ok("wallet:get"))["balances"][0]["held"] == 500
    await state_in(seat, RUNNING, "running")
    paid = await seat.ok("crash:cashout", {"round_id": "2-1"})
    async with asyncio.timeout(LIMIT_S):
        while (balance := (await seat.ok("wallet:get"))["balances"][0])["held"] != 300:
            await asyncio.sleep(0.02)
    assert balance["available"] == 100_000 - 500 + paid["payout"]
    states = [await seat.ok("crash:state", {"table": table}) for table in (BETTING, RUNNING)]
    assert [(state["own"]["stake"], state["own"]["ended"]) for state in states] == [
        (300, None),
        (200, "cashed_out"),
    ]


async def test_only_those_who_watch_are_told_and_only_of_that_table(house: House) -> None:
    _ann, seat = await player(house)
    _bob, other = await player(house)
    watched = await seat.ok("crash:watch", {"table": QUICK})
    assert (watched["table"], watched["name"]) == (QUICK, "Quick")
    assert await seat.refused("crash:watch", {"table": 9}) == "unknown_table"
    crashed = await seat.hear("round:crashed")
    opened = await seat.hear("round:opened")
    await seat.hear("round:ticked")
    of = {data["round_id"].split("-")[0] for name, data in seat.told if name.startswith("round:")}
    assert of == {str(QUICK)}
    assert crashed["deadline_ms"] == crashed["at_ms"] + 300
    assert opened["deadline_ms"] == opened["at_ms"] + 400
    assert await seat.ok("crash:unwatch", {"table": QUICK}) == {"table": QUICK, "watching": False}
    seat.told.clear()
    await state_in(other, QUICK, "running")
    await state_in(other, QUICK, "crashed")
    await state_in(other, QUICK, "betting")
    assert [name for name, _data in seat.told if name.startswith("round:")] == []
    assert [name for name, _data in other.told if name.startswith("round:")] == []


async def test_bets_and_cashouts_of_others_are_told_as_lists(house: House) -> None:
    _ann, seat = await player(house)
    bob, other = await player(house)
    await seat.ok("crash:watch", {"table": RUNNING})
    await state_in(seat, RUNNING, "betting")
    await other.ok("crash:bet", bet("2-1", auto_cashout=101))
    joined = await seat.hear("bet:joined")
    item = {"round_id": "2-1", "player": bob.username, "stake": 100, "seq": 2}
    assert (joined["items"], joined["more"]) == ([item], 0)
    paid = await seat.hear("player:cashed_out")
    item = {"round_id": "2-1", "player": bob.username, "multiplier": 101, "payout": 101}
    assert (paid["items"], paid["more"]) == ([item], 0)


async def test_bets_that_are_taken_back_are_told_too(house: House) -> None:
    _ann, seat = await player(house)
    bob, other = await player(house)
    await seat.ok("crash:watch", {"table": BETTING})
    await state_in(seat, BETTING, "betting")
    for _ in range(2):
        await other.ok("crash:bet", bet("1-1"))
        await other.ok("crash:cancel", {"round_id": "1-1"})
    await other.ok("crash:bet", bet("1-1"))
    # Everything that is known of bob, from however many lists.
    news: dict[int, str] = {}
    async with asyncio.timeout(LIMIT_S):
        while len(news) < 5:
            await asyncio.sleep(0.01)
            for name, data in list(seat.told):
                if name in ("bet:joined", "bet:left"):
                    news |= {one["seq"]: name for one in data["items"]}
                    assert {one["player"] for one in data["items"]} == {bob.username}
    assert [news[seq] for seq in sorted(news)] == [*["bet:joined", "bet:left"] * 2, "bet:joined"]


async def test_everything_is_there_over_http(house: House) -> None:
    ann, seat = await player(house)
    status, answer = await ann.http("GET", "/crash/tables")
    listed = [(table["table"], table["most_multiplier"]) for table in answer["data"]["tables"]]
    assert (status, listed) == (200, [(1, 10**8), (2, 10**8), (3, 110)])
    await state_in(seat, BETTING, "betting")
    status, answer = await ann.http("GET", f"/crash/tables/{BETTING}")
    assert (status, answer["data"]["round_id"]) == (200, "1-1")
    status, answer = await ann.http("POST", "/crash/bet", bet("1-1"))
    assert (status, answer["data"]["stake"]) == (200, 100)
    status, answer = await ann.http("POST", "/crash/cashout", {"round_id": "1-1"})
    assert (status, answer["error"]["code"]) == (
        ERRORS["round_not_started"].status,
        "round_not_started",
    )
    status, answer = await ann.http("POST", "/crash/cancel", {"round_id": "1-1"})
    assert (status, answer["data"]["round_id"]) == (200, "1-1")
    await state_in(seat, QUICK, "crashed")
    status, answer = await ann.http("GET", f"/crash/tables/{QUICK}/rounds?limit=1")
    assert (status, len(answer["data"]["rounds"])) == (200, 1)
    for path in ("/crash/tables/9", "/crash/tables/9/rounds"):
        status, answer = await ann.http("GET", path)
        assert (status, answer["error"]["code"]) == (
            ERRORS["unknown_table"].status,
            "unknown_table",
        )


async def test_histories_page_without_gaps(house: House) -> None:
    _ann, seat = await player(house)
    while int((await state_in(seat, QUICK, "betting"))["round_id"].split("-")[1]) < 4:
        await asyncio.sleep(0.2)
    first = await seat.ok("crash:history", {"table": QUICK, "limit": 2})
    rest = await seat.ok(
        "crash:history", {"table": QUICK, "limit": 100, "before": first["next_before"]}
    )
    shown = [record for page in (first, rest) for record in page["rounds"]]
    assert [record["number"] for record in shown] == list(range(len(shown), 0, -1))
    assert rest["next_before"] is None
    for later, earlier in pairwise(shown):
        assert before(later["hash"]) == earlier["hash"]
    assert before(shown[-1]["hash"]) == shown[-1]["terminal_hash"]
