"""`/openapi.json`: the commands that have a route, as OpenAPI 3.1 describes them."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from protocol.catalogue import ANYONE, API_PREFIX, COMMANDS, Entry
from protocol.errors import ERRORS, ErrorKind
from server.documents import budgets, examples, refusals, schemas
from server.documents.groups import Group, grouped
from server.documents.schemas import Schema, reference

Document = dict[str, Any]

_SECURITY: Final = "bearer"
_JSON: Final = "application/json"
# Answered with when to come back, where the server knows.
_RETRY_STATUSES: Final = frozenset({429, 503})
_INTRODUCTION: Final = """\
The commands of Pitboss over HTTP. The same commands go over Socket.IO (`/asyncapi.json`), and \
`/docs` explains both.

Money is an integer of minor units and a currency code: `125`, `USD` is 1.25. It has no fraction: \
`125.0` is refused, though JSON Schema takes it for an integer.

A command that moves money carries a `request_id`, a UUID that the client makes: sent again, it \
answers as it did the first time and moves nothing twice.

Every answer is `{"success": true, "data": ..., "meta": ...}` or \
`{"success": false, "error": ..., "meta": ...}`. An error's number is stable; `temporary` says \
whether the same request may succeed later.\
"""


def build(rates: budgets.Rates) -> Document:
    """The whole document, for a node with these budgets."""
    groups = list(grouped())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pitboss",
            "version": API_PREFIX.rpartition("/")[2],
            "description": _INTRODUCTION,
        },
        "servers": [{"url": API_PREFIX, "description": "This node"}],
        "tags": [_tag(group) for group in groups if any(entry.route for entry in group.commands)],
        "paths": _paths(rates),
        "components": {
            "schemas": schemas.components(),
            "examples": {code: _example(kind) for code, kind in ERRORS.items()},
            "headers": {"Retry-After": _retry_after()},
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `access_token` of a session, which lasts 15 minutes.",
                }
            },
        },
    }


def _tag(group: Group) -> Document:
    return {"name": group.name, "description": group.summary}


def _example(kind: ErrorKind) -> Document:
    return {"summary": f"{kind.number} {kind.code}", "value": examples.refusal(kind)}


def _retry_after() -> Document:
    return {
        "description": "Seconds to wait, where the server knows.",
        "schema": {"type": "integer", "minimum": 0},
    }


def _paths(rates: budgets.Rates) -> Document:
    all_schemas = schemas.components()
    paths: dict[str, Document] = {}
    for entry in COMMANDS.values():
        if entry.route is not None:
            operation = _operation(entry, rates, all_schemas[entry.request.__name__])
            paths.setdefault(entry.route.path, {})[entry.route.method.lower()] = operation
    return paths


def _operation(entry: Entry, rates: budgets.Rates, request: Schema) -> Document:
    summary = schemas.documentation(entry.request)
    operation: Document = {
        "operationId": entry.name.replace(":", "_"),
        "tags": [Group.name_of(entry)],
        "summary": summary.partition(". ")[0].rstrip("."),
        "description": f"{summary}\n\n{_conditions(entry, rates)}",
        "security": [] if entry.roles == ANYONE else [{_SECURITY: []}],
        "responses": {"200": _success(entry), **_refused(refusals.over_http(entry))},
        "x-command": entry.name,
        "x-roles": sorted(role.value for role in entry.roles),
        "x-rate-limit": budgets.extension(entry.rate, rates),
    }
    parameters = list(_parameters(entry, request))
    if parameters:
        operation["parameters"] = parameters
    if not _in_query(entry) and request["properties"]:
        operation["requestBody"] = _body(entry, request)
    return operation


def _conditions(entry: Entry, rates: budgets.Rates) -> str:
    roles = ", ".join(sorted(role.value for role in entry.roles))
    return (
        f"Roles: {roles or 'anyone, without a token'}.\n\n"
        f"Rate limit: {budgets.sentence(entry.rate, rates)}."
    )


def _in_query(entry: Entry) -> bool:
    return entry.route is not None and entry.route.method == "GET"


def _parameters(entry: Entry, request: Schema) -> Iterable[Document]:
    """What stands in the path, and of a GET all the rest in the query."""
    assert entry.route is not None
    sample = examples.request(entry)
    for name, schema in request["properties"].items():
        in_path = f"{{{name}}}" in entry.route.path
        if not in_path and not _in_query(entry):
            continue
        parameter = {
            "name": name,
            "in": "path" if in_path else "query",
            "required": in_path or name in request["required"],
            "schema": _not_null(schema),
            "example": sample[name],
        }
        if "description" in schema:
            parameter["description"] = schema["description"]
        yield parameter


def _not_null(schema: Schema) -> Schema:
    """A parameter that is not there is null; no text stands for it."""
    kinds: list[Schema] = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return kinds[0]
    return {key: value for key, value in schema.items() if key != "description"}


def _body(entry: Entry, request: Schema) -> Document:
    return {
        "required": bool(request["required"]),
        "content": {
            _JSON: {
                "schema": reference(entry.request.__name__),
                "example": examples.request(entry),
            }
        },
    }


def _success(entry: Entry) -> Document:
    return {
        "description": schemas.documentation(entry.answer),
        "content": {
            _JSON: {
                "schema": schemas.success(entry.answer.__name__),
                "example": examples.answer(entry),
            }
        },
    }


def _refused(kinds: Iterable[ErrorKind]) -> Document:
    """The error responses, one for each status, with every error that it may carry."""
    responses: dict[str, Document] = {}
    by_status = sorted(kinds, key=lambda kind: (kind.status, kind.number))
    for status, group in groupby(by_status, key=lambda kind: kind.status):
        same = list(group)
        response: Document = {
            "description": "\n".join(_line(kind) for kind in same),
            "content": {
                _JSON: {
                    "schema": reference("Refusal"),
                    "examples": {
                        kind.code: {"$ref": f"#/components/examples/{kind.code}"} for kind in same
                    },
                }
            },
            "x-errors": [kind.number for kind in same],
        }
        if status in _RETRY_STATUSES:
            response["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
        responses[str(status)] = response
    return responses


def _line(kind: ErrorKind) -> str:
    lasting = "temporary" if kind.temporary else "lasting"
    return f"- {kind.number} `{kind.code}` ({lasting}): {kind.message}"
