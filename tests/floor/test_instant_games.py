"""Limbo and plinko over sockets and HTTP: once each, verifiable, within the rules, and mixed."""

import hashlib
import hmac
from typing import Any

import pytest

from tests.floor.house import Fields, House, Seat, bet, request_id


def limbo(**changes: Any) -> Fields:
    """A small bet on limbo."""
    fields = {"game": "limbo", "stake": 100, "currency": "PLAY", "target": 150}
    return {**fields, "request_id": request_id(), **changes}


def drop(**changes: Any) -> Fields:
    """A small plinko ball."""
    fields = {"game": "plinko", "stake": 100, "currency": "PLAY", "rows": 16, "risk": "low"}
    return {**fields, "request_id": request_id(), **changes}


async def player(house: House) -> Seat:
    ann = await house.guest()
    await ann.pull()
    return await ann.connect()


def words_of(record: Fields) -> list[int]:
    """The first sixteen words of a bet, from its record."""
    digests = b"".join(
        hmac.new(
            record["server_seed"].encode(),
            f"{record['client_seed']}:{record['nonce']}:{block}".encode(),
            hashlib.sha256,
        ).digest()
        for block in range(2)
    )
    return [int.from_bytes(digests[place : place + 4]) for place in range(0, 64, 4)]


async def test_bets_verify_once_the_seed_is_revealed(house: House) -> None:
    seat = await player(house)
    played = await seat.ok("limbo:play", limbo())
    dropped = await seat.ok("plinko:drop", drop())
    hidden = await seat.ok("bet:get", {"bet_id": dropped["bet_id"]})
    assert hidden["server_seed"] is None
    await seat.ok("seed:rotate", {})

    record = await seat.ok("bet:get", {"bet_id": played["bet_id"]})
    result = max(100, min(10**8, 99 * 2**32 // words_of(record)[0]))
    assert (record["game"], record["parameters"]) == ("limbo", {"target": 150})
    assert record["outcome"] == {"result": result, "won": result >= 150}
    assert played["result"] == result
    assert played["payout"] == record["payout"] == (150 if result >= 150 else 0)

    record = await seat.ok("bet:get", {"bet_id": dropped["bet_id"]})
    bucket = sum(word >= 2**31 for word in words_of(record))
    board = [1600, 900, 200, 140, 140, 120, 110, 100, 50, 100, 110, 120, 140, 140, 200, 900, 1600]
    assert (record["game"], record["parameters"]) == ("plinko", {"rows": 16, "risk": "low"})
    assert record["outcome"] == {"bucket": bucket, "multiplier": board[bucket]}
    assert (dropped["bucket"], dropped["multiplier"]) == (bucket, board[bucket])
    assert dropped["payout"] == record["payout"] == board[bucket]
    assert [played["nonce"], dropped["nonce"]] == [0, 1]


@pytest.mark.parametrize(
    ("name", "path", "make", "change"),
    [
        ("limbo:play", "/limbo/play", limbo, {"target": 151}),
        ("plinko:drop", "/plinko/drop", drop, {"risk": "high"}),
    ],
)
async def test_one_request_over_socket_http_and_batch_is_one_bet(
    house: House, name: str, path: str, make: Any, change: Fields
) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    asked = make()
    placed = await seat.ok(name, asked)
    status, answer = await ann.http("POST", path, asked)
    assert (status, answer["data"]) == (200, placed)
    batch = await seat.ok("bets:place", {"bets": [asked, asked]})
    assert [result["data"] for result in batch["results"]] == [placed, placed]
    assert await seat.refused(name, {**asked, **change}) == "request_mismatch"
    history = await seat.ok("bet:history", {})
    assert [one["bet_id"] for one in history["bets"]] == [placed["bet_id"]]


async def test_a_request_id_of_one_game_is_taken_for_the_others(house: House) -> None:
    seat = await player(house)
    asked = bet()
    await seat.ok("dice:roll", asked)
    same = {"request_id": asked["request_id"]}
    assert await seat.refused("limbo:play", limbo(**same)) == "request_mismatch"
    assert await seat.refused("plinko:drop", drop(**same)) == "request_mismatch"


async def test_a_batch_takes_the_games_mixed_and_answers_each_bet_by_itself(house: House) -> None:
    seat = await player(house)
    bets = [bet(), drop(), limbo(target=100), drop(rows=7), limbo(), drop(risk="x"), bet()]
    results = (await seat.ok("bets:place", {"bets": bets}))["results"]
    codes = [None if one["success"] else one["error"]["code"] for one in results]
    wrong_board, wrong_target = "unknown_board", "target_out_of_range"
    assert codes == [None, None, wrong_target, wrong_board, None, wrong_board, None]
    placed = [one["data"] for one in results if one["success"]]
    assert [one["game"] for one in placed] == ["dice", "plinko", "limbo", "dice"]
    assert [one["nonce"] for one in placed] == [0, 1, 2, 3]


async def test_a_rejected_bet_says_what_there_is_and_changes_nothing(house: House) -> None:
    seat = await player(house)
    before = (await seat.ok("wallet:get"), await seat.ok("seed:get"))
    for name, body, code, number in (
        ("limbo:play", limbo(target=100), "target_out_of_range", 4004),
        ("limbo:play", limbo(target=0), "target_out_of_range", 4004),
        ("limbo:play", limbo(target=10**8 + 1), "target_out_of_range", 4004),
        ("limbo:play", limbo(target=-150), "malformed", 1001),
        ("limbo:play", limbo(target=1.5), "malformed", 1001),
        ("limbo:play", limbo(target=150.0), "malformed", 1001),
        ("limbo:play", limbo(target="150"), "malformed", 1001),
        ("limbo:play", limbo(stake=1.0), "malformed", 1001),
        ("limbo:play", limbo(stake=0), "malformed", 1001),
        ("limbo:play", limbo(stake=1_000_001), "stake_too_large", 4002),
        ("limbo:play", limbo(target=10**8, stake=10_000), "profit_too_large", 4003),
        ("limbo:play", limbo(stake=100_001), "insufficient_balance", 3001),
        ("limbo:play", limbo(currency="XYZ"), "unknown_currency", 3002),
        ("limbo:play", limbo(game="dice"), "malformed", 1001),
        ("limbo:play", limbo(rows=8), "malformed", 1001),
        ("plinko:drop", drop(rows=7), "unknown_board", 4010),
        ("plinko:drop", drop(rows=17), "unknown_board", 4010),
        ("plinko:drop", drop(rows=0), "unknown_board", 4010),
        ("plinko:drop", drop(risk="extreme"), "unknown_board", 4010),
        ("plinko:drop", drop(risk="LOW"), "unknown_board", 4010),
        ("plinko:drop", drop(risk=1), "malformed", 1001),
        ("plinko:drop", drop(rows=8.0), "malformed", 1001),
        ("plinko:drop", drop(rows="8"), "malformed", 1001),
        ("plinko:drop", drop(stake=1.5), "malformed", 1001),
        ("plinko:drop", drop(risk="high", stake=100_000), "profit_too_large", 4003),
        ("plinko:drop", drop(stake=100_001), "insufficient_balance", 3001),
    ):
        answer = await seat.call(name, body)
        assert not answer["success"], body
        error = answer["error"]
        assert (error["code"], error["number"], error["temporary"]) == (code, number, False), body
    assert (await seat.ok("wallet:get"), await seat.ok("seed:get")) == before
    assert (await seat.ok("bet:history", {}))["bets"] == []
