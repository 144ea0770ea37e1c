"""Example messages, made from the types and the vocabulary, so that every command has one."""

from typing import Any, Final

import msgspec
from msgspec import inspect

from protocol.catalogue import Entry, EventEntry
from protocol.errors import ErrorKind, Failure, body
from server.answer import Meta, Refusal, Success
from server.documents.vocabulary import find
from server.documents.word import EXAMPLE_FROM_TYPE

_AT_MS: Final = 1_767_225_600_123


def request(entry: Entry) -> dict[str, Any]:
    """What a client might send. A tag that may be left out is."""
    return _struct(entry.request, entry.name, tagged=False)


def data(entry: Entry) -> dict[str, Any]:
    """What might come back, without the envelope."""
    return _struct(entry.answer, entry.name)


def answer(entry: Entry) -> dict[str, Any]:
    """What might come back."""
    made: dict[str, Any] = _plain(Success(data=data(entry), meta=Meta(_AT_MS)))
    return made


def event(entry: EventEntry) -> dict[str, Any]:
    """What might be pushed."""
    return _struct(entry.data, entry.name)


def refusal(kind: ErrorKind) -> dict[str, Any]:
    """An answer that refuses."""
    made: dict[str, Any] = _plain(Refusal(error=body(Failure(kind)), meta=Meta(_AT_MS)))
    return made


def _plain(value: Any) -> Any:
    """As it is on the wire."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _struct(kind: type[msgspec.Struct], *scopes: str, tagged: bool = True) -> dict[str, Any]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    made: dict[str, Any] = {}
    if tagged and info.tag_field is not None:
        made[info.tag_field] = info.tag
    for field in info.fields:
        word = find((*scopes, kind.__name__), field.encode_name)
        chosen = word.example if word else EXAMPLE_FROM_TYPE
        made[field.encode_name] = (
            _of(field.type, scopes) if chosen is EXAMPLE_FROM_TYPE else _plain(chosen)
        )
    return made


def _of(kind: inspect.Type, scopes: tuple[str, ...]) -> Any:
    """A value of a type that nobody has chosen an example for."""
    match kind:
        case inspect.Metadata():
            return _of(kind.type, scopes)
        case inspect.StructType():
            return _struct(kind.cls, *scopes)
        case inspect.ListType():
            return [_of(kind.item_type, scopes)]
        case inspect.UnionType():
            return _of(kind.types[0], scopes)
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.IntType():
            return kind.ge or 0
        case inspect.StrType():
            return "example"
        case _:
            return None
