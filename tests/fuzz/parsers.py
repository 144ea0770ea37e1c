"""The parsers as targets: only named ends, every bound kept, and what is read can be written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from typing import Any, Final

from msgspec import Raw

from protocol import engineio, msgpack_parser, socketio
from protocol.bounds import (
    MAX_ACK_ID_DIGITS,
    MAX_ATTACHMENT_DEPTH,
    MAX_ATTACHMENTS,
    MAX_EVENT_ARGS,
    MAX_EVENT_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
    MAX_PACKETS_PER_PAYLOAD,
)
from protocol.disconnects import ProtocolViolation
from protocol.engineio import Binary
from protocol.outgoing import JSON, MSGPACK, Outgoing, form
from protocol.socketio import Ack, Connect, Disconnect, Encoded, Event, Packet, Partial
from server.sockets.upgrade import read_upgrade
from tests.fuzz.case import Case, Finding, require

_LINES_OF_AN_UPGRADE: Final = 7


class PayloadTarget:
    """`engineio.decode_payload`."""

    name = "payload"

    def run(self, case: Case) -> str:
        """Read a polling body; what was read is written and read again."""
        try:
            packets = engineio.decode_payload(case[0])
        except ProtocolViolation as violation:
            return violation.reason.name
        require(0 < len(packets) <= MAX_PACKETS_PER_PAYLOAD, "the number of packets is bounded")
        again = engineio.decode_payload(engineio.encode_payload(packets))
        require(again == packets, "a payload that is written is read as the same")
        require([*map(type, again)] == [*map(type, packets)], "binary messages stay binary")
        return "packets"


class PacketTarget:
    """`socketio.decode` and `Partial`: the default parser."""

    name = "packet"

    def run(self, case: Case) -> str:
        """Read a text message and its attachments."""
        try:
            engineio.check_text(case[0])
            packet = read_packet(case)
        except ProtocolViolation as violation:
            return violation.reason.name
        if isinstance(packet, Partial):
            return "partial"
        check_bounds(packet)
        check_written(packet, _from_text)
        check_sent_on(packet)
        return type(packet).__name__


class MsgpackTarget:
    """`msgpack_parser.decode`: the parser of binary messages."""

    name = "msgpack"

    def run(self, case: Case) -> str:
        """Read a binary message."""
        try:
            packet = msgpack_parser.decode(case[0])
        except ProtocolViolation as violation:
            return violation.reason.name
        check_bounds(packet)
        check_written(packet, _from_msgpack)
        check_sent_on(packet)
        return type(packet).__name__


class UpgradeTarget:
    """`read_upgrade`: which first requests go to picows, and what it is told of them."""

    name = "upgrade"

    def run(self, case: Case) -> str:
        """Read the head of a request; picows must get one request of five harmless lines."""
        upgrade = read_upgrade(case[0])
        if upgrade is None:
            return "not an upgrade"
        request = upgrade.request()
        require(request.endswith(b"\r\n\r\n"), "picows gets a whole head")
        lines = request.split(b"\r\n")
        require(len(lines) == _LINES_OF_AN_UPGRADE, "picows gets five lines")
        require(all(map(_is_harmless, lines)), "picows gets no control characters")
        again = read_upgrade(request[:-4])
        require(again is not None and again.target == upgrade.target, "picows reads what we read")
        return "upgrade"


def _is_harmless(line: bytes) -> bool:
    return all(32 <= byte < 127 for byte in line)


def read_packet(case: Sequence[bytes]) -> Packet | Partial:
    """Read a text message and as many attachments as it wants."""
    packet = socketio.decode(case[0])
    for attachment in case[1:]:
        if not isinstance(packet, Partial):
            break
        packet = packet.add(attachment) or packet
    return packet


def check_bounds(packet: Packet) -> None:
    """What every accepted packet promises to whoever takes it."""
    characters = len(packet.namespace)
    require(packet.namespace[:1] == "/", "a namespace begins with a slash")
    require(characters <= MAX_NAMESPACE_CHARS + 1, "a namespace is bounded")
    if isinstance(packet, Event | Ack):
        require(len(packet.args) <= MAX_EVENT_ARGS, "arguments are bounded")
        require(len(str(packet.ack_id or 0)) <= MAX_ACK_ID_DIGITS, "ack ids are bounded")
        for argument in packet.args:
            if isinstance(argument, Raw):
                read_json(argument)
            else:
                require(depth(argument) <= MAX_ATTACHMENT_DEPTH, "what is walked is bounded")
    if isinstance(packet, Event):
        require(len(packet.name) <= MAX_EVENT_NAME_CHARS, "names are bounded")
        require(packet.name not in socketio.RESERVED_EVENTS, "reserved names are refused")
    if isinstance(packet, Connect):
        require(isinstance(packet.auth, dict), "auth is an object")


def depth(value: Any) -> int:
    """How many lists and objects are around the innermost value."""
    deepest = 0
    level = [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [item for items in inner for item in items]
        deepest += 1
    return deepest


def check_written(packet: Packet, read: Callable[[Encoded], Packet]) -> None:
    """An event or acknowledgement can be sent on with the parser that it came by, unchanged."""
    if not isinstance(packet, Event | Ack):
        return
    with deeper():
        attachments = sum(map(_attachments_in, packet.args))
    if attachments > MAX_ATTACHMENTS:
        return  # One attachment may stand in many places; written, each is its own.
    codec = socketio if read is _from_text else msgpack_parser
    if isinstance(packet, Event):
        written = codec.encode_event(packet.namespace, packet.name, packet.args, packet.ack_id)
    else:
        written = codec.encode_ack(packet.namespace, packet.ack_id, packet.args)
    again = read(written)
    with deeper():
        same = meaning(again) == meaning(packet)
    require(same, "a packet that is written is read as the same")


def _attachments_in(content: object) -> int:
    if isinstance(content, dict):
        return sum(map(_attachments_in, content.values()))
    if isinstance(content, list):
        return sum(map(_attachments_in, content))
    return isinstance(content, bytes)


def _from_text(messages: Encoded) -> Packet:
    packet = read_packet(messages)
    if isinstance(packet, Partial):
        raise Finding("a packet that is written lacks attachments")
    return packet


def _from_msgpack(messages: Encoded) -> Packet:
    (message,) = messages
    require(isinstance(message, Binary), "msgpack travels as a binary message")
    return msgpack_parser.decode(message)


def meaning(packet: Packet) -> tuple[Any, ...]:
    """A packet as plain values that can be compared, arguments decoded."""
    if isinstance(packet, Event):
        return ("event", packet.namespace, packet.ack_id, [packet.name, *plain(packet.args)])
    if isinstance(packet, Ack):
        return ("ack", packet.namespace, packet.ack_id, plain(packet.args))
    if isinstance(packet, Disconnect):
        return ("disconnect", packet.namespace, None, None)
    return ("connect", packet.namespace, None, dict(packet.auth))


def plain(args: Iterable[object]) -> list[Any]:
    """Arguments, decoded. Python's reader is used, which is not the one under test."""
    return [read_json(arg) if isinstance(arg, Raw) else _comparable(arg) for arg in args]


def read_json(text: Raw) -> Any:
    """A value of an undecoded argument, of any size and depth that the decoder lets through."""
    with deeper():
        return json.loads(bytes(text), parse_int=_number)


def _number(digits: str) -> float:
    """Python refuses to read integers of thousands of digits."""
    return int(digits) if len(digits) < 400 else float(digits)


@contextmanager
def deeper() -> Iterator[None]:
    """More room for recursion, for oracles that follow what the code under test has accepted."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(8 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _comparable(content: object) -> object:
    """NaN equals nothing, itself included, so its name stands for it."""
    if isinstance(content, float) and isnan(content):
        return "NaN"
    if isinstance(content, list):
        return [_comparable(item) for item in content]
    if isinstance(content, tuple):
        return tuple(map(_comparable, content))
    if isinstance(content, dict):
        return {_comparable(key): _comparable(item) for key, item in content.items()}
    return content


def check_sent_on(packet: Packet) -> None:
    """What one client says can be said to another, whichever parser that one uses."""
    if isinstance(packet, Event):
        outgoing = Outgoing(packet.namespace, packet.name, packet.args)
        for parser in (JSON, MSGPACK):
            outgoing.encoded(form(parser, with_offset=False))
