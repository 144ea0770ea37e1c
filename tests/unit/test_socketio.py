"""Socket.IO's default parser and the namespaces of a connection, as the specification has them."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from protocol import disconnects, socketio
from protocol.bounds import (
    MAX_ACK_ID_DIGITS,
    MAX_ATTACHMENT_DEPTH,
    MAX_ATTACHMENTS,
    MAX_CONNECT_BYTES,
    MAX_CONTAINERS,
    MAX_EVENT_ARGS,
    MAX_EVENT_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
)
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.engineio import Binary
from protocol.socketio import Ack, Connect, Disconnect, Event, Packet, Partial, Session


def decode(*messages: bytes) -> Packet:
    """Decode a packet and its attachments, and its arguments."""
    packet = socketio.decode(messages[0])
    for attachment in messages[1:]:
        assert isinstance(packet, Partial)
        packet = packet.add(attachment) or packet
    assert not isinstance(packet, Partial)
    if isinstance(packet, Event | Ack):
        packet.args = [
            msgspec.json.decode(arg) if isinstance(arg, Raw) else arg for arg in packet.args
        ]
    return packet


@pytest.mark.parametrize(
    ("message", "packet"),
    [
        # The examples of the specification, section "Packet encoding".
        (b"40", Connect("/", {})),
        (b'40{"token":"123"}', Connect("/", {"token": "123"})),
        (b"40/custom", Connect("/custom", {})),
        (b"40/custom,", Connect("/custom", {})),
        (b'40/admin,{"sid":"oSO0"}', Connect("/admin", {"sid": "oSO0"})),
        (b"41", Disconnect("/")),
        (b"41/admin", Disconnect("/admin")),
        (b"41/admin,", Disconnect("/admin")),
        (b'42["foo"]', Event("/", None, "foo", [])),
        (b'42/admin,["bar"]', Event("/admin", None, "bar", [])),
        (b'4212["foo"]', Event("/", 12, "foo", [])),
        (
            b'42/admin,13["foo",1,"2",{"3":[true]}]',
            Event("/admin", 13, "foo", [1, "2", {"3": [True]}]),
        ),
        (b'43/admin,13["bar"]', Ack("/admin", 13, ["bar"])),
        (b"4313[]", Ack("/", 13, [])),
        # A comma, a bracket or a slash where it means nothing.
        (b'42["a,/b",","]', Event("/", None, "a,/b", [","])),
        (b'42/a[1],["x"]', Event("/a[1]", None, "x", [])),
        (b'42/a/b,5["x"]', Event("/a/b", 5, "x", [])),
        (b'420["x"]', Event("/", 0, "x", [])),
        ('42["né",{"€":"😀"}]'.encode(), Event("/", None, "né", [{"€": "😀"}])),
        ("40/né,".encode(), Connect("/né", {})),
        (b'42 ["x" , 1 ] '.replace(b"42 ", b"42"), Event("/", None, "x", [1])),
        (b'42["x",null]', Event("/", None, "x", [None])),
    ],
)
def test_decoding(message: bytes, packet: Packet) -> None:
    assert decode(message) == packet


@pytest.mark.parametrize(
    ("messages", "packet"),
    [
        (
            (b'451-["baz",{"_placeholder":true,"num":0}]', b"\x01\x02"),
            Event("/", None, "baz", [b"\x01\x02"]),
        ),
        (
            (
                b'452-/admin,["baz",{"a":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0}]',
                b"1",
                b"2",
            ),
            Event("/admin", None, "baz", [{"a": [b"2"]}, b"1"]),
        ),
        (
            (b'451-15["foo",{"_placeholder":true,"num":0}]', b""),
            Event("/", 15, "foo", [b""]),
        ),
        ((b'461-15["bar",{"_placeholder":true,"num":0}]', b"x"), Ack("/", 15, ["bar", b"x"])),
        (
            (b'450-["foo",{"_placeholder":false,"num":0}]',),
            Event("/", None, "foo", [{"_placeholder": False, "num": 0}]),
        ),
    ],
)
def test_attachments_take_the_place_of_placeholders(
    messages: tuple[bytes, ...], packet: Packet
) -> None:
    assert decode(*messages) == packet


_DEEP = b"[" * 100_000 + b"]" * 100_000
_NESTED = b"[" * (MAX_ATTACHMENT_DEPTH + 2) + b"]" * (MAX_ATTACHMENT_DEPTH + 2)
_WIDE = b"[],{}," * (MAX_CONTAINERS // 2) + b"0"
_LONG_NAME = b"n" * (MAX_EVENT_NAME_CHARS + 1)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"4", disconnects.MALFORMED_PACKET),
        (b"47", disconnects.MALFORMED_PACKET),
        (b"4abc", disconnects.MALFORMED_PACKET),
        (b"4-1", disconnects.MALFORMED_PACKET),
        # CONNECT
        (b"40[]", disconnects.MALFORMED_PACKET),
        (b'40"x"', disconnects.MALFORMED_PACKET),
        (b"40{", disconnects.MALFORMED_PACKET),
        (b"401", disconnects.MALFORMED_PACKET),
        (b"40/" + b"n" * (MAX_NAMESPACE_CHARS + 1), disconnects.MALFORMED_PACKET),
        (b'40{"t":"' + b"x" * MAX_CONNECT_BYTES + b'"}', disconnects.TOO_LARGE),
        # DISCONNECT
        (b"41{}", disconnects.MALFORMED_PACKET),
        (b"411", disconnects.MALFORMED_PACKET),
        # EVENT
        (b"42", disconnects.MALFORMED_PACKET),
        (b"42{}", disconnects.MALFORMED_PACKET),
        (b"42[]", disconnects.MALFORMED_PACKET),
        (b"42[1]", disconnects.MALFORMED_PACKET),
        (b"42[null]", disconnects.MALFORMED_PACKET),
        (b'42["a"', disconnects.MALFORMED_PACKET),
        (b'42["a"]x', disconnects.MALFORMED_PACKET),
        (b'42["a",]', disconnects.MALFORMED_PACKET),
        (b'42["a",NaN]', disconnects.MALFORMED_PACKET),
        (b'42abc["a"]', disconnects.MALFORMED_PACKET),
        (b'42-1["a"]', disconnects.MALFORMED_PACKET),
        (b"42/admin", disconnects.MALFORMED_PACKET),
        (b'42["connect"]', disconnects.MALFORMED_PACKET),
        (b'42["disconnect","x"]', disconnects.MALFORMED_PACKET),
        (b'42["' + _LONG_NAME + b'"]', disconnects.MALFORMED_PACKET),
        (b'42["a"' + b",1" * (MAX_EVENT_ARGS + 1) + b"]", disconnects.MALFORMED_PACKET),
        (b"42" + b"1" * (MAX_ACK_ID_DIGITS + 1) + b'["a"]', disconnects.MALFORMED_PACKET),
        (b'42["a",' + _DEEP + b"]", disconnects.TOO_DEEP),
        # ACK
        (b"43[]", disconnects.MALFORMED_PACKET),
        (b"431", disconnects.MALFORMED_PACKET),
        (b"431{}", disconnects.MALFORMED_PACKET),
        (b"431[" + b"1," * MAX_EVENT_ARGS + b"1]", disconnects.MALFORMED_PACKET),
        # CONNECT_ERROR
        (b'44{"message":"x"}', disconnects.WRONG_DIRECTION),
        # BINARY_EVENT and BINARY_ACK
        (b'45["a"]', disconnects.MALFORMED_PACKET),
        (b'45-["a"]', disconnects.MALFORMED_PACKET),
        (b'451["a"]', disconnects.MALFORMED_PACKET),
        (b'421-["a"]', disconnects.MALFORMED_PACKET),
        (b'450-[1]', disconnects.MALFORMED_PACKET),
        (b"450-[]", disconnects.MALFORMED_PACKET),
        (b"460-[]", disconnects.MALFORMED_PACKET),
        (b'45%d-["a"]' % (MAX_ATTACHMENTS + 1), disconnects.TOO_MANY_ATTACHMENTS),
        (b'45999-["a"]', disconnects.MALFORMED_PACKET),
        (b'450-["a",{"_placeholder":true,"num":0}]', disconnects.BAD_PLACEHOLDER),
        (b'450-["a",' + _NESTED + b"]", disconnects.TOO_DEEP),
        (b'450-["a",[' + _WIDE + b"]]", disconnects.TOO_MANY_CONTAINERS),
        (b'460-1[[' + _WIDE + b"]]", disconnects.TOO_MANY_CONTAINERS),
    ],
)  # fmt: skip
def test_broken_packets_have_a_name(message: bytes, reason: DisconnectReason) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        socketio.decode(message)
    assert caught.value.reason is reason


@pytest.mark.parametrize("number", ["1", "-1", "0.0", '"0"', "true", "false", "null", "1e99"])
def test_a_placeholder_names_an_attachment_there_is(number: str) -> None:
    partial = socketio.decode(b'451-["a",{"_placeholder":true,"num":%s}]' % number.encode())
    assert isinstance(partial, Partial)

    with pytest.raises(ProtocolViolation) as caught:
        partial.add(b"x")
    assert caught.value.reason is disconnects.BAD_PLACEHOLDER


def test_bounds_themselves_are_allowed() -> None:
    name = "n" * MAX_EVENT_NAME_CHARS
    message = b'42%s["%s"%s]' % (b"9" * MAX_ACK_ID_DIGITS, name.encode(), b",1" * MAX_EVENT_ARGS)
    attachments = [b"x"] * MAX_ATTACHMENTS

    assert decode(message) == Event("/", 10**MAX_ACK_ID_DIGITS - 1, name, [1] * MAX_EVENT_ARGS)
    assert decode(b'45%d-["a"]' % MAX_ATTACHMENTS, *attachments) == Event("/", None, "a", [])


def test_the_largest_and_deepest_arguments_with_attachments_are_taken() -> None:
    # The packet's own list and the argument's count too, and a placeholder as what it is.
    wide = b"[]," * (MAX_CONTAINERS - 3) + b'{"_placeholder":true,"num":0}'
    assert decode(b"461-1[[" + wide + b"]]", b"x") == Ack(
        "/", 1, [[[]] * (MAX_CONTAINERS - 3) + [b"x"]]
    )
    deep = b"[" * MAX_ATTACHMENT_DEPTH + b"]" * MAX_ATTACHMENT_DEPTH
    assert isinstance(decode(b"460-1[" + deep + b"]"), Ack)


@pytest.mark.parametrize("message", [b"450-[1]", b"451-[1]", b"461-1{}", b"431{}"])
def test_what_is_sent_to_a_namespace_that_was_not_joined_is_not_read(message: bytes) -> None:
    session: Session[str] = Session()
    with pytest.raises(ProtocolViolation) as caught:
        socketio.decode(message, session)
    assert caught.value.reason is disconnects.NOT_CONNECTED


def test_arguments_stay_undecoded_without_attachments() -> None:
    packet = socketio.decode(b'42["dice:roll",{"stake": 125},[1 ,2]]')

    assert isinstance(packet, Event)
    assert [bytes(arg) for arg in packet.args if isinstance(arg, Raw)] == [
        b'{"stake": 125}',
        b"[1 ,2]",
    ]


class Roll(msgspec.Struct):
    hundredths: int
    won: bool


@pytest.mark.parametrize(
    ("encoded", "messages"),
    [
        (socketio.encode_connect("/", "abc"), (b'40{"sid":"abc"}',)),
        (socketio.encode_connect("/admin", "abc"), (b'40/admin,{"sid":"abc"}',)),
        (socketio.encode_disconnect("/"), (b"41",)),
        (socketio.encode_disconnect("/admin"), (b"41/admin,",)),
        (
            socketio.encode_connect_error("/", "Not authorized"),
            (b'44{"message":"Not authorized"}',),
        ),
        (
            socketio.encode_connect_error("/random", "Invalid namespace", {"code": "x"}),
            (b'44/random,{"message":"Invalid namespace","data":{"code":"x"}}',),
        ),
        (socketio.encode_event("/", "foo", ()), (b'42["foo"]',)),
        (socketio.encode_event("/admin", "foo", (1, "2")), (b'42/admin,["foo",1,"2"]',)),
        (socketio.encode_event("/admin", "foo", (), 13), (b'42/admin,13["foo"]',)),
        (socketio.encode_event("/", 'a"b', ()), (b'42["a\\"b"]',)),
        (
            socketio.encode_event("/", "rolled", (Roll(5044, True),)),
            (b'42["rolled",{"hundredths":5044,"won":true}]',),
        ),
        (socketio.encode_event("/", "raw", (Raw(b"[1, 2]"),)), (b'42["raw",[1, 2]]',)),
        (socketio.encode_ack("/", 0, ()), (b"430[]",)),
        (socketio.encode_ack("/admin", 456, ("bar", None)), (b'43/admin,456["bar",null]',)),
        (
            socketio.encode_event("/", "baz", (b"\x01",)),
            (b'451-["baz",{"_placeholder":true,"num":0}]', b"\x01"),
        ),
        (
            socketio.encode_event("/admin", "baz", ({"a": [bytearray(b"1")]}, memoryview(b"2"))),
            (
                b'452-/admin,["baz",{"a":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}]',
                b"1",
                b"2",
            ),
        ),
        (
            socketio.encode_ack("/", 15, ("bar", (b"x",))),
            (b'461-15["bar",[{"_placeholder":true,"num":0}]]', b"x"),
        ),
    ],
)  # fmt: skip
def test_encoding(encoded: tuple[bytes, ...], messages: tuple[bytes, ...]) -> None:
    assert encoded == messages
    assert all(isinstance(attachment, Binary) for attachment in encoded[1:])
    assert not isinstance(encoded[0], Binary)


def test_encoding_leaves_its_arguments_as_they_were() -> None:
    argument: dict[str, Any] = {"a": [b"1"]}

    socketio.encode_event("/", "x", (argument,))

    assert argument == {"a": [b"1"]}


def violation_of(session: Session[str], method: str, namespace: str) -> DisconnectReason:
    with pytest.raises(ProtocolViolation) as caught:
        getattr(session, method)(namespace)
    return caught.value.reason


def test_a_namespace_is_asked_for_then_joined_then_left() -> None:
    session: Session[str] = Session()
    idle = [session.idle]

    session.ask("/")
    idle.append(session.idle)
    session.join("/", "member")
    idle.append(session.idle)
    assert session.member("/") == "member"
    assert list(session.members()) == ["member"]
    assert session.leave("/") == "member"
    idle.append(session.idle)
    assert session.leave("/") is None
    session.ask("/")

    assert idle == [True, True, False, True]


def test_nothing_may_be_sent_to_a_namespace_before_it_is_joined() -> None:
    session: Session[str] = Session()

    assert violation_of(session, "member", "/") is disconnects.NOT_CONNECTED
    session.ask("/")
    assert violation_of(session, "member", "/") is disconnects.NOT_CONNECTED
    session.refuse("/")
    assert violation_of(session, "member", "/") is disconnects.NOT_CONNECTED
    session.ask("/")
    session.join("/", "member")
    session.leave("/")
    assert violation_of(session, "member", "/") is disconnects.NOT_CONNECTED


def test_a_namespace_is_asked_for_once() -> None:
    session: Session[str] = Session()

    assert session.ask("/")
    assert not session.ask("/")
    session.join("/", "member")
    assert not session.ask("/")
    assert session.ask("/other")
    session.refuse("/other")
    assert session.ask("/other")


def test_what_a_dismissed_client_still_sends_is_ignored_until_it_asks_again() -> None:
    session: Session[str] = Session()
    session.ask("/")
    session.join("/", "member")

    session.dismiss("/")

    assert session.idle
    assert session.member("/") is None
    session.ask("/")
    assert violation_of(session, "member", "/") is disconnects.NOT_CONNECTED
