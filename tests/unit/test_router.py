"""The router: what is refused, with which number, and that nothing else is reached then."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from protocol.bounds import MAX_INBOX
from protocol.catalogue import COMMANDS, Rate
from protocol.commands.auth import Role
from protocol.commands.dice import RollDice
from protocol.errors import (
    FORBIDDEN,
    MALFORMED,
    OVERLOADED,
    RATE_LIMITED,
    UNAUTHENTICATED,
    UNKNOWN_COMMAND,
    ErrorKind,
    Failure,
)
from server.auth.identity import Identity
from server.budget import Budget
from server.caller import Caller
from server.reply import Answer
from server.router import Router

SESSION = UUID(int=1)


class Kept(Answer):
    """Keeps what it is given."""

    origin = None

    def __init__(self) -> None:
        super().__init__()
        self.value: Any = None
        self.failure: Failure | None = None

    def give(self, value: Any) -> None:
        self.value = value

    def refuse(self, failure: Failure) -> None:
        self.failure = failure


class Desk:
    """A router whose handlers note what reaches them."""

    def __init__(self) -> None:
        self.reached: list[Any] = []
        self.router = Router({name: self._handler(name) for name in COMMANDS}, lambda: 0.0)

    def _handler(self, name: str) -> Callable[[Caller, Any, Answer], None]:
        def handle(_caller: Caller, command: Any, answer: Answer) -> None:
            self.reached.append(command)
            answer.resolve(name)

        return handle

    def ask(self, caller: Caller, name: str, argument: Any) -> Kept:
        answer = Kept()
        self.router.dispatch(caller, name, argument, answer)
        return answer


def caller(role: Role | None = Role.PLAYER, burst: int = 1_000) -> Caller:
    identity = Identity(7, "ann", role, SESSION, 2**50) if role else None
    return Caller(identity, "127.0.0.1", {rate: Budget(1, burst, 0.0) for rate in Rate})


def bet(**changes: Any) -> dict[str, Any]:
    fields = {
        "stake": 100,
        "currency": "USD",
        "target": 5050,
        "direction": "over",
        "request_id": str(uuid4()),
    }
    return {**fields, **changes}


def raw(fields: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(fields).encode())


def test_a_whole_command_reaches_its_handler_typed() -> None:
    desk = Desk()
    answer = desk.ask(caller(), "dice:roll", raw(bet()))
    assert answer.value == "dice:roll"
    assert isinstance(desk.reached[0], RollDice)
    assert desk.router.tallies["dice:roll"]["ok"] == 1


def test_objects_are_taken_as_well_as_undecoded_json() -> None:
    desk = Desk()
    assert desk.ask(caller(), "dice:roll", bet()).failure is None
    assert desk.ask(caller(), "wallet:get", None).failure is None


REFUSED: list[tuple[str, str, Any, ErrorKind]] = [
    ("an unknown command", "dice:cheat", {}, UNKNOWN_COMMAND),
    ("an operator's command", "wallet:deposit", {}, FORBIDDEN),
    ("a float", "dice:roll", bet(stake=1.5), MALFORMED),
    ("a whole float", "dice:roll", bet(stake=1.0), MALFORMED),
    ("text for a number", "dice:roll", bet(stake="100"), MALFORMED),
    ("true for a number", "dice:roll", bet(stake=True), MALFORMED),
    ("nothing staked", "dice:roll", bet(stake=0), MALFORMED),
    ("a negative stake", "dice:roll", bet(stake=-1), MALFORMED),
    ("more than JavaScript counts", "dice:roll", bet(stake=2**53), MALFORMED),
    ("more than anything counts", "dice:roll", bet(stake=10**400), MALFORMED),
    ("a target off the scale", "dice:roll", bet(target=10_001), MALFORMED),
    ("a direction that is none", "dice:roll", bet(direction="up"), MALFORMED),
    ("a request id that is none", "dice:roll", bet(request_id="1"), MALFORMED),
    ("an unknown field", "dice:roll", bet(odds=2), MALFORMED),
    ("a list", "dice:roll", [], MALFORMED),
    ("nothing", "dice:roll", None, MALFORMED),
    ("NUL in a text", "dice:roll", bet(currency="US\0D"), MALFORMED),
    ("NUL in a tip", "wallet:tip", {**bet(), "to": "bo\0b"}, MALFORMED),
]


@pytest.mark.parametrize(("_why", "name", "fields", "kind"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_is_wrong_is_refused_with_its_number(
    _why: str, name: str, fields: Any, kind: ErrorKind
) -> None:
    desk = Desk()
    answer = desk.ask(caller(), name, raw(fields))
    assert answer.failure is not None
    assert answer.failure.kind is kind
    assert desk.reached == []


@pytest.mark.parametrize(
    "text", ["", "{", '{"stake": NaN}', "\xff", "[" * 100_000, '{"stake":1e400}']
)
def test_what_is_not_json_is_refused(text: str) -> None:
    desk = Desk()
    answer = desk.ask(caller(), "dice:roll", msgspec.Raw(text.encode("latin-1")))
    assert answer.failure is not None
    assert answer.failure.kind is MALFORMED
    assert desk.reached == []


def test_nul_is_refused_in_a_query_as_in_a_message() -> None:
    """The fields of a GET come decoded; PostgreSQL would fail on the NUL."""
    desk = Desk()
    answer = desk.ask(caller(), "wallet:history", {"currency": "US\0D"})
    assert answer.failure is not None
    assert answer.failure.kind is MALFORMED
    assert desk.reached == []


def test_a_text_that_spells_nul_without_holding_one_passes() -> None:
    desk = Desk()
    seed = raw({"client_seed": "\\u0000"})
    assert desk.ask(caller(), "seed:set_client", seed).failure is None


def test_a_stranger_is_asked_to_log_in_except_where_anyone_may_call() -> None:
    desk = Desk()
    answer = desk.ask(caller(role=None), "wallet:get", None)
    assert answer.failure is not None
    assert answer.failure.kind is UNAUTHENTICATED
    assert desk.ask(caller(role=None), "auth:guest", None).failure is None


def test_an_empty_budget_refuses_and_counts_also_what_is_malformed() -> None:
    desk = Desk()
    busy = caller(burst=2)
    desk.ask(busy, "dice:roll", raw({}))
    desk.ask(busy, "dice:roll", raw(bet()))
    answer = desk.ask(busy, "dice:roll", raw(bet()))
    assert answer.failure is not None
    assert answer.failure.kind is RATE_LIMITED
    assert answer.failure.details["retry_after_ms"] > 0
    assert len(desk.reached) == 1


def test_budgets_are_apart() -> None:
    desk = Desk()
    busy = caller(burst=1)
    desk.ask(busy, "dice:roll", raw(bet()))
    assert desk.ask(busy, "wallet:get", None).failure is None


def test_a_router_is_complete_or_not_at_all() -> None:
    with pytest.raises(ValueError, match="dice:roll"):
        Router({name: lambda *_: None for name in COMMANDS if name != "dice:roll"}, lambda: 0.0)
    with pytest.raises(ValueError, match="dice:cheat"):
        Router({name: lambda *_: None for name in [*COMMANDS, "dice:cheat"]}, lambda: 0.0)


def test_commands_for_actors_wait_behind_one_that_is_prepared() -> None:
    desk, busy = Desk(), caller()
    busy.hold()
    held = desk.ask(busy, "dice:roll", raw(bet()))
    assert desk.ask(busy, "wallet:history", None).value == "wallet:history"
    assert (held.value, len(desk.reached)) == (None, 1)
    busy.release()
    assert held.value == "dice:roll"


def test_what_waits_is_bounded() -> None:
    desk, busy = Desk(), caller()
    busy.hold()
    waiting = [desk.ask(busy, "wallet:get", None) for _ in range(MAX_INBOX)]
    refused = desk.ask(busy, "wallet:get", None)
    assert refused.failure is not None
    assert refused.failure.kind is OVERLOADED
    busy.release()
    assert {answer.value for answer in waiting} == {"wallet:get"}
