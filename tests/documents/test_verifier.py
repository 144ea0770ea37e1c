"""The verifier page computes what the server computes."""

import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from actors import fairness
from actors.dice import odds
from actors.mines import odds as mines_odds
from actors.plinko.odds import BOARDS
from protocol.bounds import MAX_MINOR
from protocol.catalogue import COMMANDS
from protocol.commands.dice import Direction
from server.documents import examples, verifier
from tests import vectors
from tests.documents.test_reference import Structure, inline
from tests.support.verifier_page import VerifierPage, open_page
from tests.unit.test_verify import hundredths

BETS = 2_000


@pytest.fixture
def page(tmp_path: Path) -> VerifierPage:
    return open_page(tmp_path)


def seeds(chance: random.Random) -> dict[str, Any]:
    printable = [chr(code) for code in range(33, 127) if chr(code) != ":"]
    return {
        "server_seed": chance.randbytes(32).hex(),
        "client_seed": "".join(chance.choices(printable, k=chance.randint(1, 64))),
        "nonce": chance.choice([0, 1, chance.randrange(10**6), MAX_MINOR]),
    }


async def test_hashes_and_words_are_the_same(page: VerifierPage) -> None:
    chance = random.Random(1)
    pairs = [seeds(chance) for _ in range(300)]
    counts = [chance.randint(1, 40) for _ in pairs]
    hashes = await page.ask([{"ask": "hash", **pair} for pair in pairs])
    assert hashes == [fairness.seed_hash(pair["server_seed"]) for pair in pairs]
    drawn = await page.ask(
        [
            {"ask": "words", **pair, "count": count}
            for pair, count in zip(pairs, counts, strict=True)
        ]
    )
    assert drawn == [
        list(islice(fairness.words(**pair), count))
        for pair, count in zip(pairs, counts, strict=True)
    ]


def dice_bet(chance: random.Random) -> dict[str, Any]:
    pair = seeds(chance)
    direction = chance.choice(list(Direction))
    least = 1 if direction is Direction.UNDER else 0
    most = least + 9_999
    # A target that is rolled exactly loses on both sides.
    rolled = min(most, max(least, odds.roll(fairness.first_word(**pair))))
    return {
        **pair,
        "target": chance.choice([least, most, rolled, chance.randint(least, most)]),
        "direction": direction.value,
        "stake": chance.choice([1, chance.randrange(1, 10**6), chance.randint(1, MAX_MINOR)]),
    }


def dice_outcome(bet: dict[str, Any]) -> dict[str, Any]:
    """What the server makes of a bet, by its own rules."""
    direction = Direction(bet["direction"])
    word = fairness.first_word(bet["server_seed"], bet["client_seed"], bet["nonce"])
    roll = odds.roll(word)
    won = odds.wins(roll, bet["target"], direction)
    winning = odds.winning_outcomes(bet["target"], direction)
    return {
        "result": f"{roll // 100}.{roll % 100:02}",
        "outcome": {"roll": roll, "won": won},
        "payout": str(odds.payout(bet["stake"], winning) if won else 0),
    }


async def test_dice_is_the_same(page: VerifierPage) -> None:
    chance = random.Random(2)
    bets = [dice_bet(chance) for _ in range(BETS)]
    answers = await page.ask([{"ask": "bet", "game": "dice", "texts": _texts(bet)} for bet in bets])
    computed = [{key: answer[key] for key in ("result", "outcome", "payout")} for answer in answers]
    assert computed == [dice_outcome(bet) for bet in bets]
    assert {outcome["outcome"]["won"] for outcome in computed} == {True, False}


async def test_a_roll_needs_only_its_seeds(page: VerifierPage) -> None:
    bet = {"server_seed": "s", "client_seed": "c", "nonce": 7}
    (answer,) = await page.ask([{"ask": "bet", "game": "dice", "texts": _texts(bet)}])
    roll = odds.roll(fairness.first_word("s", "c", 7))
    assert (answer["outcome"], answer["payout"]) == ({"roll": roll}, None)


