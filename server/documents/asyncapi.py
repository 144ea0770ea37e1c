"""`/asyncapi.json`: what goes over Socket.IO, as AsyncAPI 3.0 describes it.

The document speaks for the server: it receives commands and sends events. Each command's operation
has a reply, which is the acknowledgement.
"""

from typing import Any, Final

from protocol.catalogue import API_PREFIX, COMMANDS, EVENTS, Entry, EventEntry
from protocol.disconnects import REASONS
from protocol.errors import ERRORS, ErrorKind
from protocol.socketio import MAIN_NAMESPACE
from server.documents import budgets, examples, refusals, schemas
from server.documents.groups import Group, grouped
from server.documents.schemas import reference

Document = dict[str, Any]

_CHANNEL: Final = "main"
_SECURITY: Final = "token"
_CONNECT_ERROR: Final = "connect_error"
_UNKNOWN: Final = "unknown_command"
_INTRODUCTION: Final = """\
Pitboss over Socket.IO 5 (Engine.IO 4): long-polling, WebSocket, and the upgrade between them. Any \
client of Socket.IO 3 or 4 connects to the namespace `/` with `auth: {token}`. Packets are JSON, \
or msgpack for a client that uses socket.io-msgpack-parser.

A command is an event with one argument and an acknowledgement: `emit(name, argument, callback)`. \
The acknowledgement is `{"success": true, "data": ..., "meta": ...}` or \
`{"success": false, "error": ..., "meta": ...}`. What the server pushes is an event with one \
argument, which asks for no acknowledgement.

When the server ends a connection, a WebSocket's close code says why: `x-disconnect-reasons` has \
them all. `x-errors` has every numbered error.\
"""
_CONNECTING: Final = """\
`auth: {token}` of the Socket.IO handshake, with the `access_token` of a session. A socket whose \
token ends is told by `token:expiring` and renewed with `auth:refresh`. With `recover: true` \
beside the token, the official JavaScript client comes back from a lost connection to its rooms \
and to the events that it missed; every event then has one more argument, its offset.\
"""


