"""Examples are what the server would take and give; every name has a meaning."""

from typing import Any

import msgspec
import pytest

from actors import fairness
from actors.dice import odds
from actors.limbo import odds as limbo_odds
from actors.mines import odds as mines_odds
from actors.plinko import odds as plinko_odds
from protocol.catalogue import COMMANDS, EVENTS, Entry, EventEntry
from protocol.commands.dice import Direction
from protocol.errors import ERRORS
from server.answer import Refusal, Success
from server.documents import examples, schemas, vocabulary

ENTRIES = [pytest.param(entry, id=name) for name, entry in COMMANDS.items()]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_request_decodes_as_the_router_decodes_it(entry: Entry) -> None:
    example = msgspec.json.encode(examples.request(entry))
    decoded = msgspec.json.decode(example, type=entry.request)
    written = msgspec.to_builtins(decoded, str_keys=True)
    assert written | examples.request(entry) == written


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_answer_is_what_the_real_type_writes(entry: Entry) -> None:
    envelope = msgspec.convert(examples.answer(entry), Success)
    answer = msgspec.convert(envelope.data, entry.answer)
    assert msgspec.json.decode(msgspec.json.encode(answer)) == examples.data(entry)


@pytest.mark.parametrize("event", [pytest.param(event, id=name) for name, event in EVENTS.items()])
def test_an_event_is_what_the_real_type_writes(event: EventEntry) -> None:
    decoded = msgspec.convert(examples.event(event), event.data)
    assert msgspec.json.decode(msgspec.json.encode(decoded)) == examples.event(event)


def test_a_refusal_decodes() -> None:
    for kind in ERRORS.values():
        refusal = msgspec.convert(examples.refusal(kind), Refusal)
        assert (refusal.success, refusal.error.number) == (False, kind.number)


def test_the_example_bet_is_the_one_that_its_seeds_give() -> None:
    bet = examples.data(COMMANDS["bet:get"])
    word = fairness.first_word(bet["server_seed"], bet["client_seed"], bet["nonce"])
    target, direction = bet["parameters"]["target"], Direction(bet["parameters"]["direction"])
    roll = odds.roll(word)
    assert bet["server_seed_hash"] == fairness.seed_hash(bet["server_seed"])
    assert bet["outcome"] == {"roll": roll, "won": odds.wins(roll, target, direction)}
    assert bet["payout"] == odds.payout(bet["stake"], odds.winning_outcomes(target, direction))
    result = examples.data(COMMANDS["dice:roll"])
    shared = bet.keys() & result.keys()
    assert {name: bet[name] for name in shared} == {name: result[name] for name in shared}
    assert (result["roll"], result["won"]) == (roll, True)


def test_the_example_games_are_what_the_same_seeds_give() -> None:
    bet = examples.data(COMMANDS["bet:get"])
    seeds = (bet["server_seed"], bet["client_seed"], bet["nonce"])
    limbo = examples.data(COMMANDS["limbo:play"])
    assert limbo["result"] == limbo_odds.result(fairness.first_word(*seeds))
    assert limbo["won"] is (limbo["result"] >= limbo["target"]) is True
    assert limbo["payout"] == limbo_odds.payout(limbo["stake"], limbo["target"])
    plinko = examples.data(COMMANDS["plinko:drop"])
    assert plinko["bucket"] == plinko_odds.bucket(fairness.words(*seeds), plinko["rows"])
    board = plinko_odds.BOARDS[plinko["rows"], plinko["risk"]]
    assert plinko["multiplier"] == board[plinko["bucket"]]
    assert plinko["payout"] == plinko_odds.payout(plinko["stake"], plinko["multiplier"])
    for name, result in (("limbo:play", limbo), ("plinko:drop", plinko)):
        asked = examples.request(COMMANDS[name])
        shared = asked.keys() & result.keys()
        assert {field: result[field] for field in shared} == {f: asked[f] for f in shared}


def test_the_example_game_of_mines_is_one_that_the_same_seeds_give() -> None:
    bet = examples.data(COMMANDS["bet:get"])
    started, picked, over = (
        examples.data(COMMANDS[f"mines:{verb}"]) for verb in ("start", "reveal", "cashout")
    )
    words = fairness.words(bet["server_seed"], bet["client_seed"], started["nonce"])
    assert over["mined"] == sorted(mines_odds.positions(words, started["mines"]))
    assert not {*over["revealed"]} & {*over["mined"]}
    for game in (picked, over):
        picks = len(game["revealed"])
        assert game["revealed"] == over["revealed"][:picks]
        assert game["multiplier"] == mines_odds.multiplier(game["mines"], picks)
        assert game["payout"] == mines_odds.payout(game["stake"], game["mines"], picks)
    assert started["next_multiplier"] == picked["multiplier"]
    assert picked["next_multiplier"] == over["multiplier"]
    assert examples.request(COMMANDS["mines:reveal"])["tile"] == picked["revealed"][0]
    assert examples.data(COMMANDS["mines:state"])["games"] == [
        {name: value for name, value in picked.items() if name != "balance"}
    ]


def test_every_field_has_a_meaning() -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in schemas.components().items()
        for field, inner in schema.get("properties", {}).items()
        if name != "Refusal" and not _says_something(inner)
    ]
    assert not silent, f"give them a Meta(description=...) or a word in vocabulary.py: {silent}"


def _says_something(field: dict[str, Any]) -> bool:
    # A shared type, such as an enumeration, speaks for itself.
    return "description" in field or "$ref" in field


def test_every_word_is_used() -> None:
    found = schemas.components()
    fields = {field for schema in found.values() for field in schema.get("properties", {})}
    for key in vocabulary.WORDS:
        scope, _, field = key.rpartition(".")
        assert field in fields, f"{key}: nothing is called {field}"
        assert not scope or scope in found or scope in COMMANDS, f"{key}: there is no {scope}"
