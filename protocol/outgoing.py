"""An event on its way to any number of clients, encoded at most once for each form they read."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from protocol import msgpack_parser, socketio
from protocol.socketio import Encoded, Event, Partial


class Parser(Protocol):
    """How packets are written for one connection. Two modules are parsers."""

    def encode_event(
        self, namespace: str, name: str, args: Sequence[object], ack_id: int | None = None
    ) -> Encoded:
        """An event for any number of clients."""

    def encode_ack(self, namespace: str, ack_id: int, args: Sequence[object]) -> Encoded:
        """The acknowledgement of a client's event."""

    def encode_connect(self, namespace: str, sid: str, pid: str | None = None) -> Encoded:
        """Tell a client that it has joined a namespace; with a `pid` it may be recovered."""

    def encode_connect_error(self, namespace: str, message: str, data: object = None) -> Encoded:
        """Tell a client that it may not join a namespace, and why."""

    def encode_disconnect(self, namespace: str) -> Encoded:
        """Tell a client that it is no longer in a namespace."""


JSON: Final[Parser] = socketio
MSGPACK: Final[Parser] = msgpack_parser

_CONNECT_HEADS: Final = (socketio.CONNECT_HEAD, msgpack_parser.CONNECT_HEAD)


def is_connect(packet: bytes) -> bool:
    """Whether a packet tells a client that it has joined a namespace: it may hold a `pid`."""
    return packet.startswith(_CONNECT_HEADS)


# A form is a number, so that what a client reads is found without hashing: the parser's, and two
# more where the event's offset follows its arguments.
_PARSERS: Final = (JSON, MSGPACK)
_WITH_OFFSET: Final = len(_PARSERS)


def form(parser: Parser, *, with_offset: bool) -> int:
    """The form that a client reads who speaks through `parser`, and asks for offsets or not."""
    return _PARSERS.index(parser) + (_WITH_OFFSET if with_offset else 0)


class Outgoing:
    """One event. Its `number` counts what this node sends out; None is for what is never replayed.

    The offset that recovering clients remember is made of it: `{epoch}-{number}`. `at_s` is when
    it was made, on whatever clock its maker has.
    """

    __slots__ = (
        "_encoded",
        "_epoch",
        "args",
        "at_s",
        "holders",
        "name",
        "namespace",
        "number",
        "packets",
        "size",
    )

    def __init__(
        self,
        namespace: str,
        name: str,
        args: Sequence[object],
        number: int | None = None,
        epoch: str = "",
        at_s: float = 0.0,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.args = args
        self.number = number
        self.at_s = at_s
        # Engine.IO packets and their bytes, as it was first encoded; 0 before that.
        self.packets = 0
        self.size = 0
        # How many keep it, to send it again.
        self.holders = 0
        self._epoch = epoch
        self._encoded: list[Encoded | None] = [None] * (2 * _WITH_OFFSET)

    def encoded(self, form: int) -> Encoded:
        """The event's packets in one form."""
        return self._encoded[form] or self._encode(form)

    def _encode(self, form: int) -> Encoded:
        with_offset = form >= _WITH_OFFSET and self.number is not None
        args = (*self.args, f"{self._epoch}-{self.number}") if with_offset else self.args
        encoded = _PARSERS[form % _WITH_OFFSET].encode_event(self.namespace, self.name, args)
        self._encoded[form] = encoded
        if not self.packets:
            self.packets, self.size = len(encoded), sum(map(len, encoded))
        return encoded


# The form in which events are kept for other nodes, whatever their readers read.
_KEPT: Final = form(JSON, with_offset=False)


class Kept(NamedTuple):
    """An event that another node has told, or would have told, to a client."""

    name: str
    args: Sequence[object]


def keep(event: Outgoing) -> list[bytes]:
    """An event as it is kept for other nodes: its packets, without an offset."""
    return [bytes(packet) for packet in event.encoded(_KEPT)]


def kept(packets: Sequence[bytes]) -> Kept:
    """The event that a node has kept as `packets`. Raises `ProtocolViolation` if it is none."""
    head, *attachments = packets
    packet: object = socketio.decode(head)
    for attachment in attachments:
        assert isinstance(packet, Partial), "an attachment of nothing is kept"
        packet = packet.add(attachment) or packet
    assert isinstance(packet, Event), "only events are kept"
    args = [
        msgspec.json.decode(arg) if isinstance(arg, msgspec.Raw) else arg for arg in packet.args
    ]
    return Kept(packet.name, args)
