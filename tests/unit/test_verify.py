"""The verifiers say of every game what the independent vectors say, and what its rules had said."""

from typing import Any

import pytest

from actors.crash import verify as crash
from actors.dice import verify as dice
from actors.limbo import verify as limbo
from actors.mines import verify as mines
from actors.plinko import verify as plinko
from protocol.commands.dice import Direction
from tests import vectors
from tests.vectors import Case, maker

CASES = vectors.cases()


def seeds(given: dict[str, Any]) -> tuple[str, str, int]:
    return given["server_seed"], given["client_seed"], given["nonce"]


def hundredths(text: str) -> int:
    """Exactly, whatever decimals were written."""
    units, _, decimals = text.partition(".")
    return int(units) * 100 + int(decimals.ljust(2, "0"))


def each(game: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", CASES[game], ids=range(len(CASES[game])))


def test_the_vectors_are_what_their_maker_makes() -> None:
    assert vectors.FILE.read_text() == maker.text()


def test_the_vectors_have_what_is_rare() -> None:
    def results(game: str) -> list[Any]:
        return [case["expected"]["result"] for case in CASES[game]]

    assert all(len(cases) >= 20 for cases in CASES.values())
    assert CASES.keys() == {"dice", "limbo", "plinko", "mines", "crash"}
    assert results("crash").count("1.00") >= 2
    assert "1.00" in results("limbo")
    assert max(map(hundredths, results("limbo"))) > 100_000
    assert max(map(hundredths, results("crash"))) > 100_000
    assert {len(mined) for mined in results("mines")} == set(range(1, 25))
    boards = {(case["given"]["rows"], case["given"]["risk"]) for case in CASES["plinko"]}
    assert len(boards) == 9 * 3
    for game in ("dice", "limbo", "mines", "crash"):
        assert {case["expected"]["won"] for case in CASES[game]} == {True, False}


@each("dice")
def test_dice(case: Case) -> None:
    given, expected = case["given"], case["expected"]
    choice = dice.Choice(given["target"], Direction(given["direction"]), given["stake"])
    verified = dice.verify(*seeds(given), choice)

    roll = hundredths(expected["result"])
    assert verified == dice.Verified(roll, expected["won"], expected["payout"])
    assert dice.verify(*seeds(given)) == dice.Verified(roll)


@each("limbo")
def test_limbo(case: Case) -> None:
    given, expected = case["given"], case["expected"]
    verified = limbo.verify(*seeds(given), limbo.Choice(given["target"], given["stake"]))

    result = hundredths(expected["result"])
    assert verified == limbo.Verified(result, expected["won"], expected["payout"])
    assert limbo.verify(*seeds(given)) == limbo.Verified(result)
    assert limbo.verify(*seeds(given), limbo.Choice(given["target"])).payout_minor is None


@pytest.mark.parametrize("target", [0, 100, 100_000_001])
def test_a_limbo_target_that_no_bet_can_have(target: int) -> None:
    with pytest.raises(ValueError, match="target"):
        limbo.verify("s", "c", 0, limbo.Choice(target))


@each("plinko")
def test_plinko(case: Case) -> None:
    given, expected = case["given"], case["expected"]
    verified = plinko.verify(*seeds(given), given["rows"], given["risk"], given["stake"])

    assert verified.multiplier == hundredths(expected["result"])
    assert verified.bucket == sum(verified.turns) == expected["bucket"]
    assert len(verified.turns) == given["rows"]
    assert verified.payout_minor == expected["payout"]
    assert plinko.verify(*seeds(given), given["rows"], given["risk"]).payout_minor is None


@each("mines")
def test_mines(case: Case) -> None:
    given, expected = case["given"], case["expected"]
    picked, stake = given["picked"], given["stake"]
    verified = mines.verify(*seeds(given), given["mines"], picked, stake)

    assert sorted(verified.drawn) == expected["result"]
    assert (verified.won, verified.payout_minor) == (expected["won"], expected["payout"])
    assert (verified.multiplier == 0) is not expected["won"]
    assert mines.verify(*seeds(given), given["mines"]) == mines.Verified(verified.drawn)


def test_picks_that_no_game_can_have() -> None:
    (one, two), safe = mines.verify("s", "c", 0, 2).drawn, 0
    while safe in {one, two}:
        safe += 1
    with pytest.raises(ValueError, match="once"):
        mines.verify("s", "c", 0, 2, [safe, safe])
    with pytest.raises(ValueError, match="after it"):
        mines.verify("s", "c", 0, 2, [one, safe])
    assert mines.verify("s", "c", 0, 2, [safe, two]).won is False


@each("crash")
def test_crash(case: Case) -> None:
    given, expected = case["given"], case["expected"]
    seeded = given["hash"], given["public_seed"]
    cashout = crash.Cashout(given["cashout"], given["stake"])
    verified = crash.verify(*seeded, cashout=cashout)

    bust = hundredths(expected["result"])
    assert verified == crash.Verified(bust, expected["won"], expected["payout"])
    assert crash.verify(*seeded) == crash.Verified(bust)
    assert crash.verify(*seeded, most=150).bust == min(150, bust)


def test_a_round_is_found_in_its_chain() -> None:
    given = CASES["crash"][0]["given"]
    terminal = maker.sha256(maker.sha256(given["hash_before"]))

    assert crash.position_of(given["hash"], terminal) == 3
    assert crash.position_of(given["hash_before"], terminal) == 2
