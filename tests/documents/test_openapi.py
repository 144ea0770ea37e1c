"""The OpenAPI document: valid, complete, and true to the catalogue."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from protocol.catalogue import ANYONE, COMMANDS, Entry
from protocol.errors import ERRORS
from server.documents import refusals, schemas

ROUTED = [pytest.param(entry, id=name) for name, entry in COMMANDS.items() if entry.route]


def operation(document: dict[str, Any], entry: Entry) -> dict[str, Any]:
    assert entry.route is not None
    found: dict[str, Any] = document["paths"][entry.route.path][entry.route.method.lower()]
    return found


def test_it_is_valid(openapi_document: dict[str, Any]) -> None:
    validate(openapi_document)


@pytest.mark.parametrize("entry", ROUTED)
def test_a_command_is_there_with_all_that_concerns_it(
    openapi_document: dict[str, Any], entry: Entry
) -> None:
    found = operation(openapi_document, entry)
    assert found["x-command"] == entry.name
    assert found["x-roles"] == sorted(role.value for role in entry.roles)
    assert found["x-rate-limit"]["budget"] == entry.rate.value
    assert found["security"] == ([] if entry.roles == ANYONE else [{"bearer": []}])
    named = {parameter["name"] for parameter in found.get("parameters", ())}
    if "requestBody" in found:
        named |= set(
            openapi_document["components"]["schemas"][entry.request.__name__]["properties"]
        )
    assert named == set(_fields(entry))


@pytest.mark.parametrize("entry", ROUTED)
def test_its_errors_stand_under_their_statuses(
    openapi_document: dict[str, Any], entry: Entry
) -> None:
    responses = operation(openapi_document, entry)["responses"]
    documented = {
        (int(status), number)
        for status, response in responses.items()
        for number in response.get("x-errors", ())
    }
    assert documented == {(kind.status, kind.number) for kind in refusals.over_http(entry)}
    for status, response in responses.items():
        for code in response["content"]["application/json"].get("examples", ()):
            assert ERRORS[code].status == int(status)


def test_nothing_else_is_there(openapi_document: dict[str, Any]) -> None:
    operations = [
        found["x-command"] for path in openapi_document["paths"].values() for found in path.values()
    ]
    assert sorted(operations) == sorted(name for name, entry in COMMANDS.items() if entry.route)


def test_every_error_has_an_example(openapi_document: dict[str, Any]) -> None:
    assert openapi_document["components"]["examples"].keys() == ERRORS.keys()


@pytest.mark.parametrize("entry", ROUTED)
def test_examples_of_requests_decode(openapi_document: dict[str, Any], entry: Entry) -> None:
    found = operation(openapi_document, entry)
    if "requestBody" in found:
        body = found["requestBody"]["content"]["application/json"]["example"]
        msgspec.convert(body, entry.request)
    else:
        query = {item["name"]: str(item["example"]) for item in found.get("parameters", ())}
        msgspec.convert(query, entry.request, strict=False)


def test_no_pattern_is_python_alone() -> None:
    patterns = [value for key, value in _pairs(schemas.components()) if key == "pattern"]
    assert patterns
    assert not [pattern for pattern in patterns if re.search(r"\\[AZ]", pattern)]


def test_a_lone_tag_may_be_left_out_of_requests_and_stands_in_answers() -> None:
    found = schemas.components()
    assert "game" not in found["RollDice"]["required"]
    assert found["RollDice"]["properties"]["game"]["default"] == "dice"
    assert "game" in found["DiceResult"]["required"]


def _fields(entry: Entry) -> list[str]:
    info = msgspec.inspect.type_info(entry.request)
    assert isinstance(info, msgspec.inspect.StructType)
    tag = [info.tag_field] if info.tag_field else []
    return tag + [field.encode_name for field in info.fields]


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
        for inner in value.values():
            yield from _pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner)
