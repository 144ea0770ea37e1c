"""Socket.IO's parser against whatever there is: round trips, and nothing but named ends."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from protocol import socketio
from protocol.bounds import MAX_ATTACHMENTS, MAX_EVENT_ARGS, MAX_EVENT_NAME_CHARS
from protocol.disconnects import ProtocolViolation
from protocol.socketio import Ack, Event, Packet, Partial

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_EVENT_NAME_CHARS).filter(
    lambda name: name not in socketio.RESERVED_EVENTS
)
NAMESPACES = st.one_of(
    st.just("/"),
    st.from_regex(r"/[A-Za-z0-9_\-/\[\]{}\"]{0,40}", fullmatch=True),
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
KEYS = TEXT.filter(lambda key: key != "_placeholder")


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=MAX_ATTACHMENTS,
    )


PLAIN = nested(SCALARS)
WITH_BINARY = nested(SCALARS | st.binary(max_size=20))
ACK_IDS = st.none() | st.integers(0, 10**15 - 1)


def receive(messages: tuple[bytes, ...]) -> Packet:
    packet = socketio.decode(messages[0])
    for attachment in messages[1:]:
        assert isinstance(packet, Partial), "complete before its last attachment"
        packet = packet.add(attachment) or packet
    assert not isinstance(packet, Partial), "incomplete after its last attachment"
    return packet


def plain(args: Any) -> list[Any]:
    return [msgspec.json.decode(arg) if isinstance(arg, Raw) else arg for arg in args]


@given(NAMESPACES, NAMES, st.lists(PLAIN, max_size=MAX_EVENT_ARGS), ACK_IDS)
def test_events_survive_the_round_trip(
    namespace: str, name: str, args: list[Any], ack_id: int | None
) -> None:
    packet = receive(socketio.encode_event(namespace, name, args, ack_id))

    assert isinstance(packet, Event)
    assert (packet.namespace, packet.name, packet.ack_id) == (namespace, name, ack_id)
    assert plain(packet.args) == args


def attachments_in(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(attachments_in, value.values()))
    if isinstance(value, list):
        return sum(map(attachments_in, value))
    return isinstance(value, bytes)


@given(
    NAMESPACES,
    NAMES,
    st.lists(WITH_BINARY, max_size=MAX_EVENT_ARGS).filter(
        lambda args: attachments_in(args) <= MAX_ATTACHMENTS
    ),
    ACK_IDS,
)
def test_attachments_survive_the_round_trip(
    namespace: str, name: str, args: list[Any], ack_id: int | None
) -> None:
    messages = socketio.encode_event(namespace, name, args, ack_id)
    packet = receive(messages)

    assert len(messages) == 1 + attachments_in(args)
    assert isinstance(packet, Event)
    assert (packet.namespace, packet.name, packet.ack_id) == (namespace, name, ack_id)
    assert plain(packet.args) == args


@given(NAMESPACES, st.integers(0, 10**15 - 1), st.lists(PLAIN, max_size=MAX_EVENT_ARGS))
def test_acks_survive_the_round_trip(namespace: str, ack_id: int, args: list[Any]) -> None:
    packet = receive(socketio.encode_ack(namespace, ack_id, args))

    assert isinstance(packet, Ack)
    assert (packet.namespace, packet.ack_id) == (namespace, ack_id)
    assert plain(packet.args) == args


# Texts that look like packets get further than random ones.
FRAGMENTS = st.sampled_from(
    [*'012356-/,[]{}"a:\\é', '["a"]', '{"_placeholder":true,"num":0}', "/chat,", "1-", "0-"]
)
MESSAGES = st.one_of(
    st.binary(), TEXT.map(str.encode), st.lists(FRAGMENTS, max_size=12).map("".join).map(str.encode)
)


@given(MESSAGES, st.lists(st.binary(), max_size=3))
def test_any_bytes_are_a_packet_or_a_named_violation(
    message: bytes, attachments: list[bytes]
) -> None:
    try:
        packet = socketio.decode(b"4" + message)
        for attachment in attachments:
            if isinstance(packet, Partial):
                packet = packet.add(attachment) or packet
    except ProtocolViolation:
        return
    if isinstance(packet, Event):
        assert isinstance(packet.name, str)
        assert len(packet.args) <= MAX_EVENT_ARGS
