"""The catalogue: complete, without doubles, and decoding is validation."""

import json
import re
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from msgspec import NODEFAULT, structs

from protocol.bounds import (
    MAX_BETS_PER_BATCH,
    MAX_CLIENT_SEED_CHARS,
    MAX_EVENT_NAME_CHARS,
    MAX_MINOR,
    MAX_PAGE,
)
from protocol.catalogue import ANYONE, COMMANDS, EVENTS, STAFF, Door, Entry, EventEntry
from protocol.errors import ERRORS, Failure, body

ID = "6f2d8f3e-5d0c-4b39-9a3c-5b6f2f6d7a10"

# A request of every command as a client would send it.
VALID: dict[str, dict[str, Any]] = {
    "auth:register": {"email": "a@example.com", "username": "alice", "password": "correct horse"},
    "auth:login": {"login": "alice", "password": "correct horse"},
    "auth:guest": {},
    "auth:renew": {"refresh_token": "abc"},
    "auth:refresh": {"token": "abc"},
    "auth:logout": {},
    "wallet:get": {},
    "wallet:history": {"currency": "USD", "before": 10, "limit": 5},
    "wallet:tip": {"to": "bob", "currency": "USD", "amount": 5, "request_id": ID},
    "wallet:deposit": {"user_id": 1, "currency": "USD", "amount": 5, "request_id": ID},
    "wallet:withdraw": {"user_id": 1, "currency": "USD", "amount": 5, "request_id": ID},
    "wallet:faucet": {"currency": "USD", "request_id": ID},
    "dice:roll": {
        "stake": 100,
        "currency": "USD",
        "target": 5050,
        "direction": "over",
        "request_id": ID,
    },
    "limbo:play": {"stake": 100, "currency": "USD", "target": 200, "request_id": ID},
    "plinko:drop": {
        "stake": 100,
        "currency": "USD",
        "rows": 8,
        "risk": "low",
        "request_id": ID,
    },
    "mines:start": {"stake": 100, "currency": "USD", "mines": 3, "request_id": ID},
    "mines:reveal": {"currency": "USD", "tile": 0, "request_id": ID},
    "mines:cashout": {"currency": "USD", "request_id": ID},
    "mines:state": {"currency": "USD"},
    "bets:place": {
        "bets": [
            {
                "game": "dice",
                "stake": 1,
                "currency": "USD",
                "target": 1,
                "direction": "under",
                "request_id": ID,
            }
        ]
    },
    "crash:bet": {
        "round_id": "1-42",
        "stake": 100,
        "currency": "USD",
        "auto_cashout": 250,
        "request_id": ID,
    },
    "crash:cancel": {"round_id": "1-42"},
    "crash:cashout": {"round_id": "1-42"},
    "crash:state": {"table": 1},
    "crash:watch": {"table": 1},
    "crash:unwatch": {"table": 1},
    "crash:tables": {},
    "crash:history": {"table": 1, "before": 10, "limit": 5},
    "bet:history": {"before": 10, "limit": 5},
    "bet:get": {"bet_id": "1-2"},
    "seed:get": {},
    "seed:rotate": {"client_seed": "lucky"},
    "seed:set_client": {"client_seed": "lucky"},
    "limits:get": {},
    "limits:set": {"kind": "loss", "period": "week", "currency": "USD", "amount": 5},
    "limits:cool_off": {"hours": 24},
    "limits:exclude": {"days": 180},
    "rain:start": {
        "room": "crash:1",
        "currency": "USD",
        "amount": 100,
        "request_id": ID,
        "minutes": 10,
    },
    "feed:state": {},
    "feed:watch": {},
    "feed:unwatch": {},
    "stats:get": {"game": "dice", "currency": "USD"},
    "game:pause": {"game": "crash", "table": 1},
    "game:resume": {"game": "dice"},
    "game:switches": {},
    "node:stats": {},
    "node:connections": {
        "user_id": 7,
        "address": "203.0.113.9",
        "room": "user:7",
        "transport": "polling",
        "before": 10,
        "limit": 5,
    },
    "node:rooms": {"namespace": "/", "prefix": "user:", "before": 10, "limit": 5},
}


def decode(name: str, message: dict[str, Any] | str) -> Any:
    """As the router does it: from JSON."""
    text = message if isinstance(message, str) else json.dumps(message)
    return msgspec.json.decode(text, type=COMMANDS[name].request)


