"""What a node played is verified from its own records: by the page, and by the command line."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from actors.crash.table import Table
from server.verify.group import verify
from tests.cli.test_verify_games import options as command_line
from tests.floor.house import Fields, House, Seat, request_id
from tests.support.verifier_page import open_page

ROUNDS = 4
TABLE = Table(
    1,
    "Quick",
    "PLAY",
    100,
    100_000,
    100_000_000,
    edge_percent=5,
    betting_ms=100,
    pause_ms=50,
    tick_ms=100,
    most_multiplier=110,
)


@pytest.fixture
def options() -> dict[str, Any]:
    """One quick table, with an edge and a highest multiplier of its own."""
    return {"crash_tables": [TABLE], "commands_per_second": 10_000}


def wagers() -> list[Fields]:
    """A few of each instant game."""
    chosen: list[Fields] = [
        {"game": "dice", "target": 5_050, "direction": "over"},
        {"game": "limbo", "target": 200},
        {"game": "plinko", "rows": 8, "risk": "high"},
        {"game": "plinko", "rows": 13, "risk": "low"},
    ]
    return [
        {**one, "stake": 123, "currency": "PLAY", "request_id": request_id()}
        for one in chosen
        for _ in range(5)
    ]


async def mines(seat: Seat, count: int, tiles: range) -> str:
    """Play a game of mines: until a mine, or cashed out after these tiles."""
    asked: Fields = {"currency": "PLAY", "request_id": request_id()}
    game = await seat.ok("mines:start", {**asked, "stake": 1_000, "mines": count})
    id_: str = game["bet_id"]
    for tile in tiles:
        asked["request_id"] = request_id()
        game = await seat.ok("mines:reveal", {**asked, "tile": tile})
        if game["ended"]:
            return id_
    await seat.ok("mines:cashout", {**asked, "request_id": request_id()})
    return id_


async def test_every_bet_is_verified_from_its_record(house: House, tmp_path: Path) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    placed = await seat.ok("bets:place", {"bets": wagers()})
    bets = [one["data"]["bet_id"] for one in placed["results"]]
    # Lost, cashed out and cleared: 24 mines leave one tile, and one mine is met sooner or later.
    bets += [await mines(seat, *game) for game in ((1, range(25)), (3, range(1)), (24, range(1)))]
    bets += [await mines(seat, 3, range(2)) for _ in range(10)]
    await seat.ok("seed:rotate", {})
    records = [await seat.ok("bet:get", {"bet_id": bet}) for bet in bets]

    answers = await open_page(tmp_path).paste(records)
    assert all(len(checks) >= 3 for checks in answers)
    assert [all(checks) for checks in answers] == [True] * len(records)
    for record in records:
        assert_same_on_the_command_line(record)


def assert_same_on_the_command_line(record: Fields) -> None:
    seeds = ("server_seed", "client_seed", "nonce", "server_seed_hash")
    given = {name: record[name] for name in seeds} | record["parameters"]
    if "picked" in record["outcome"]:
        given["picked"] = record["outcome"]["picked"]
    # PLAY has two decimals, like the currency of command_line.
    said = verified(record["game"], given | {"stake": record["stake"]})
    assert said["server_seed_hash_matches"] is True
    assert said["payout"] == record["payout"]
    match record["game"]:
        case "dice":
            assert said["result"] == units(record["outcome"]["roll"])
        case "limbo":
            assert said["result"] == units(record["outcome"]["result"])
        case "plinko":
            assert said["bucket"] == record["outcome"]["bucket"]
        case "mines":
            assert said["result"] == record["outcome"]["mines"]


def verified(game: str, given: Fields) -> Fields:
    answer = CliRunner().invoke(verify, [game, *command_line(given), "--json"])
    assert answer.exit_code == 0, answer.output
    said: Fields = json.loads(answer.output, parse_float=str)
    return said


def units(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02d}"


async def test_every_round_is_verified_from_its_record(house: House, tmp_path: Path) -> None:
    seat = await (await house.guest()).connect()
    await seat.ok("crash:watch", {"table": 1})
    await seat.hear("round:crashed", round_id=f"1-{ROUNDS}")
    records = (await seat.ok("crash:history", {"table": 1}))["rounds"]
    assert len(records) >= ROUNDS
    # Each is the hash of the one after it.
    for later, earlier in pairwise(records):
        later["hash_before"] = earlier["hash"]

    answers = await open_page(tmp_path).paste(records)
    assert answers == [[True] * (3 if "hash_before" in one else 2) for one in records]
    for record in records:
        asked = ("hash", "public_seed", "terminal_hash", "hash_before", "edge_percent")
        given = {name: record[name] for name in asked if name in record}
        highest = {"most_multiplier": units(record["most_multiplier"])}
        said = verified("crash", given | highest)
        assert said["result"] == units(record["bust"])
        assert said["position"] == record["position"]
