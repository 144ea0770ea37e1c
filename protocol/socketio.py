"""Socket.IO, revision 5, without I/O: the default parser, and which namespaces are joined.

A packet is read and written with the `4` of the Engine.IO message that carries it, which saves a
copy each way. The arguments of a packet without attachments stay undecoded (`msgspec.Raw`): whoever
knows their types decodes them, once. Source: docs/socket.io-protocol/v5-current.md in the
socketio/socket.io repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw

from protocol import disconnects
from protocol.bounds import (
    MAX_ACK_ID_DIGITS,
    MAX_ATTACHMENTS,
    MAX_CONNECT_BYTES,
    MAX_EVENT_ARGS,
    MAX_EVENT_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
)
from protocol.containers import Container, walk
from protocol.disconnects import ProtocolViolation
from protocol.engineio import Binary

MAIN_NAMESPACE: Final = "/"

# Names that the clients' own event emitters use; the reference parser refuses them too.
RESERVED_EVENTS: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

Argument = Raw | object
# How the answer to CONNECT begins.
CONNECT_HEAD: Final = b"40"
# One packet as Engine.IO messages: the text first, then each attachment.
Encoded = tuple[bytes, ...]


class Connect(msgspec.Struct, frozen=True, gc=False):
    """A client asks for a namespace. `auth` is an object, empty where the client sent none."""

    namespace: str
    auth: Mapping[str, Any]


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """A client leaves a namespace."""

    namespace: str


class Event(msgspec.Struct, gc=False):
    """An event. With an ack id the client waits for its acknowledgement."""

    namespace: str
    ack_id: int | None
    name: str
    args: Sequence[Argument]


class Ack(msgspec.Struct, gc=False):
    """The acknowledgement of an event of ours."""

    namespace: str
    ack_id: int
    args: Sequence[Argument]


Packet = Connect | Disconnect | Event | Ack


class Partial:
    """A packet that waits for its attachments."""

    __slots__ = ("_attachments", "_payload", "_wanted", "ack_id", "is_ack", "namespace")

    def __init__(
        self, namespace: str, ack_id: int | None, payload: list[Any], wanted: int, is_ack: bool
    ) -> None:
        self.namespace = namespace
        self.ack_id = ack_id
        self.is_ack = is_ack
        self._payload = payload
        self._wanted = wanted
        self._attachments: list[bytes] = []

    def add(self, attachment: bytes) -> Packet | None:
        """Take the next attachment. The whole packet when it was the last, else None."""
        self._attachments.append(attachment)
        if len(self._attachments) < self._wanted:
            return None
        return self.complete()

    def complete(self) -> Packet:
        """The packet, with its attachments where the placeholders were."""
        payload = self._payload
        for container in walk(payload):
            _fill(container, self._attachments)
        if self.is_ack:
            return ack(self.namespace, self.ack_id, payload)
        name = payload[0] if payload else None
        if not isinstance(name, str):
            raise ProtocolViolation(disconnects.MALFORMED_PACKET)
        return event(self.namespace, self.ack_id, name, payload[1:])


def decode(message: bytes, session: Session[Any] | None = None) -> Packet | Partial:
    """Read one text message, its Engine.IO type character included.

    A packet with attachments comes back as a `Partial`. It is read, as an acknowledgement is, only
    for a namespace that the `session`, if one is given, has joined. Raises `ProtocolViolation`:
    malformed_packet, wrong_direction, too_large, too_deep, too_many_containers,
    too_many_attachments, not_connected.
    """
    match = _HEADER.match(message)
    if match is None:
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    kind, attachments, namespace_bytes, id_digits = match.groups()
    namespace = namespace_bytes.decode(errors="replace") if namespace_bytes else MAIN_NAMESPACE
    ack_id = int(id_digits) if id_digits else None
    payload = message[match.end() :]
    if kind == b"2" and attachments is None:
        return _decode_event(namespace, ack_id, payload)
    if session is not None and (attachments is not None or kind == b"3"):
        session.member(namespace)
    if attachments is not None:
        return _decode_partial(kind, int(attachments), namespace, ack_id, payload)
    if kind == b"3":
        return ack(namespace, ack_id, _read(_RAW_LIST, payload))
    if ack_id is not None:
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    if kind == b"0":
        return _decode_connect(namespace, payload)
    if kind == b"1" and not payload:
        return Disconnect(namespace)
    if kind == b"4":
        raise ProtocolViolation(disconnects.WRONG_DIRECTION)
    raise ProtocolViolation(disconnects.MALFORMED_PACKET)


def encode_event(
    namespace: str, name: str, args: Sequence[object], ack_id: int | None = None
) -> Encoded:
    """An event for any number of clients. `bytes` in lists and dicts become attachments.

    Structs are not searched for attachments: a type that has any is built of dicts.
    """
    return _encode(b"42", b"45", namespace, ack_id, (name, *args))


def encode_ack(namespace: str, ack_id: int, args: Sequence[object]) -> Encoded:
    """The acknowledgement of a client's event."""
    return _encode(b"43", b"46", namespace, ack_id, args)