@pytest.mark.parametrize("entry", COMMANDS.values(), ids=lambda entry: entry.name)
class TestEveryCommand:
    def test_has_a_name_that_reads_as_noun_and_verb(self, entry: Entry) -> None:
        assert re.fullmatch(r"[a-z]+:[a-z]+(_[a-z]+)*", entry.name)
        assert len(entry.name) <= MAX_EVENT_NAME_CHARS

    def test_says_what_it_does_in_a_sentence(self, entry: Entry) -> None:
        for described in (entry.summary, (entry.answer.__doc__ or "").strip()):
            assert re.match(r"[A-Z].{10,}", described)
            assert described.endswith(".")

    def test_is_reached_by_a_socket_or_by_http(self, entry: Entry) -> None:
        assert entry.socket or entry.route is not None

    def test_has_a_path_that_names_only_fields_of_the_request(self, entry: Entry) -> None:
        if entry.route is None:
            return
        fields = {field.name for field in structs.fields(entry.request)}
        assert entry.route.method in {"GET", "POST"}
        assert re.fullmatch(r"(/[a-z]+|/\{[a-z_]+\})+", entry.route.path)
        assert set(re.findall(r"\{([a-z_]+)\}", entry.route.path)) <= fields

    def test_moves_nothing_by_get(self, entry: Entry) -> None:
        if entry.route is not None and entry.route.method == "GET":
            fields = {field.name for field in structs.fields(entry.request)}
            assert "request_id" not in fields

    def test_refuses_fields_it_does_not_know(self, entry: Entry) -> None:
        assert entry.request.__struct_config__.forbid_unknown_fields
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            decode(entry.name, {**VALID[entry.name], "extra": 1})

    def test_takes_its_valid_message(self, entry: Entry) -> None:
        assert isinstance(decode(entry.name, VALID[entry.name]), entry.request)

    def test_needs_each_field_without_a_default(self, entry: Entry) -> None:
        for field in structs.fields(entry.request):
            if field.default is NODEFAULT and field.default_factory is NODEFAULT:
                message = {k: v for k, v in VALID[entry.name].items() if k != field.name}
                with pytest.raises(msgspec.ValidationError, match="missing required field"):
                    decode(entry.name, message)

    @pytest.mark.parametrize(
        "text", ["", "[]", "null", "1", '"x"', "{", "nan", '{"a":}', "\xff", "[" * 10_000]
    )
    def test_refuses_what_is_no_object(self, entry: Entry, text: str) -> None:
        with pytest.raises((msgspec.DecodeError, RecursionError)):
            decode(entry.name, text)

    @pytest.mark.parametrize("wrong", [[], {}, 1.5, -1, 2**70, "\0", "", True, "1" * 10_000])
    def test_refuses_what_no_field_takes(self, entry: Entry, wrong: object) -> None:
        """Except text: it may be any, and NUL is looked for by the router."""
        for field in structs.fields(entry.request):
            text = str in (field.type, *get_args(field.type)) and isinstance(wrong, str)
            if not text:
                with pytest.raises(msgspec.ValidationError):
                    decode(entry.name, {**VALID[entry.name], field.name: wrong})


def test_the_table_above_covers_every_command() -> None:
    assert VALID.keys() == COMMANDS.keys()


def test_no_two_commands_share_a_path() -> None:
    routes = [(e.route.method, e.route.path) for e in COMMANDS.values() if e.route is not None]

    assert len(set(routes)) == len(routes)


def test_names_are_those_the_entries_have() -> None:
    assert all(name == entry.name for name, entry in COMMANDS.items())
    assert all(name == event.name for name, event in EVENTS.items())


def test_only_staff_moves_money_of_others_switches_games_and_looks_at_all() -> None:
    assert {name for name, entry in COMMANDS.items() if entry.roles == STAFF} == {
        "wallet:deposit",
        "wallet:withdraw",
        "game:pause",
        "game:resume",
        "game:switches",
        "node:stats",
        "node:connections",
        "node:rooms",
    }


def test_only_signing_in_is_open_to_strangers() -> None:
    strangers = {name for name, entry in COMMANDS.items() if entry.roles == ANYONE}

    assert strangers == {"auth:register", "auth:login", "auth:guest", "auth:renew"}


def test_every_command_that_moves_money_carries_a_request_id() -> None:
    for entry in COMMANDS.values():
        fields = {field.name for field in structs.fields(entry.request)}
        moves = fields & {"amount", "stake"} and entry.name != "limits:set"
        if moves or entry.name == "wallet:faucet":
            assert entry.door is Door.ACTOR
            assert "request_id" in fields


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)
def test_every_event_is_described_and_past_or_passing(event: EventEntry) -> None:
    assert re.fullmatch(r"[a-z]+:([a-z_]+(ed|ed_out|ing)|fell|left)", event.name)
    assert event.summary.endswith(".")
    assert event.rooms