@pytest.mark.parametrize(
    ("change", "invalid"),
    [
        ({"server_seed": ""}, "server_seed"),
        ({"nonce": "-1"}, "nonce"),
        ({"nonce": "1.5"}, "nonce"),
        ({"nonce": str(MAX_MINOR + 1)}, "nonce"),
        ({"target": "10001"}, "target"),
        ({"target": "0"}, "target"),
        ({"target": "10000", "direction": "over"}, "target"),
        ({"direction": "sideways"}, "direction"),
        ({"stake": "0"}, "stake"),
    ],
)
async def test_what_cannot_be_computed_is_named(
    page: VerifierPage, change: dict[str, str], invalid: str
) -> None:
    texts = _texts(dice_bet(random.Random(3))) | {"direction": "under"} | change
    answers = await page.ask([{"ask": "bet", "game": "dice", "texts": texts}])
    assert answers == [{"invalid": invalid}]


@pytest.mark.parametrize("game", vectors.cases())
async def test_the_page_computes_every_vector(page: VerifierPage, game: str) -> None:
    cases = vectors.cases()[game]
    answers = await page.ask(
        [{"ask": "bet", "game": game, "texts": _texts(case["given"])} for case in cases]
    )
    for case, answer in zip(cases, answers, strict=True):
        expected = case["expected"]
        result = expected["result"]
        assert answer["result"] == (", ".join(map(str, result)) if game == "mines" else result)
        assert answer["payout"] == str(expected["payout"])
        assert answer.get("won", answer["outcome"].get("won")) == expected.get("won")
        assert answer["outcome"].get("bucket") == expected.get("bucket")
        assert [check["passed"] for check in answer["checks"]] == [True] * (game == "crash")