def encode_connect(namespace: str, sid: str, pid: str | None = None) -> Encoded:
    """Tell a client that it has joined a namespace, as the socket `sid`.

    A `pid` says that this may be recovered, and the one that the client sent that it was.
    """
    return (_header(CONNECT_HEAD, namespace, None) + _ENCODER.encode(connect_answer(sid, pid)),)


def encode_connect_error(namespace: str, message: str, data: object = None) -> Encoded:
    """Tell a client that it may not join a namespace, and why."""
    return (_header(b"44", namespace, None) + _ENCODER.encode(connect_refusal(message, data)),)


def encode_disconnect(namespace: str) -> Encoded:
    """Tell a client that it is no longer in a namespace."""
    return (_header(b"41", namespace, None),)


def connect_answer(sid: str, pid: str | None) -> dict[str, str]:
    """What the answer to CONNECT holds, for any parser."""
    return {"sid": sid} if pid is None else {"sid": sid, "pid": pid}


def connect_refusal(message: str, data: object) -> dict[str, object]:
    """What the refusal of CONNECT holds, for any parser."""
    return {"message": message} if data is None else {"message": message, "data": data}


Member = TypeVar("Member")


class _Standing(Enum):
    """What a namespace without a member is to a connection that has named it."""

    ASKED = "asked"
    # The server ended it: the client may not know it yet.
    DISMISSED = "dismissed"


