"""`pitboss verify GAME`: the shared vectors in every game, and what cannot be verified."""

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest

from protocol.money import display
from tests import vectors
from tests.cli.conftest import Pitboss

CASES = vectors.cases()
GAMES = tuple(CASES)
SEEDED = ("dice", "limbo", "plinko", "mines")
SEEDS = ("--server-seed", "s", "--client-seed", "c", "--nonce", "0")
OWN = {"plinko": ("--rows", "8", "--risk", "low"), "mines": ("--mines", "3")}
CRASH = ("--hash", "0" * 64, "--public-seed", "p")


def options(given: dict[str, Any]) -> list[str]:
    """The options of a command line for what a record has."""
    said: list[str] = []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        match name:
            case "target" | "cashout":
                said += [option, f"{value // 100}.{value % 100:02d}"]
            case "stake":
                said += [option, display(value, "USD"), "--currency", "USD"]
            case "picked":
                said += [option, ",".join(map(str, value))]
            case "hash_before":
                said += ["--previous-hash", value]
            case _:
                said += [option, str(value)]
    return said


@pytest.mark.parametrize(
    ("game", "case"),
    [(game, case) for game, cases in CASES.items() for case in cases],
    ids=[f"{game}-{number}" for game, cases in CASES.items() for number in range(len(cases))],
)
def test_every_vector(nowhere: Pitboss, game: str, case: vectors.Case) -> None:
    given, expected = case["given"], case["expected"]
    answer = nowhere("verify", game, *options(given), "--json")

    assert answer.exit_code == 0, answer.output
    said = json.loads(answer.output, parse_float=str, parse_int=str)
    result = expected["result"]
    assert said["result"] == (list(map(str, result)) if game == "mines" else result)
    assert said["payout"] == str(expected["payout"])
    for name in ("won", "bucket"):
        assert str(said.get(name)) == str(expected.get(name))
    if game == "crash":
        assert said["previous_hash_matches"] is True


@pytest.mark.parametrize("game", GAMES)
def test_the_choice_is_not_needed(nowhere: Pitboss, game: str) -> None:
    case = CASES[game][0]
    choices = {"target", "direction", "stake", "picked", "cashout", "hash_before"}
    needed = {name: value for name, value in case["given"].items() if name not in choices}
    answer = nowhere("verify", game, *options(needed), "--json")

    said = json.loads(answer.output, parse_float=str, parse_int=str)
    assert answer.exit_code == 0
    assert "payout" not in said
    assert str(said["result"]).replace("'", "") == str(case["expected"]["result"])


@pytest.mark.parametrize("game", SEEDED)
def test_the_hash_that_was_shown_is_compared_in_every_game(nowhere: Pitboss, game: str) -> None:
    asked = ("verify", game, *SEEDS, *OWN.get(game, ()))
    shown = hashlib.sha256(b"s").hexdigest()

    right = nowhere(*asked, "--server-seed-hash", shown, "--json")
    wrong = nowhere(*asked, "--server-seed-hash", "0" * 64, "--json")
    assert (right.exit_code, wrong.exit_code) == (0, 1)
    assert json.loads(right.output)["server_seed_hash_matches"] is True
    assert json.loads(wrong.output)["server_seed_hash_matches"] is False
    assert "NOT the one that was shown" in nowhere(*asked, "--server-seed-hash", "0" * 64).output


def test_limbo_for_people(nowhere: Pitboss) -> None:
    case = CASES["limbo"][22]
    answer = nowhere("verify", "limbo", *options(case["given"]))

    lines = answer.output.splitlines()
    assert lines[0] == f"result            {case['expected']['result']}"
    target = case["given"]["target"]
    won = "won" if case["expected"]["won"] else "lost"
    assert lines[1].split() == ["target", f"{target // 100}.{target % 100:02d}", won]


def test_plinko_for_people(nowhere: Pitboss) -> None:
    case = CASES["plinko"][0]
    answer = nowhere("verify", "plinko", *options(case["given"]))

    first, second, turns = [line.split(maxsplit=1)[1] for line in answer.output.splitlines()[:3]]
    assert first == case["expected"]["result"]
    assert second == f"{case['expected']['bucket']} of 0 to 8"
    assert turns.count("R") == case["expected"]["bucket"]
    assert turns.count("L") == 8 - case["expected"]["bucket"]


def test_mines_for_people(nowhere: Pitboss) -> None:
    safe, lost = CASES["mines"][0], CASES["mines"][2]

    output = nowhere("verify", "mines", *options(safe["given"])).output
    assert output.startswith(f"mines             {safe['expected']['result'][0]}\n")
    assert "safe, worth" in output
    assert "a mine" in nowhere("verify", "mines", *options(lost["given"])).output


def test_crash_for_people(nowhere: Pitboss) -> None:
    case = CASES["crash"][0]
    output = nowhere("verify", "crash", *options(case["given"])).output

    assert output.startswith(f"bust              {case['expected']['result']}\n")
    assert f"previous hash     {case['given']['hash_before']}\n" in output
    assert output.endswith("the one of the round before\n")


def test_a_round_leads_to_the_terminal_hash(nowhere: Pitboss) -> None:
    found = CRASH[1]
    for _ in range(1_234):
        found = hashlib.sha256(found.encode()).hexdigest()

    answer = nowhere("verify", "crash", *CRASH, "--terminal-hash", found.upper(), "--json")
    said = json.loads(answer.output, parse_float=Decimal)
    assert answer.exit_code == 0
    assert (said["position"], said["terminal_hash_matches"]) == (1_234, True)
    people = nowhere("verify", "crash", *CRASH, "--terminal-hash", found).output
    assert "round 1234 of its chain" in people
    assert "leads to the terminal hash" in people