async def test_every_bucket_of_every_board_pays_the_same(page: VerifierPage) -> None:
    (boards,) = await page.ask([{"ask": "boards"}])
    outward = {
        (int(rows), risk): tuple(multipliers)
        for risk, by_rows in boards.items()
        for rows, multipliers in by_rows.items()
    }
    # The right half, from the middle on.
    assert outward == {board: row[board[0] // 2 :][board[0] % 2 :] for board, row in BOARDS.items()}


@pytest.mark.parametrize("game", ["limbo", "plinko", "mines", "crash"])
async def test_the_result_needs_no_choice(page: VerifierPage, game: str) -> None:
    case = vectors.cases()[game][0]
    choices = {"target", "stake", "picked", "cashout", "hash_before"}
    needed = {name: value for name, value in case["given"].items() if name not in choices}
    (answer,) = await page.ask([{"ask": "bet", "game": game, "texts": _texts(needed)}])
    whole = case["expected"]["result"]
    assert answer["result"] == (", ".join(map(str, whole)) if game == "mines" else whole)
    assert answer["payout"] is None


@pytest.mark.parametrize(
    ("game", "change", "invalid"),
    [
        ("limbo", {"target": "100"}, "target"),
        ("limbo", {"target": "100000001"}, "target"),
        ("limbo", {"target": "2.5"}, "target"),
        ("plinko", {"rows": "7"}, "rows"),
        ("plinko", {"rows": ""}, "rows"),
        ("plinko", {"risk": "extreme"}, "risk"),
        ("mines", {"mines": "0"}, "mines"),
        ("mines", {"mines": "25"}, "mines"),
        ("mines", {"picked": "25"}, "picked"),
        ("mines", {"picked": "1,,2"}, "picked"),
        ("mines", {"picked": "-1"}, "picked"),
        ("crash", {"hash": ""}, "hash"),
        ("crash", {"hash": "x"}, "hash"),
        ("crash", {"hash": "0" * 63}, "hash"),
        ("crash", {"public_seed": ""}, "public_seed"),
        ("crash", {"cashout": "99"}, "cashout"),
        ("crash", {"edge_percent": "100"}, "edge_percent"),
        ("crash", {"position": "0"}, "position"),
    ],
)
async def test_what_no_game_can_have_is_named(
    page: VerifierPage, game: str, change: dict[str, str], invalid: str
) -> None:
    texts = _texts(vectors.cases()[game][0]["given"]) | change
    answers = await page.ask([{"ask": "bet", "game": game, "texts": texts}])
    assert answers == [{"invalid": invalid}]


async def test_picks_that_no_game_can_have_are_named(page: VerifierPage) -> None:
    case = vectors.cases()["mines"][1]
    mined, safe = case["expected"]["result"][0], case["given"]["picked"][0]
    texts = [
        _texts(case["given"]) | {"picked": picked}
        for picked in (f"{safe},{safe}", f"{mined},{safe}")
    ]
    answers = await page.ask([{"ask": "bet", "game": "mines", "texts": one} for one in texts])
    assert answers == [{"invalid": "picked"}] * 2


async def test_a_hash_may_be_written_in_upper_case(page: VerifierPage) -> None:
    texts = _texts(vectors.cases()["crash"][0]["given"])
    written = [texts, texts | {"hash": texts["hash"].upper()}]
    asked = [{"ask": "bet", "game": "crash", "texts": one} for one in written]
    usual, upper = await page.ask(asked)
    assert usual == upper
    assert all(check["passed"] for check in usual["checks"])
    assert usual["checks"]


async def test_rounds_are_hashed_down_to_the_terminal_hash(page: VerifierPage) -> None:
    given = vectors.cases()["crash"][0]["given"]
    terminal = fairness.seed_hash(fairness.seed_hash(given["hash_before"]))
    asked = [
        given | {"terminal_hash": terminal.upper(), "position": 3},
        given | {"terminal_hash": terminal, "position": 2},
        given | {"terminal_hash": terminal, "position": 10_001},
        given | {"hash_before": terminal},
    ]
    answers = await page.ask(
        [{"ask": "bet", "game": "crash", "texts": _texts(one)} for one in asked]
    )
    passed = [[check["passed"] for check in answer["checks"]] for answer in answers]
    assert passed == [[True, True], [True, False], [True], [False]]
    # A browser would take seconds: the command that does it is named instead.
    assert any("--terminal-hash" in step["value"] for step in answers[2]["steps"])


async def test_a_pasted_bet_is_checked_against_what_the_server_said(page: VerifierPage) -> None:
    honest = examples.answer(COMMANDS["bet:get"])
    record = honest["data"]
    lies = [
        record | {"outcome": {"roll": record["outcome"]["roll"] + 1, "won": True}},
        record | {"payout": record["payout"] - 1},
        record | {"server_seed_hash": fairness.seed_hash("another")},
        record | {"nonce": record["nonce"] + 1},
    ]
    pasted = [honest, record, *lies]
    answers = await page.paste(pasted)
    assert [all(checks) for checks in answers] == [True, True, False, False, False, False]
    assert all(len(checks) == len(("hash", "roll", "won", "payout")) for checks in answers)


def record_of(game: str, case: vectors.Case) -> dict[str, Any]:
    """A bet as `bet:get` answers it once its seed is revealed."""
    given, expected = case["given"], case["expected"]
    chosen = {"limbo": ("target",), "plinko": ("rows", "risk"), "mines": ("mines",)}[game]
    result = expected["result"]
    outcome: dict[str, Any] = {}
    match game:
        case "limbo":
            outcome = {"result": hundredths(result), "won": expected["won"]}
        case "plinko":
            outcome = {"bucket": expected["bucket"], "multiplier": hundredths(result)}
        case "mines":
            picks = len(given["picked"])
            won = mines_odds.multiplier(given["mines"], picks) if expected["won"] else 0
            last = "cleared" if picks == 25 - given["mines"] else "cashout"
            ended = last if expected["won"] else "mine"
            outcome = {
                "mines": result, "picked": given["picked"], "multiplier": won, "ended": ended
            }  # fmt: skip
    seeded = {name: given[name] for name in ("server_seed", "client_seed", "nonce", "stake")}
    return {
        **seeded,
        "game": game,
        "server_seed_hash": fairness.seed_hash(given["server_seed"]),
        "parameters": {name: given[name] for name in chosen},
        "outcome": outcome,
        "payout": expected["payout"],
    }


@pytest.mark.parametrize("game", ["limbo", "plinko", "mines"])
async def test_pasted_bets_of_every_game_are_checked(page: VerifierPage, game: str) -> None:
    honest = [record_of(game, case) for case in vectors.cases()[game]]
    lies = [
        honest[0] | {"payout": honest[0]["payout"] + 1},
        honest[0] | {"nonce": honest[0]["nonce"] + 1},
        honest[0] | {"server_seed_hash": fairness.seed_hash("another")},
        *(
            honest[0] | {"outcome": honest[0]["outcome"] | {name: 7}}
            for name in honest[0]["outcome"]
            if name not in {"picked", "ended"}
        ),
    ]
    answers = await page.paste(honest + lies)
    assert [all(checks) for checks in answers] == [True] * len(honest) + [False] * len(lies)
    # The hash, everything of the outcome that the seeds tell, and the payout.
    for record, checks in zip(honest, answers, strict=False):
        untold = record["outcome"].get("ended") == "cashout"
        assert len(checks) == 1 + len(record["outcome"]) - untold + 1


async def test_a_lost_game_of_mines_did_not_end_otherwise(page: VerifierPage) -> None:
    lost = record_of("mines", vectors.cases()["mines"][2])
    assert lost["outcome"]["ended"] == "mine"
    lie = lost | {"outcome": lost["outcome"] | {"ended": "cashout"}}
    (checks,) = await page.paste([lie])
    assert checks.count(False) == 1


async def test_pasted_rounds_are_checked(page: VerifierPage) -> None:
    rounds = [
        {
            "round_id": "1-5",
            "bust": hundredths(case["expected"]["result"]),
            "hash": case["given"]["hash"],
            "public_seed": case["given"]["public_seed"],
            "terminal_hash": fairness.seed_hash(case["given"]["hash_before"]),
            "position": 2,
        }
        for case in vectors.cases()["crash"]
    ]
    lies = [
        rounds[0] | {"bust": rounds[0]["bust"] + 1},
        rounds[0] | {"hash": rounds[1]["hash"]},
        rounds[0] | {"terminal_hash": rounds[1]["terminal_hash"]},
    ]
    answers = await page.paste(rounds + lies)
    assert answers[: len(rounds)] == [[True, True]] * len(rounds)
    assert all(not all(checks) for checks in answers[len(rounds) :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "7",
        '{"game": "constructor"}',
        '{"game": "dice", "server_seed": null}',
        '{"game": "crash", "outcome": {"round": "1-5"}}',
    ],
)
async def test_what_is_not_a_revealed_bet_is_refused(page: VerifierPage, text: str) -> None:
    assert await page.ask([{"ask": "pasted", "text": text}]) == [{"invalid": "bet"}]


def test_the_page_stands_alone() -> None:
    page = verifier.build()
    structure = Structure()
    structure.feed(page.html)
    assert not structure.open
    assert not structure.external
    assert set(structure.links) == {"/docs"}
    assert "fetch(" not in page.html
    assert "unsafe" not in page.policy
    assert page.policy.startswith("default-src 'none'")
    assert len(list(inline(page))) == len(("style", "script"))


def test_the_page_says_what_to_do_without_cryptography() -> None:
    page = verifier.build()
    assert 'id="insecure" hidden' in page.html
    assert "over HTTPS, from localhost or from a file" in page.html
    assert page.html.count(verifier.COMMAND) == len(("without JavaScript", "without crypto"))


def _texts(bet: dict[str, Any]) -> dict[str, str]:
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in bet.items()
    }