def build(rates: budgets.Rates) -> Document:
    """The whole document, for a node with these budgets."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pitboss",
            "version": API_PREFIX.rpartition("/")[2],
            "description": _INTRODUCTION,
            "tags": [
                {"name": group.name, "description": group.summary}
                for group in grouped()
                if any(entry.socket for entry in group.commands)
            ],
        },
        "defaultContentType": "application/json",
        "servers": {"node": _server()},
        "channels": {_CHANNEL: _channel()},
        "operations": _operations(rates),
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": _CONNECTING,
                }
            },
        },
        "x-errors": [_error(kind) for kind in ERRORS.values()],
        "x-disconnect-reasons": [
            {"name": name, "close_code": reason.close_code, "message": reason.message}
            for name, reason in REASONS.items()
        ],
    }


def _server() -> Document:
    return {
        "host": "{host}",
        "pathname": "/socket.io/",
        "protocol": "ws",
        "protocolVersion": "13",
        "description": "A node. Clients usually begin with long-polling on the same path.",
        "variables": {"host": {"default": "127.0.0.1:8080", "description": "Host and port."}},
        "security": [{"$ref": f"#/components/securitySchemes/{_SECURITY}"}],
    }


def _channel() -> Document:
    messages: dict[str, Document] = {
        _CONNECT_ERROR: _connect_error(),
        _UNKNOWN: _unknown_command(),
    }
    for entry in _commands():
        messages[_key(entry.name)] = _command(entry)
        messages[_ack_key(entry)] = _ack(entry)
    for event in EVENTS.values():
        messages[_key(event.name)] = _event(event)
    return {
        "address": MAIN_NAMESPACE,
        "title": "The main namespace",
        "description": "Everybody's socket: wallet, games, seeds and bets.",
        "messages": messages,
    }


def _commands() -> list[Entry]:
    return [entry for entry in COMMANDS.values() if entry.socket]


def _key(name: str) -> str:
    """The name as keys of the document may be written."""
    return name.replace(":", "_")


def _ack_key(entry: Entry) -> str:
    return f"{_key(entry.name)}_ack"


def _command(entry: Entry) -> Document:
    return {
        "name": entry.name,
        "title": entry.name,
        "summary": schemas.documentation(entry.request),
        "payload": reference(entry.request.__name__),
        "examples": [{"payload": examples.request(entry)}],
    }


def _ack(entry: Entry) -> Document:
    kinds = refusals.over_socket(entry)
    return {
        "name": f"acknowledgement of {entry.name}",
        "title": f"Acknowledgement of {entry.name}",
        "summary": schemas.documentation(entry.answer),
        "payload": {"oneOf": [schemas.success(entry.answer.__name__), reference("Refusal")]},
        "examples": [
            {"name": "done", "payload": examples.answer(entry)},
            *({"name": kind.code, "payload": examples.refusal(kind)} for kind in kinds),
        ],
        "x-errors": [kind.number for kind in kinds],
    }


def _event(event: EventEntry) -> Document:
    return {
        "name": event.name,
        "title": event.name,
        "summary": schemas.documentation(event.data),
        "payload": reference(event.data.__name__),
        "examples": [{"payload": examples.event(event)}],
        "x-rooms": event.rooms,
    }


def _connect_error() -> Document:
    return {
        "name": _CONNECT_ERROR,
        "title": "Connection refused",
        "summary": "The namespace was not joined; `data` is the numbered error, if any.",
        "payload": {
            "type": "object",
            "properties": {"message": {"type": "string"}, "data": reference("ErrorBody")},
            "required": ["message"],
        },
        "examples": [
            {
                "name": kind.code,
                "payload": {"message": kind.message, "data": examples.refusal(kind)["error"]},
            }
            for kind in refusals.CONNECTING
        ],
        "x-errors": [kind.number for kind in refusals.CONNECTING],
    }


def _unknown_command() -> Document:
    return {
        "name": _UNKNOWN,
        "title": "Acknowledgement of a name that is no command",
        "summary": "What any other event that asks for an acknowledgement gets.",
        "payload": reference("Refusal"),
        "examples": [
            {"name": kind.code, "payload": examples.refusal(kind)} for kind in refusals.UNROUTED
        ],
        "x-errors": [kind.number for kind in refusals.UNROUTED],
    }


def _operations(rates: budgets.Rates) -> Document:
    operations = {_key(entry.name): _receive(entry, rates) for entry in _commands()}
    for event in EVENTS.values():
        operations[_key(event.name)] = _send(_key(event.name), schemas.documentation(event.data))
    refused = "The server refuses a connection."
    unknown = "The server answers an event that names no command."
    return {
        **operations,
        _CONNECT_ERROR: _send(_CONNECT_ERROR, refused),
        _UNKNOWN: _send(_UNKNOWN, unknown),
    }


def _receive(entry: Entry, rates: budgets.Rates) -> Document:
    roles = sorted(role.value for role in entry.roles)
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{_CHANNEL}"},
        "title": entry.name,
        "summary": schemas.documentation(entry.request),
        "description": f"Roles: {', '.join(roles) or 'anyone'}.\n\n"
        f"Rate limit: {budgets.sentence(entry.rate, rates)}.",
        "tags": [{"name": Group.name_of(entry)}],
        "messages": [_message(_key(entry.name))],
        "reply": {
            "channel": {"$ref": f"#/channels/{_CHANNEL}"},
            "messages": [_message(_ack_key(entry))],
        },
        "x-command": entry.name,
        "x-roles": roles,
        "x-rate-limit": budgets.extension(entry.rate, rates),
    }


def _send(key: str, summary: str) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_CHANNEL}"},
        "summary": summary,
        "messages": [_message(key)],
    }


def _message(key: str) -> Document:
    return {"$ref": f"#/channels/{_CHANNEL}/messages/{key}"}


def _error(kind: ErrorKind) -> Document:
    return {
        "number": kind.number,
        "code": kind.code,
        "message": kind.message,
        "temporary": kind.temporary,
        "status": kind.status,
    }
