"""The msgpack parser: what the two clients that speak it send, and what nobody may."""

import math
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from protocol import disconnects, msgpack_parser
from protocol.bounds import (
    MAX_ACK_ID_DIGITS,
    MAX_ATTACHMENT_DEPTH,
    MAX_CONNECT_BYTES,
    MAX_CONTAINERS,
    MAX_EVENT_ARGS,
    MAX_EVENT_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
)
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.engineio import Binary
from protocol.outgoing import JSON, MSGPACK, Parser, is_connect
from protocol.socketio import Ack, Connect, Disconnect, Encoded, Event, Session

# JavaScript's encoder writes `undefined` as an extension of one byte.
UNDEFINED = msgspec.msgpack.Ext(0, b"\0")
TYPED_ARRAY = msgspec.msgpack.Ext(0, b"\1\2\3")


def packed(**fields: Any) -> bytes:
    return msgspec.msgpack.encode({"nsp": "/", **fields})


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def unpacked(encoded: Encoded) -> Any:
    [message] = encoded
    assert isinstance(message, Binary)
    return msgspec.msgpack.decode(message)


@pytest.mark.parametrize(
    ("message", "packet"),
    [
        # As socket.io-msgpack-parser has it: no `data` where there is none, options that are ours.
        (packed(type=0), Connect("/", {})),
        (packed(type=0, data={"token": "t"}), Connect("/", {"token": "t"})),
        (packed(type=0, data=UNDEFINED), Connect("/", {})),
        (packed(type=1, options={}), Disconnect("/")),
        (packed(type=2, data=["a"], id=UNDEFINED), Event("/", None, "a", [])),
        (packed(type=2, data=["a", UNDEFINED]), Event("/", None, "a", [None])),
        (packed(type=2, data=["a", TYPED_ARRAY]), Event("/", None, "a", [b"\1\2\3"])),
        (packed(type=3, data=[], id=7), Ack("/", 7, [])),
        # As python-socketio has it: `data` may be nil.
        (packed(type=0, data=None), Connect("/", {})),
        (packed(type=1, data=None), Disconnect("/")),
        (packed(type=2, data=["a", b"\0\xff"], id=0), Event("/", 0, "a", [b"\0\xff"])),
        # A namespace, and data of every kind.
        (packed(type=2, data=["a"], nsp="/chat"), Event("/chat", None, "a", [])),
        (
            packed(type=2, data=["a", {"b": [1, -1.5, None, True, "é"]}]),
            Event("/", None, "a", [{"b": [1, -1.5, None, True, "é"]}]),
        ),
    ],
)
def test_what_clients_send(message: bytes, packet: Any) -> None:
    assert msgpack_parser.decode(message) == packet


LONGEST_NAMESPACE = "/" + "n" * MAX_NAMESPACE_CHARS


