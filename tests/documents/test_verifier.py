"""The verifier page computes what the server computes."""

import json
import random
import shutil
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from actors import fairness
from actors.dice import odds
from protocol.bounds import MAX_MINOR
from protocol.catalogue import COMMANDS
from protocol.commands.dice import Direction
from server.documents import examples, verifier
from tests.documents.test_reference import Structure, inline
from tests.support.node import NodeClient

SCRIPT = Path(__file__).with_name("fairness.mjs")
BETS = 2_000


class Page:
    """The page's script in Node, given many questions at once."""

    def __init__(self, node: NodeClient, folder: Path) -> None:
        self._node = node
        self._folder = folder

    async def ask(self, questions: list[dict[str, Any]]) -> list[Any]:
        source = self._folder / "fairness.js"
        source.write_text((resources.files("server.documents") / "assets/fairness.js").read_text())
        file = self._folder / "questions.json"
        file.write_text(json.dumps(questions))
        answers: list[Any] = json.loads(await self._node.run(str(SCRIPT), str(source), str(file)))
        return answers


@pytest.fixture
def page(tmp_path: Path) -> Page:
    node = shutil.which("node")
    if node is None:
        pytest.skip("the verifier page: there is no node on the PATH")
    return Page(NodeClient(node), tmp_path)


def seeds(chance: random.Random) -> dict[str, Any]:
    printable = [chr(code) for code in range(33, 127) if chr(code) != ":"]
    return {
        "server_seed": chance.randbytes(32).hex(),
        "client_seed": "".join(chance.choices(printable, k=chance.randint(1, 64))),
        "nonce": chance.choice([0, 1, chance.randrange(10**6), MAX_MINOR]),
    }


async def test_hashes_and_words_are_the_same(page: Page) -> None:
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


async def test_dice_is_the_same(page: Page) -> None:
    chance = random.Random(2)
    bets = [dice_bet(chance) for _ in range(BETS)]
    answers = await page.ask([{"ask": "bet", "game": "dice", "texts": _texts(bet)} for bet in bets])
    computed = [{key: answer[key] for key in ("result", "outcome", "payout")} for answer in answers]
    assert computed == [dice_outcome(bet) for bet in bets]
    assert {outcome["outcome"]["won"] for outcome in computed} == {True, False}


async def test_a_roll_needs_only_its_seeds(page: Page) -> None:
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
    page: Page, change: dict[str, str], invalid: str
) -> None:
    texts = _texts(dice_bet(random.Random(3))) | {"direction": "under"} | change
    answers = await page.ask([{"ask": "bet", "game": "dice", "texts": texts}])
    assert answers == [{"invalid": invalid}]


async def test_a_pasted_bet_is_checked_against_what_the_server_said(page: Page) -> None:
    honest = examples.answer(COMMANDS["bet:get"])
    record = honest["data"]
    lies = [
        record | {"outcome": {"roll": record["outcome"]["roll"] + 1, "won": True}},
        record | {"payout": record["payout"] - 1},
        record | {"server_seed_hash": fairness.seed_hash("another")},
        record | {"nonce": record["nonce"] + 1},
    ]
    pasted = [honest, record, *lies]
    answers = await page.ask([{"ask": "pasted", "text": json.dumps(bet)} for bet in pasted])
    assert [all(checks) for checks in answers] == [True, True, False, False, False, False]
    assert all(len(checks) == len(("hash", "roll", "won", "payout")) for checks in answers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "7",
        '{"game": "constructor"}',
        '{"game": "dice", "server_seed": null}',
    ],
)
async def test_what_is_not_a_revealed_bet_is_refused(page: Page, text: str) -> None:
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
    return {name: str(value) for name, value in bet.items()}