MONEY = [
    ("dice:roll", "stake"),
    ("limbo:play", "stake"),
    ("plinko:drop", "stake"),
    ("mines:start", "stake"),
    ("wallet:tip", "amount"),
    ("wallet:deposit", "amount"),
    ("wallet:withdraw", "amount"),
]
BAD_MONEY = [
    "0",
    "-1",
    "-0",
    "1.0",
    "1.5",
    "1e2",
    "1E400",
    "0.1",
    "100.00000000000000000001",
    "NaN",
    "Infinity",
    "-Infinity",
    "9007199254740992",
    "9" * 400,
    '"100"',
    '""',
    "null",
    "true",
    "[100]",
    "{}",
    "0x10",
    "1_000",
    "01",
    "+1",
]


@pytest.mark.parametrize(("name", "field"), MONEY)
@pytest.mark.parametrize("amount", BAD_MONEY)
def test_money_is_a_whole_number_of_minor_units(name: str, field: str, amount: str) -> None:
    rest = {key: value for key, value in VALID[name].items() if key != field}
    text = json.dumps(rest)[:-1] + f', "{field}": {amount}}}'

    with pytest.raises(msgspec.DecodeError):
        decode(name, text)


@pytest.mark.parametrize(("name", "field"), MONEY)
@pytest.mark.parametrize("amount", [1, MAX_MINOR])
def test_the_least_and_the_most_money(name: str, field: str, amount: int) -> None:
    assert getattr(decode(name, {**VALID[name], field: amount}), field) == amount