def test_the_bounds_are_those_of_the_default_parser() -> None:
    name, args = "n" * MAX_EVENT_NAME_CHARS, list(range(MAX_EVENT_ARGS))
    last_id = 10**MAX_ACK_ID_DIGITS - 1

    packet = msgpack_parser.decode(
        packed(type=2, data=[name, *args], nsp=LONGEST_NAMESPACE, id=last_id)
    )

    assert packet == Event(LONGEST_NAMESPACE, last_id, name, args)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", disconnects.MALFORMED_PACKET),
        (b"\xc1", disconnects.MALFORMED_PACKET),
        (b"not msgpack", disconnects.MALFORMED_PACKET),
        (msgspec.msgpack.encode([]), disconnects.MALFORMED_PACKET),
        (msgspec.msgpack.encode({"type": 0}), disconnects.MALFORMED_PACKET),
        (msgspec.msgpack.encode({"nsp": "/"}), disconnects.MALFORMED_PACKET),
        (packed(type=0) + b"\0", disconnects.MALFORMED_PACKET),
        (packed(type=0)[:-1], disconnects.MALFORMED_PACKET),
        (packed(type="0"), disconnects.MALFORMED_PACKET),
        (packed(type=True), disconnects.MALFORMED_PACKET),
        (packed(type=5), disconnects.MALFORMED_PACKET),
        (packed(type=-1), disconnects.MALFORMED_PACKET),
        (packed(type=4, data={"message": "no"}), disconnects.WRONG_DIRECTION),
        (packed(type=0, data="token"), disconnects.MALFORMED_PACKET),
        (packed(type=0, data={1: 2}), disconnects.MALFORMED_PACKET),
        (packed(type=0, data=[1]), disconnects.MALFORMED_PACKET),
        (packed(type=0, data={"t": "x" * MAX_CONNECT_BYTES}), disconnects.TOO_LARGE),
        (packed(type=0, nsp="chat"), disconnects.MALFORMED_PACKET),
        (packed(type=0, nsp=""), disconnects.MALFORMED_PACKET),
        (packed(type=0, nsp=LONGEST_NAMESPACE + "n"), disconnects.MALFORMED_PACKET),
        (packed(type=2), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=None), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=[]), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=[1]), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["connect"]), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["n" * (MAX_EVENT_NAME_CHARS + 1)]), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["a", *range(MAX_EVENT_ARGS + 1)]), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["a"], id=-1), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["a"], id=1.0), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["a"], id="1"), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["a"], id=10**MAX_ACK_ID_DIGITS), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["a", msgspec.msgpack.Ext(5, b"x")]), disconnects.MALFORMED_PACKET),
        (packed(type=3, data=[]), disconnects.MALFORMED_PACKET),
        (packed(type=3, id=1), disconnects.MALFORMED_PACKET),
        # Text that is not UTF-8, and a map whose key is a map.
        (packed(type=2, data=["~~"]).replace(b"~~", b"\xff\xfe"), disconnects.MALFORMED_PACKET),
        (
            packed(type=2, data=["a", "~"]).replace(b"\xa1~", b"\x81\x80\x01"),
            disconnects.MALFORMED_PACKET,
        ),
        (
            packed(type=2, data=["a", "~"]).replace(b"\xa1~", b"\x91" * 100_000 + b"\x01"),
            disconnects.TOO_DEEP,
        ),
        # What could not be said to a JSON client.
        (packed(type=2, data=["a", {None: 1}]), disconnects.MALFORMED_PACKET),
        (packed(type=3, id=1, data=[[{b"a": 1}]]), disconnects.MALFORMED_PACKET),
        (packed(type=2, data=["a", nested(MAX_ATTACHMENT_DEPTH + 1)]), disconnects.TOO_DEEP),
        (packed(type=2, data=["a", [{}] * MAX_CONTAINERS]), disconnects.TOO_MANY_CONTAINERS),
        (packed(type=3, id=1, data=[[[]] * MAX_CONTAINERS]), disconnects.TOO_MANY_CONTAINERS),
    ],
)
def test_what_nobody_may_send(message: bytes, reason: DisconnectReason) -> None:
    with pytest.raises(ProtocolViolation) as violation:
        msgpack_parser.decode(message)
    assert violation.value.reason is reason


class Roll(msgspec.Struct):
    """An event's data."""

    result: int