def test_a_round_of_another_chain_is_an_error(
    nowhere: Pitboss, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A whole chain takes seconds.
    monkeypatch.setattr("actors.crash.verify.MOST_LENGTH", 1_000)
    for option in ("--terminal-hash", "--previous-hash"):
        answer = nowhere("verify", "crash", *CRASH, option, "1" * 64)
        assert answer.exit_code == 1
        assert "NOT" in answer.output


def test_a_hash_may_be_written_in_upper_case(nowhere: Pitboss) -> None:
    given = CASES["crash"][0]["given"]
    asked = ("--public-seed", given["public_seed"], "--previous-hash", given["hash_before"])
    written = [
        nowhere("verify", "crash", "--hash", text, *asked).output
        for text in (given["hash"], given["hash"].upper(), f" {given['hash']} ")
    ]
    assert written[0] == written[1] == written[2]
    assert "the one of the round before" in written[0]


def test_a_cash_out_in_the_first_moment_pays_the_stake(nowhere: Pitboss) -> None:
    asked = ("--cashout", "1.00", "--stake", "5", "--currency", "PLAY", "--json")
    said = json.loads(nowhere("verify", "crash", *CRASH, *asked).output)
    assert (said["won"], said["payout"]) == (True, said["stake"])


def test_a_table_s_own_edge_and_highest_multiplier(nowhere: Pitboss) -> None:
    case = CASES["crash"][23]
    asked = ("verify", "crash", *options({"hash": case["given"]["hash"]}), "--public-seed")
    seed = case["given"]["public_seed"]

    capped = nowhere(*asked, seed, "--most-multiplier", "150.5", "--json")
    fair = nowhere(*asked, seed, "--edge-percent", "0", "--json")
    assert json.loads(capped.output, parse_float=str)["result"] == "150.50"
    bust = Decimal(json.loads(fair.output, parse_float=str)["result"])
    assert abs(bust * 97 / 100 - Decimal(case["expected"]["result"])) < Decimal("0.02")


@pytest.mark.parametrize(
    ("game", "args", "complaint"),
    [
        ("limbo", ("--target", "1.00"), "no way to win"),
        ("limbo", ("--target", "0.99"), "1.00 to 1000000.00"),
        ("limbo", ("--target", "1000000.01"), "1.00 to 1000000.00"),
        ("limbo", ("--target", "2.005"), "1.00 to 1000000.00"),
        ("limbo", ("--target", "1e3"), "1.00 to 1000000.00"),
        ("limbo", ("--stake", "1", "--currency", "USD"), "--target"),
        ("limbo", ("--target", "2", "--stake", "1"), "go together"),
        ("plinko", (), "--rows"),
        ("plinko", ("--rows", "8"), "--risk"),
        ("plinko", ("--rows", "7", "--risk", "low"), "8<=x<=16"),
        ("plinko", ("--rows", "17", "--risk", "low"), "8<=x<=16"),
        ("plinko", ("--rows", "8", "--risk", "extreme"), "extreme"),
        ("mines", (), "--mines"),
        ("mines", ("--mines", "0"), "1<=x<=24"),
        ("mines", ("--mines", "25"), "1<=x<=24"),
        ("mines", ("--mines", "3", "--picked", "25"), "0 to 24"),
        ("mines", ("--mines", "3", "--picked", "-1"), "0 to 24"),
        ("mines", ("--mines", "3", "--picked", "1,,2"), "0 to 24"),
        ("mines", ("--mines", "3", "--picked", "²"), "0 to 24"),
        ("mines", ("--mines", "24", "--picked", "1,2,3"), "no more than are safe"),
        ("mines", ("--mines", "1", "--picked", "24,24"), "once"),
        ("mines", ("--mines", "3", "--stake", "1", "--currency", "USD"), "--picked"),
        ("limbo", ("--nonce", "9007199254740992"), "--nonce"),
    ],
)
def test_what_cannot_be_verified(
    nowhere: Pitboss, game: str, args: tuple[str, ...], complaint: str
) -> None:
    answer = nowhere("verify", game, *SEEDS, *args)

    assert answer.exit_code == 2
    assert complaint in answer.output


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("--hash", ""), "--hash"),
        (("--hash", "é"), "--hash"),
        (("--hash", "x"), "64 hexadecimal digits"),
        (("--hash", "0" * 63), "64 hexadecimal digits"),
        (("--public-seed", ""), "--public-seed"),
        (("--public-seed", "a b"), "--public-seed"),
        (("--previous-hash", "abc"), "64 hexadecimal digits"),
        (("--terminal-hash", "g" * 64), "64 hexadecimal digits"),
        (("--cashout", "0.99"), "1.00 to 1000000.00"),
        (("--edge-percent", "100"), "--edge-percent"),
        (("--most-multiplier", "0.5"), "--most-multiplier"),
        (("--stake", "1", "--currency", "USD"), "--cashout"),
    ],
)
def test_what_is_no_round(nowhere: Pitboss, args: tuple[str, ...], complaint: str) -> None:
    answer = nowhere("verify", "crash", *CRASH, *args)

    assert answer.exit_code == 2
    assert complaint in answer.output
