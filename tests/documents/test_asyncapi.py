"""The AsyncAPI document: what version 3.0 demands, complete, and true to the catalogue."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from protocol.catalogue import COMMANDS, EVENTS, Entry, EventEntry
from protocol.disconnects import REASONS
from protocol.errors import ERRORS
from server.documents import refusals

Document = dict[str, Any]
SOCKET = [pytest.param(entry, id=name) for name, entry in COMMANDS.items() if entry.socket]
# AsyncAPI 3.0.0, "Components Object": what keys consist of.
KEY = re.compile(r"[a-zA-Z0-9.\-_]+")


def follow(document: Document, pointer: str) -> Any:
    """What a local `$ref` stands for. Raises KeyError where it leads nowhere."""
    assert pointer.startswith("#/")
    found: Any = document
    for part in pointer[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_required_fields_are_there(asyncapi_document: Document) -> None:
    assert asyncapi_document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= asyncapi_document["info"].keys()
    for server in asyncapi_document["servers"].values():
        assert {"host", "protocol"} <= server.keys()
        assert set(re.findall(r"\{(\w+)\}", server["host"])) == server["variables"].keys()
    known = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations"}
    extra = asyncapi_document.keys() - known - {"components"}
    assert all(key.startswith("x-") for key in extra)


def test_keys_are_of_allowed_characters(asyncapi_document: Document) -> None:
    components = asyncapi_document["components"]
    channels = asyncapi_document["channels"]
    keys = [*asyncapi_document["servers"], *channels, *asyncapi_document["operations"]]
    keys += [key for channel in channels.values() for key in channel["messages"]]
    keys += [key for kind in components.values() for key in kind]
    assert not [key for key in keys if not KEY.fullmatch(key)]


def test_every_reference_leads_somewhere(asyncapi_document: Document) -> None:
    found = set(references(asyncapi_document))
    assert found
    for pointer in found:
        follow(asyncapi_document, pointer)


def test_operations_use_messages_of_their_own_channel(asyncapi_document: Document) -> None:
    for operation in asyncapi_document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        for side in (operation, operation.get("reply", operation)):
            channel = side["channel"]["$ref"]
            assert re.fullmatch(r"#/channels/[^/]+", channel)
            assert side["messages"]
            assert all(
                message["$ref"].startswith(f"{channel}/messages/") for message in side["messages"]
            )


@pytest.mark.parametrize("entry", SOCKET)
def test_a_command_is_received_and_acknowledged(asyncapi_document: Document, entry: Entry) -> None:
    operation = asyncapi_document["operations"][entry.name.replace(":", "_")]
    assert operation["action"] == "receive"
    assert operation["x-command"] == entry.name
    assert operation["x-roles"] == sorted(role.value for role in entry.roles)
    assert operation["x-rate-limit"]["budget"] == entry.rate.value
    (pointer,) = operation["messages"]
    message = follow(asyncapi_document, pointer["$ref"])
    assert message["name"] == entry.name
    assert follow(asyncapi_document, message["payload"]["$ref"])["title"] == entry.request.__name__
    msgspec.convert(message["examples"][0]["payload"], entry.request)
    (pointer,) = operation["reply"]["messages"]
    ack = follow(asyncapi_document, pointer["$ref"])
    done = ack["payload"]["oneOf"][0]["properties"]["data"]["$ref"]
    assert follow(asyncapi_document, done)["title"] == entry.answer.__name__
    assert ack["x-errors"] == [kind.number for kind in refusals.over_socket(entry)]


@pytest.mark.parametrize("event", [pytest.param(event, id=name) for name, event in EVENTS.items()])
def test_an_event_is_sent_to_its_rooms(asyncapi_document: Document, event: EventEntry) -> None:
    operation = asyncapi_document["operations"][event.name.replace(":", "_")]
    assert operation["action"] == "send"
    (pointer,) = operation["messages"]
    message = follow(asyncapi_document, pointer["$ref"])
    assert (message["name"], message["x-rooms"]) == (event.name, event.rooms)
    assert follow(asyncapi_document, message["payload"]["$ref"])["title"] == event.data.__name__
    msgspec.convert(message["examples"][0]["payload"], event.data)


def test_commands_that_are_not_for_sockets_are_left_out(asyncapi_document: Document) -> None:
    named = {operation.get("x-command") for operation in asyncapi_document["operations"].values()}
    assert named - {None} == {name for name, entry in COMMANDS.items() if entry.socket}


def test_every_error_and_disconnect_reason_is_there(asyncapi_document: Document) -> None:
    numbers = {error["number"]: error["code"] for error in asyncapi_document["x-errors"]}
    assert numbers == {kind.number: code for code, kind in ERRORS.items()}
    codes = {
        reason["name"]: reason["close_code"] for reason in asyncapi_document["x-disconnect-reasons"]
    }
    assert codes == {name: reason.close_code for name, reason in REASONS.items()}