@pytest.mark.parametrize(
    ("encoded", "fields"),
    [
        (
            msgpack_parser.encode_event("/", "a", (1, b"\0", {"b": [None]})),
            {"type": 2, "nsp": "/", "data": ["a", 1, b"\0", {"b": [None]}]},
        ),
        (
            msgpack_parser.encode_event("/", "rolled", (Roll(5),), 3),
            {"type": 2, "nsp": "/", "data": ["rolled", {"result": 5}], "id": 3},
        ),
        (
            msgpack_parser.encode_event("/", "raw", (Raw(b'{"a":[1]}'),)),
            {"type": 2, "nsp": "/", "data": ["raw", {"a": [1]}]},
        ),
        (
            msgpack_parser.encode_ack("/chat", 0, (Raw(b"1"), "x")),
            {"type": 3, "nsp": "/chat", "data": [1, "x"], "id": 0},
        ),
        (msgpack_parser.encode_connect("/", "s"), {"type": 0, "nsp": "/", "data": {"sid": "s"}}),
        (
            msgpack_parser.encode_connect("/", "s", "p"),
            {"type": 0, "nsp": "/", "data": {"sid": "s", "pid": "p"}},
        ),
        (
            msgpack_parser.encode_connect_error("/", "No", {"number": 1}),
            {"type": 4, "nsp": "/", "data": {"message": "No", "data": {"number": 1}}},
        ),
        (msgpack_parser.encode_disconnect("/"), {"type": 1, "nsp": "/"}),
    ],
)
def test_what_clients_are_sent(encoded: Encoded, fields: dict[str, Any]) -> None:
    assert unpacked(encoded) == fields


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=MAX_EVENT_ARGS), st.none() | st.integers(0, 10**15 - 1))
def test_events_survive_the_round_trip(args: list[Any], ack_id: int | None) -> None:
    [message] = msgpack_parser.encode_event("/chat", "a", args, ack_id)

    assert msgpack_parser.decode(message) == Event("/chat", ack_id, "a", args)


@given(st.binary() | st.lists(VALUES).map(msgspec.msgpack.encode))
def test_anything_else_ends_by_name(message: bytes) -> None:
    with suppress(ProtocolViolation):
        msgpack_parser.decode(message)


def test_the_deepest_nesting_is_taken() -> None:
    packet = msgpack_parser.decode(packed(type=2, data=["a", nested(MAX_ATTACHMENT_DEPTH)]))
    assert isinstance(packet, Event)
    assert packet.args == [nested(MAX_ATTACHMENT_DEPTH)]


def test_as_many_lists_and_objects_as_may_be_are_taken() -> None:
    # The packet's own list and the argument's count too.
    argument: Any = [{"a": []}] * ((MAX_CONTAINERS - 2) // 2)
    assert msgpack_parser.decode(packed(type=3, id=1, data=[argument])) == Ack("/", 1, [argument])


@pytest.mark.parametrize("fields", [{"type": 2}, {"type": 3, "id": 1}])
def test_what_is_sent_to_a_namespace_that_was_not_joined_is_not_read(fields: Any) -> None:
    session: Session[str] = Session()
    message = packed(**fields, data="no list")
    with pytest.raises(ProtocolViolation) as violation:
        msgpack_parser.decode(message, session)
    assert violation.value.reason is disconnects.NOT_CONNECTED

    session.ask("/")
    session.join("/", "member")
    with pytest.raises(ProtocolViolation) as violation:
        msgpack_parser.decode(message, session)
    assert violation.value.reason is disconnects.MALFORMED_PACKET


@pytest.mark.parametrize(
    ("argument", "double"),
    [
        (Raw(b"1e400"), math.inf),
        (Raw(b"-1e400"), -math.inf),
        (Raw(b"123456789012345678901"), 123456789012345678901.0),
        (Raw(b"-9" + b"0" * 400), -math.inf),
        (Raw(b"9" * 5_000), math.inf),
        (-(2**63) - 1, -9223372036854775809.0),
        (2**64, 18446744073709551616.0),
    ],
)
def test_numbers_that_msgpack_cannot_hold_are_what_javascript_reads(
    argument: object, double: float
) -> None:
    event = unpacked(msgpack_parser.encode_event("/", "a", [argument]))
    assert event["data"] == ["a", double]


@pytest.mark.parametrize("parser", [JSON, MSGPACK])
@pytest.mark.parametrize("namespace", ["/", "/chat", LONGEST_NAMESPACE])
def test_only_the_answer_to_connect_is_one(parser: Parser, namespace: str) -> None:
    assert is_connect(parser.encode_connect(namespace, "sid")[0])
    assert is_connect(parser.encode_connect(namespace, "sid", "pid")[0])
    others = [
        parser.encode_event(namespace, "a", ["40"]),
        parser.encode_ack(namespace, 0, [0]),
        parser.encode_connect_error(namespace, "No"),
        parser.encode_disconnect(namespace),
    ]
    assert not any(is_connect(packet) for encoded in others for packet in encoded)
