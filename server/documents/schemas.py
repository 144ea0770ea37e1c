"""JSON Schemas of everything that the catalogue takes and gives, ready for both documents."""

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec

from protocol.catalogue import COMMANDS, EVENTS
from protocol.errors import ErrorBody
from server.answer import Meta
from server.documents import vocabulary

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/"


@cache
def components() -> dict[str, Schema]:
    """The schemas by type name, shared types included: the same for all, who only read them."""
    types = [Meta, ErrorBody, *_wire_types()]
    _, found = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    taken = _taken_in(found)
    for name, schema in found.items():
        _describe(name, schema)
        if name in taken:
            _loosen_tag(schema)
        elif "properties" in schema:
            # What the server writes, it writes in full.
            schema["required"] = list(schema["properties"])
            for field in schema["properties"].values():
                field.pop("default", None)
        _translate(schema)
    found["Refusal"] = _refusal()
    return found


def reference(name: str) -> Schema:
    """A `$ref` to a component."""
    return {"$ref": _REF + name}


def referred(schema: Schema) -> str | None:
    """The component that a `$ref` names, None for other schemas."""
    target = schema.get("$ref")
    return target.removeprefix(_REF) if target else None


def success(data: str) -> Schema:
    """The envelope around the answer type `data`."""
    return {
        "type": "object",
        "properties": {
            "success": {"const": True},
            "data": reference(data),
            "meta": reference("Meta"),
        },
        "required": ["success", "data", "meta"],
    }


def documentation(kind: type) -> str:
    """A type's docstring as one text."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split())


def _wire_types() -> Iterator[type[msgspec.Struct]]:
    for entry in COMMANDS.values():
        yield entry.request
        yield entry.answer
    for event in EVENTS.values():
        yield event.data


def _taken_in(found: dict[str, Schema]) -> set[str]:
    """The types that clients send: the requests, and whatever is inside them."""
    waiting = [entry.request.__name__ for entry in COMMANDS.values()]
    taken: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in taken:
            taken.add(name)
            waiting += _references(found[name])
    return taken


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        name = referred(schema)
        if name is not None:
            yield name
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _describe(name: str, schema: Schema) -> None:
    """Add what the vocabulary knows about fields that do not speak for themselves."""
    for field, inner in schema.get("properties", {}).items():
        word = vocabulary.find((name,), field)
        if word is not None and word.meaning is not None and "description" not in inner:
            inner["description"] = word.meaning


def _loosen_tag(schema: Schema) -> None:
    """A tag that is alone may be left out; where it chooses between types, see `_translate`."""
    for field, inner in schema.get("properties", {}).items():
        if len(inner.get("enum", ())) == 1 and field in schema["required"]:
            schema["required"].remove(field)
            inner["default"] = inner["enum"][0]


def _translate(schema: Any) -> None:
    """From msgspec's dialect to what every reader of both documents understands."""
    if isinstance(schema, list):
        for inner in schema:
            _translate(inner)
        return
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("pattern"), str):
        # ECMA 262 has no \A and \Z; there ^ and $ mean just that.
        schema["pattern"] = schema["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
    if "propertyName" in schema.get("discriminator", ()):
        # The two documents write discriminators differently; the tag's enum says the same in both.
        schema["required"] = [schema.pop("discriminator")["propertyName"]]
    if "enum" in schema:
        schema["type"] = "string"
    for inner in schema.values():
        _translate(inner)


def _refusal() -> Schema:
    return {
        "title": "Refusal",
        "description": "The command was not done; `error` says why and whether to try again.",
        "type": "object",
        "properties": {
            "success": {"const": False},
            "error": reference("ErrorBody"),
            "meta": reference("Meta"),
        },
        "required": ["success", "error", "meta"],
    }