class Session(Generic[Member]):
    """Which namespaces one connection has asked for and joined, on the server's side.

    A namespace is unknown, then asked for, then joined (by a member, the application's object) or
    unknown again. Its methods raise `ProtocolViolation` for what a client must not do.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Member | _Standing] = {}

    @property
    def untouched(self) -> bool:
        """The client has asked for no namespace yet."""
        return not self._known

    @property
    def idle(self) -> bool:
        """No namespace is joined."""
        return not self.members()

    def members(self) -> list[Member]:
        """The members of the namespaces joined; a copy, for whoever removes them on the way."""
        return [one for one in self._known.values() if not isinstance(one, _Standing)]

    @property
    def dismissed(self) -> list[str]:
        """The namespaces that the server has ended, and the client may not know it yet."""
        return [name for name, one in self._known.items() if one is _Standing.DISMISSED]

    def resume(self, members: Mapping[str, Member], dismissed: Iterable[str]) -> None:
        """Go on as the session that another server had."""
        self._known = {**members, **dict.fromkeys(dismissed, _Standing.DISMISSED)}

    def ask(self, namespace: str) -> bool:
        """The client sent CONNECT. False if it has asked before: one answer is enough.

        The official client asks twice when its user calls `connect()` while it is connecting.
        """
        if self._known.get(namespace, _Standing.DISMISSED) is not _Standing.DISMISSED:
            return False
        self._known[namespace] = _Standing.ASKED
        return True

    def join(self, namespace: str, member: Member) -> None:
        """The application has agreed."""
        assert self._known[namespace] is _Standing.ASKED
        self._known[namespace] = member

    def refuse(self, namespace: str) -> None:
        """The application has refused."""
        del self._known[namespace]

    def member(self, namespace: str) -> Member | None:
        """Whom an EVENT or ACK is for; None if the server has dismissed it meanwhile.

        A client that sends either before its CONNECT is answered breaks the protocol.
        """
        member = self._known.get(namespace, _Standing.ASKED)
        if not isinstance(member, _Standing):
            return member
        if member is _Standing.ASKED:
            raise ProtocolViolation(disconnects.NOT_CONNECTED)
        return None

    def leave(self, namespace: str) -> Member | None:
        """The client leaves a namespace. None if it was only asked for, or unknown."""
        member = self._known.pop(namespace, None)
        return None if isinstance(member, _Standing) else member

    def dismiss(self, namespace: str) -> None:
        """The server ends a joined namespace. What the client still sends to it is ignored."""
        assert not isinstance(self._known[namespace], _Standing)
        self._known[namespace] = _Standing.DISMISSED


# Type, attachments, namespace and ack id. A namespace may end the packet without its comma.
_HEADER: Final = re.compile(
    rb"4([0-6])(?:([0-9]{1,2})-)?(?:(/[^,]{0,%d})(?:,|\Z))?([0-9]{0,%d})(?![0-9])"
    % (MAX_NAMESPACE_CHARS, MAX_ACK_ID_DIGITS)
)
_ABSENT: Final = Raw()


class _EventPayload(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """`[name, arg, ...]`, read in one pass and never longer than MAX_EVENT_ARGS allows."""

    name: str
    arg1: Raw = _ABSENT
    arg2: Raw = _ABSENT
    arg3: Raw = _ABSENT
    arg4: Raw = _ABSENT
    arg5: Raw = _ABSENT
    arg6: Raw = _ABSENT
    arg7: Raw = _ABSENT
    arg8: Raw = _ABSENT


assert len(_EventPayload.__struct_fields__) == 1 + MAX_EVENT_ARGS

# What may be, or hold, an attachment.
_BINARY: Final = (bytes, bytearray, memoryview)
_CONTAINERS: Final = (dict, list, tuple, *_BINARY)
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_ENCODER: Final = msgspec.json.Encoder()
_EVENT: Final = msgspec.json.Decoder(_EventPayload)
_RAW_LIST: Final = msgspec.json.Decoder(list[Raw])
_ANY_LIST: Final = msgspec.json.Decoder(list[Any])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])

Decoded_co = TypeVar("Decoded_co", covariant=True)


class _Decoder(Protocol[Decoded_co]):
    def decode(self, payload: bytes, /) -> Decoded_co: ...


def _read(decoder: _Decoder[Decoded_co], payload: bytes) -> Decoded_co:
    try:
        return decoder.decode(payload)
    except RecursionError:
        raise ProtocolViolation(disconnects.TOO_DEEP) from None
    except msgspec.DecodeError:
        raise ProtocolViolation(disconnects.MALFORMED_PACKET) from None


def _decode_event(namespace: str, ack_id: int | None, payload: bytes) -> Event:
    read = _read(_EVENT, payload)
    args: Sequence[Raw]
    if read.arg2 is _ABSENT:
        args = () if read.arg1 is _ABSENT else (read.arg1,)
    else:
        fields = msgspec.structs.astuple(read)[1:]
        args = tuple(field for field in fields if field is not _ABSENT)
    return event(namespace, ack_id, read.name, args)


def event(namespace: str, ack_id: int | None, name: str, args: Sequence[Argument]) -> Event:
    """An event as it came, if its name and the number of arguments are acceptable."""
    if name in RESERVED_EVENTS or len(name) > MAX_EVENT_NAME_CHARS or len(args) > MAX_EVENT_ARGS:
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    return Event(namespace, ack_id, name, args)


def ack(namespace: str, ack_id: int | None, args: Sequence[Argument]) -> Ack:
    """An acknowledgement as it came, if it has an id and the number of arguments is acceptable."""
    if ack_id is None or len(args) > MAX_EVENT_ARGS:
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    return Ack(namespace, ack_id, args)


def _decode_connect(namespace: str, payload: bytes) -> Connect:
    if len(payload) > MAX_CONNECT_BYTES:
        raise ProtocolViolation(disconnects.TOO_LARGE)
    return Connect(namespace, _read(_OBJECT, payload) if payload else {})


def _decode_partial(
    kind: bytes, wanted: int, namespace: str, ack_id: int | None, payload: bytes
) -> Packet | Partial:
    if kind not in (b"5", b"6"):
        raise ProtocolViolation(disconnects.MALFORMED_PACKET)
    if wanted > MAX_ATTACHMENTS:
        raise ProtocolViolation(disconnects.TOO_MANY_ATTACHMENTS)
    partial = Partial(namespace, ack_id, _read(_ANY_LIST, payload), wanted, kind == b"6")
    return partial if wanted else partial.complete()


def _fill(container: Container, attachments: Sequence[bytes]) -> None:
    """Put attachments in the place of the placeholders in a container, though not further in."""
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, item in [pair for pair in pairs if type(pair[1]) is dict]:
        if item.get("_placeholder") is True:
            container[key] = _attachment(item.get("num"), attachments)


def _attachment(number: object, attachments: Sequence[bytes]) -> bytes:
    if type(number) is not int or not 0 <= number < len(attachments):
        raise ProtocolViolation(disconnects.BAD_PLACEHOLDER)
    return attachments[number]


def _header(kind: bytes, namespace: str, ack_id: int | None) -> bytes:
    if namespace != MAIN_NAMESPACE:
        kind = b"%b%b," % (kind, namespace.encode())
    return kind if ack_id is None else b"%b%d" % (kind, ack_id)


def _encode(
    kind: bytes, binary_kind: bytes, namespace: str, ack_id: int | None, payload: Sequence[object]
) -> Encoded:
    for value in payload:
        if isinstance(value, _CONTAINERS) and _has_binary(value):
            break
    else:
        return (_header(kind, namespace, ack_id) + _ENCODER.encode(payload),)
    attachments: list[bytes] = []
    cleared = [_extract(value, attachments) for value in payload]
    kind = b"%b%d-" % (binary_kind, len(attachments))
    return (_header(kind, namespace, ack_id) + _ENCODER.encode(cleared), *attachments)


def _has_binary(value: object) -> bool:
    if isinstance(value, _BINARY):
        return True
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    # Most of what there is are scalars: a call for each would take longer than encoding them.
    return any(type(item) not in _SCALARS and _has_binary(item) for item in value)


def _extract(value: object, attachments: list[bytes]) -> object:
    """A copy of `value` with placeholders; what they stand for is appended to `attachments`."""
    if isinstance(value, _BINARY):
        attachments.append(Binary(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, dict):
        return {key: _extract(item, attachments) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_extract(item, attachments) for item in value]
    return value
