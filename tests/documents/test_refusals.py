"""Which errors are documented where."""

from protocol import errors
from protocol.catalogue import COMMANDS
from server.documents import refusals


def test_every_command_says_what_it_refuses() -> None:
    assert refusals._OWN.keys() == COMMANDS.keys(), "add or remove it in refusals.py"


def test_every_error_is_documented_somewhere() -> None:
    found = {*refusals.CONNECTING, *refusals.UNROUTED}
    for entry in COMMANDS.values():
        found.update(refusals.over_socket(entry) if entry.socket else ())
        found.update(refusals.over_http(entry) if entry.route else ())
    missing = {kind.code for kind in errors.ERRORS.values()} - {kind.code for kind in found}
    assert not missing, f"no command, connection or unknown name is refused with {missing}"


def test_what_depends_on_the_command() -> None:
    roll, deposit = COMMANDS["dice:roll"], COMMANDS["wallet:deposit"]
    login, history = COMMANDS["auth:login"], COMMANDS["wallet:history"]
    assert errors.EVICTED in refusals.over_socket(roll)
    assert errors.EVICTED not in refusals.over_socket(history)
    assert errors.FORBIDDEN in refusals.over_socket(deposit)
    assert errors.FORBIDDEN not in refusals.over_socket(roll)
    assert errors.UNAUTHENTICATED in refusals.over_http(roll)
    assert errors.UNAUTHENTICATED not in refusals.over_http(login)
    assert errors.TOO_LARGE in refusals.over_http(roll)
    assert errors.TOO_LARGE not in refusals.over_http(history)