@pytest.mark.parametrize("target", [-1, 10_001, 50.5, "5050", None, True, 2**63])
def test_a_target_is_in_hundredths(target: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("dice:roll", {**VALID["dice:roll"], "target": target})


@pytest.mark.parametrize("target", [-1, 2.5, 250.0, "250", None, True, 2**63])
def test_a_multiplier_is_in_hundredths(target: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("limbo:play", {**VALID["limbo:play"], "target": target})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rows", 8.0),
        ("rows", "8"),
        ("rows", -8),
        ("rows", None),
        ("risk", 1),
        ("risk", None),
        ("risk", "low" * 6),
    ],
)
def test_a_board_is_a_number_and_a_word(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("plinko:drop", {**VALID["plinko:drop"], field: value})


@pytest.mark.parametrize("mines", [0, 25, -1, 3.0, "3", None, True, 2**63])
def test_at_least_one_tile_is_mined_and_one_is_safe(mines: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("mines:start", {**VALID["mines:start"], "mines": mines})


@pytest.mark.parametrize("tile", [25, -1, 3.0, "3", None, True, 2**63])
def test_a_tile_is_one_of_twenty_five(tile: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("mines:reveal", {**VALID["mines:reveal"], "tile": tile})


@pytest.mark.parametrize("direction", ["OVER", "Over", "", "between", 1, None, ["over"]])
def test_a_direction_is_over_or_under(direction: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("dice:roll", {**VALID["dice:roll"], "direction": direction})


@pytest.mark.parametrize("request_id", ["", "1", "x" * 36, ID + "0", ID[:-1], 1, None, [], {}])
def test_a_request_id_is_a_uuid(request_id: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("dice:roll", {**VALID["dice:roll"], "request_id": request_id})


@pytest.mark.parametrize("spelling", [ID, ID.upper(), ID.replace("-", "")])
def test_spellings_of_a_request_id_are_one(spelling: str) -> None:
    command = decode("dice:roll", {**VALID["dice:roll"], "request_id": spelling})

    assert command.request_id == UUID(ID)


@pytest.mark.parametrize(
    "seed",
    [
        "",
        "a b",
        "a:b",
        "ü",
        "\0",
        "a\0b",
        "a\n",
        "\x7f",
        "x" * (MAX_CLIENT_SEED_CHARS + 1),
        1,
        [],
    ],
)
@pytest.mark.parametrize("name", ["seed:rotate", "seed:set_client"])
def test_what_is_no_client_seed(name: str, seed: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(name, {"client_seed": seed})


@pytest.mark.parametrize("seed", ["a", "!", "~", "9;", "x" * MAX_CLIENT_SEED_CHARS])
def test_what_is_a_client_seed(seed: str) -> None:
    assert decode("seed:set_client", {"client_seed": seed}).client_seed == seed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ab"),
        ("username", "a" * 25),
        ("username", "a b"),
        ("username", "a@b"),
        ("username", "alice\n"),
        ("username", "älice"),
        ("username", "ali\0ce"),
        ("email", "alice"),
        ("email", "a@b"),
        ("email", "a b@c.de"),
        ("email", "a@b@c.de"),
        ("email", "a\0@example.com"),
        ("email", "a@example.com\n"),
        ("email", "a" * 250 + "@b.de"),
        ("password", "seven77"),
        ("password", "x" * 129),
    ],
)
def test_what_no_account_is_opened_with(field: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("auth:register", {**VALID["auth:register"], field: value})


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE + 1, 1.0, "5"])
@pytest.mark.parametrize(
    "name", ["bet:history", "wallet:history", "node:connections", "node:rooms"]
)
def test_a_page_is_bounded(name: str, limit: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(name, {"limit": limit})


@pytest.mark.parametrize("count", [0, MAX_BETS_PER_BATCH + 1])
def test_a_batch_is_bounded(count: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("bets:place", {"bets": VALID["bets:place"]["bets"] * count})


@pytest.mark.parametrize("game", ["poker", "", 1, None])
def test_a_bet_of_a_batch_names_a_game_that_there_is(game: object) -> None:
    (bet,) = VALID["bets:place"]["bets"]
    with pytest.raises(msgspec.ValidationError):
        decode("bets:place", {"bets": [{**bet, "game": game}]})


def test_a_batch_takes_the_instant_games_mixed() -> None:
    games = {"dice": "dice:roll", "limbo": "limbo:play", "plinko": "plinko:drop"}
    bets = [{"game": game, **VALID[name]} for game, name in games.items()]
    batch = decode("bets:place", {"bets": bets})

    assert [type(bet) for bet in batch.bets] == [COMMANDS[name].request for name in games.values()]


def test_a_bet_of_a_batch_has_to_name_its_game() -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field `game`"):
        decode("bets:place", {"bets": [VALID["dice:roll"]]})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("limits:set", "kind", "wager"),
        ("limits:set", "kind", None),
        ("limits:set", "period", "year"),
        ("limits:set", "period", 1),
        ("limits:set", "amount", 5.0),
        ("limits:set", "amount", -1),
        ("limits:set", "amount", MAX_MINOR + 1),
        ("limits:cool_off", "hours", 0),
        ("limits:cool_off", "hours", 1_009),
        ("limits:cool_off", "hours", None),
        ("limits:exclude", "days", 179),
        ("limits:exclude", "days", 36_501),
        ("limits:exclude", "days", 180.0),
    ],
)
def test_what_limits_of_play_are_not(name: str, field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(name, {**VALID[name], field: value})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("limits:set", "amount", 0),
        ("limits:set", "amount", MAX_MINOR),
        ("limits:set", "amount", None),
        ("limits:cool_off", "hours", 1_008),
        ("limits:exclude", "days", 36_500),
        ("limits:exclude", "days", None),
    ],
)
def test_the_least_and_the_most_of_limits_of_play(name: str, field: str, value: object) -> None:
    assert getattr(decode(name, {**VALID[name], field: value}), field) == value


@pytest.mark.parametrize("user_id", [0, -1, 2**53, 1.0, "1", None])
def test_a_user_number_is_one(user_id: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("wallet:deposit", {**VALID["wallet:deposit"], "user_id": user_id})


# Errors.


def test_numbers_and_codes_of_errors_are_unique() -> None:
    assert len({kind.number for kind in ERRORS.values()}) == len(ERRORS)
    assert all(code == kind.code for code, kind in ERRORS.items())


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_is_a_person_s_sentence_with_a_fitting_status(code: str) -> None:
    kind = ERRORS[code]

    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.number // 1_000 in {1, 2, 3, 4, 5, 9}
    assert re.match(r"[A-Z]", kind.message)
    assert 400 <= kind.status <= 599
    # Only what a server says of itself, or of too much haste or delay, can be different next time.
    assert kind.temporary is (kind.status in {408, 429, 500, 503})


def test_an_error_on_the_wire_has_all_its_parts() -> None:
    written = msgspec.to_builtins(body(Failure(ERRORS["stake_too_small"], least=10)))

    assert written == {
        "code": "stake_too_small",
        "number": 4001,
        "message": "The stake is below the least allowed.",
        "temporary": False,
        "details": {"least": 10},
    }
