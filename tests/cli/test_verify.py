"""`pitboss verify`: exact numbers, clear refusals, no server."""

import hashlib
import hmac
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.conftest import Pitboss
from tests.unit.test_fairness import SEED_A, SEED_B

SEEDS = ("--server-seed", SEED_A, "--client-seed", "my-lucky-seed", "--nonce", "0")
HASH = "a8ae6e6ee929abea3afcfc5258c8ccd6f85273e0d4626d26c7279f3250f77c8e"


@pytest.mark.parametrize(
    ("seeds", "result"),
    [
        (SEEDS, "2.74"),
        (("--server-seed", SEED_A, "--client-seed", "my-lucky-seed", "--nonce", "1"), "16.09"),
        (("--server-seed", SEED_B, "--client-seed", "~!player#1;", "--nonce", "4096"), "56.87"),
    ],
)
def test_the_roll_is_printed_exactly(nowhere: Pitboss, seeds: tuple[str, ...], result: str) -> None:
    answer = nowhere("verify", "dice", *seeds, "--json")

    assert answer.exit_code == 0
    assert answer.output.startswith(f'{{"result": {result}, ')
    assert json.loads(answer.output, parse_float=Decimal)["result"] == Decimal(result)


def test_a_round_result_keeps_its_digits(nowhere: Pitboss) -> None:
    """The first roll below 1.00 that ends in 0: as a float it would lose a digit."""
    rolls = {nonce: roll_of(nonce) for nonce in range(3_000)}
    nonce, roll = next(item for item in rolls.items() if item[1] < 100 and item[1] % 10 == 0)
    seeds = ("--server-seed", SEED_A, "--client-seed", "c", "--nonce", str(nonce))

    answer = nowhere("verify", "dice", *seeds, "--json")
    assert answer.output.startswith(f'{{"result": 0.{roll:02d}, ')


def roll_of(nonce: int) -> int:
    digest = hmac.new(SEED_A.encode(), f"c:{nonce}:0".encode(), hashlib.sha256).hexdigest()
    return int(digest[:8], 16) * 10_001 // 2**32


def test_what_a_bet_came_to(nowhere: Pitboss) -> None:
    bet = ("--target", "2.75", "--direction", "under", "--stake", "1.00", "--currency", "usd")
    answer = nowhere("verify", "dice", *SEEDS, *bet, "--server-seed-hash", HASH.upper(), "--json")

    assert answer.exit_code == 0
    assert json.loads(answer.output, parse_float=Decimal) == {
        "result": Decimal("2.74"),
        "server_seed_hash": HASH,
        "server_seed_hash_matches": True,
        "target": Decimal("2.75"),
        "direction": "under",
        "won": True,
        "currency": "USD",
        "stake": 100,
        "payout": 3_600,
    }


def test_the_same_for_people(nowhere: Pitboss) -> None:
    bet = ("--target", "2.74", "--direction", "under", "--stake", "1", "--currency", "BTC")
    answer = nowhere("verify", "dice", *SEEDS, *bet, "--server-seed-hash", HASH)

    assert answer.output.splitlines() == [
        "roll              2.74",
        "under 2.74        lost",
        "stake             1.00000000 BTC",
        "payout            0.00000000 BTC",
        f"server seed hash  {HASH}",
        "                  the one that was shown",
    ]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_hash_that_does_not_match_is_an_error(nowhere: Pitboss, form: tuple[str, ...]) -> None:
    answer = nowhere("verify", "dice", *SEEDS, "--server-seed-hash", "0" * 64, *form)

    assert answer.exit_code == 1
    assert "2.74" in answer.output
    assert ("NOT the one" in answer.output) or (
        '"server_seed_hash_matches": false' in answer.output
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("--nonce", "-1"), "--nonce"),
        (("--nonce", "1.5"), "--nonce"),
        (("--client-seed", "a:b"), "--client-seed"),
        (("--client-seed", ""), "--client-seed"),
        (("--server-seed", ""), "--server-seed"),
        (("--server-seed", "ü"), "--server-seed"),
        (("--target", "50.5"), "go together"),
        (("--direction", "over"), "go together"),
        (("--stake", "1"), "go together"),
        (("--stake", "1", "--currency", "USD"), "--target"),
        (("--target", "5050", "--direction", "over"), "0.00 to 100.00"),
        (("--target", "50.505", "--direction", "over"), "0.00 to 100.00"),
        (("--target", "-1", "--direction", "over"), "0.00 to 100.00"),
        (("--target", "nan", "--direction", "over"), "0.00 to 100.00"),
        (("--target", "100", "--direction", "over"), "no way to win"),
        (("--target", "0", "--direction", "under"), "no way to win"),
        (("--target", "50", "--direction", "between"), "between"),
        (
            ("--target", "50", "--direction", "over", "--stake", "1.005", "--currency", "USD"),
            "at most 2 decimals",
        ),
        (
            ("--target", "50", "--direction", "over", "--stake", "1", "--currency", "XXX"),
            "not a currency",
        ),
    ],
)
def test_what_cannot_be_verified(nowhere: Pitboss, change: tuple[str, ...], complaint: str) -> None:
    answer = nowhere("verify", "dice", *SEEDS, *change)

    assert answer.exit_code == 2
    assert complaint in answer.output


def test_as_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", "verify", "dice", *SEEDS, "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f'{{"result": 2.74, "server_seed_hash": "{HASH}"}}\n'
    assert done.stderr == ""
