"""Socket.IO, revision 5, without I/O: the msgpack parser of its ecosystem.

A packet is one binary Engine.IO message that holds a map: `type`, `nsp`, `data`, `id`. Bytes stand
in the data themselves, so there are no attachments. The functions are those of the default parser
(`protocol.socketio`). Source: the npm package socket.io-msgpack-parser, which is all there is of a
specification; python-socketio's serializer `msgpack` speaks the same.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

from protocol import disconnects, socketio
from protocol.bounds import (
    MAX_ACK_ID_DIGITS,
    MAX_CONNECT_BYTES,
    MAX_NAMESPACE_CHARS,
)
from protocol.containers import walk
from protocol.disconnects import ProtocolViolation
from protocol.engineio import Binary
from protocol.socketio import Connect, Disconnect, Encoded, Packet, Session

_CONNECT: Final = 0
_DISCONNECT: Final = 1
_EVENT: Final = 2
_ACK: Final = 3
_CONNECT_ERROR: Final = 4

# How the answer to CONNECT begins: a map of three, the first of which says so.
CONNECT_HEAD: Final = b"\x83\xa4type\x00"

# JavaScript's encoder has one extension, of this code, for its typed arrays, for `undefined` (one
# byte, 0) and for dates (eight bytes). Only their headers tell them apart, which are not seen here:
# a lone zero is taken for `undefined`, which is everywhere, and a date for bytes. Send its number.
_JAVASCRIPT: Final = 0
_UNDEFINED: Final = b"\0"

_TEXT: Final = frozenset({str})
_MAX_ACK_ID: Final = 10**MAX_ACK_ID_DIGITS - 1
# The integers that msgpack has.
_FITTING: Final = range(-(2**63), 2**64)

Decoded = TypeVar("Decoded")


class _Wire(msgspec.Struct, gc=False):
    """The map as it is sent. JavaScript adds keys of its own, which mean nothing here."""

    type: int
    nsp: str
    data: Raw = Raw()
    id: Any = None


class _NoExtension(Exception):  # noqa: N818 - it never leaves this module
    """An extension that has no meaning here."""


def decode(message: bytes, session: Session[Any] | None = None) -> Packet:
    """Read one binary message. The arguments of events and acknowledgements are decoded objects.

    They are read only for a namespace that the `session`, if one is given, has joined. Raises
    `ProtocolViolation`: malformed_packet, wrong_direction, too_large, too_deep,
    too_many_containers, not_connected.
    """
    wire = _read(_WIRE, message)
    namespace = wire.nsp
    if namespace[:1] != "/" or len(namespace) > MAX_NAMESPACE_CHARS + 1:
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    ack_id = _ack_id(wire.id)
    if session is not None and wire.type in (_EVENT, _ACK):
        session.member(namespace)
    if wire.type == _EVENT:
        name, *args = _arguments(wire.data) or (None,)
        if not isinstance(name, str):
            raise ProtocolViolation(disconnects.MALFORMED_PACKET)
        return socketio.event(namespace, ack_id, name, args)
    if wire.type == _ACK:
        return socketio.ack(namespace, ack_id, _arguments(wire.data))
    if wire.type == _CONNECT:
        return _decode_connect(namespace, wire.data)
    if wire.type == _DISCONNECT:
        return Disconnect(namespace)
    known = wire.type == _CONNECT_ERROR
    raise ProtocolViolation(disconnects.WRONG_DIRECTION if known else disconnects.MALFORMED_PACKET)


def encode_event(
    namespace: str, name: str, args: Sequence[object], ack_id: int | None = None
) -> Encoded:
    """An event for any number of clients."""
    return _encode(_EVENT, namespace, ack_id, [name, *map(_value, args)])


def encode_ack(namespace: str, ack_id: int, args: Sequence[object]) -> Encoded:
    """The acknowledgement of a client's event."""
    return _encode(_ACK, namespace, ack_id, [_value(arg) for arg in args])


def encode_connect(namespace: str, sid: str, pid: str | None = None) -> Encoded:
    """Tell a client that it has joined a namespace; see the default parser."""
    return _encode(_CONNECT, namespace, None, socketio.connect_answer(sid, pid))


def encode_connect_error(namespace: str, message: str, data: object = None) -> Encoded:
    """Tell a client that it may not join a namespace, and why."""
    return _encode(_CONNECT_ERROR, namespace, None, socketio.connect_refusal(message, data))


def encode_disconnect(namespace: str) -> Encoded:
    """Tell a client that it is no longer in a namespace."""
    return (Binary(_ENCODER.encode({"type": _DISCONNECT, "nsp": namespace})),)


def _extension(code: int, data: memoryview) -> bytes | None:
    if code != _JAVASCRIPT:
        raise _NoExtension
    content = bytes(data)
    return None if content == _UNDEFINED else content


_ENCODER: Final = msgspec.msgpack.Encoder()
_WIRE: Final = msgspec.msgpack.Decoder(_Wire, ext_hook=_extension)
_LIST: Final = msgspec.msgpack.Decoder(list[Any], ext_hook=_extension)
_ANY: Final = msgspec.msgpack.Decoder(Any, ext_hook=_extension)


def _read(decoder: msgspec.msgpack.Decoder[Decoded], message: bytes) -> Decoded:
    try:
        return decoder.decode(message)
    except RecursionError:
        raise ProtocolViolation(disconnects.TOO_DEEP) from None
    # Text that is not UTF-8, and maps whose keys are maps, are reported by Python itself.
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, _NoExtension):
        raise ProtocolViolation(disconnects.MALFORMED_PACKET) from None


def _arguments(data: Raw) -> list[Any]:
    arguments = _read(_LIST, bytes(data))
    for container in walk(arguments):
        # Whatever one client says can be said to another in JSON, where keys are texts.
        if isinstance(container, dict) and not _TEXT.issuperset(map(type, container)):
            raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    return arguments


def _decode_connect(namespace: str, data: Raw) -> Connect:
    content = bytes(data)
    if len(content) > MAX_CONNECT_BYTES:
        raise ProtocolViolation(disconnects.TOO_LARGE)
    auth = _read(_ANY, content) if content else None
    if auth is None:
        return Connect(namespace, {})
    if not isinstance(auth, dict) or not all(isinstance(key, str) for key in auth):
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    return Connect(namespace, auth)


def _ack_id(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _MAX_ACK_ID:
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    return value


def _value(argument: object) -> object:
    """Arguments that came undecoded from a JSON client are decoded to be sent to another."""
    if not isinstance(argument, Raw):
        return argument
    try:
        return msgspec.json.decode(argument)
    except msgspec.ValidationError:
        # A number that no double holds. It is infinite then, as JavaScript reads it.
        return json.loads(bytes(argument), parse_int=float)


def _encode(kind: int, namespace: str, ack_id: int | None, data: object) -> Encoded:
    packet = {"type": kind, "nsp": namespace, "data": data}
    if ack_id is not None:
        packet["id"] = ack_id
    try:
        return (Binary(_ENCODER.encode(packet)),)
    except OverflowError:
        _make_doubles(packet)
        return (Binary(_ENCODER.encode(packet)),)


def _make_doubles(packet: dict[str, Any]) -> None:
    """Put doubles, which they are in JavaScript, in place of integers of more than 64 bits."""
    containers: list[Any] = [packet]
    while containers:
        container = containers.pop()
        pairs = list(container.items() if isinstance(container, dict) else enumerate(container))
        containers += [item for _, item in pairs if isinstance(item, dict | list)]
        for key in [key for key, item in pairs if isinstance(item, int) and item not in _FITTING]:
            container[key] = _double(container[key])


def _double(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
