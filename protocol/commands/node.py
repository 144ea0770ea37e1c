"""This node: what it does now and who is connected, for those who run it.

Each node answers for itself.
"""

from enum import Enum
from typing import Annotated

from msgspec import Meta

from protocol.bounds import (
    DEFAULT_PAGE,
    MAX_ADDRESS_CHARS,
    MAX_MINOR,
    MAX_NAMESPACE_CHARS,
    MAX_ROOM_CHARS,
)
from protocol.commands.auth import Role
from protocol.commands.shape import Answer, Command, Event, UserId
from protocol.commands.wallet import PageSize

BeforeNumber = Annotated[
    int, Meta(ge=1, le=MAX_MINOR, description="Only what is older than this number.")
]
RoomName = Annotated[
    str, Meta(min_length=1, max_length=MAX_ROOM_CHARS, pattern=r"\A[^\x00-\x1f]+\Z")
]
Namespace = Annotated[
    str,
    Meta(
        max_length=MAX_NAMESPACE_CHARS,
        pattern=r"\A/[^\x00-\x1f]*\Z",
        description="Rooms of this namespace.",
    ),
]
Address = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ADDRESS_CHARS,
        pattern=r"\A[^\x00-\x1f]+\Z",
        description="Only from this address; one of IPv6 stands for its /64 network.",
    ),
]


class Transport(Enum):
    """What carries a connection's packets now."""

    POLLING = "polling"
    WEBSOCKET = "websocket"


class Parser(Enum):
    """How a client's packets are written."""

    JSON = "json"
    MSGPACK = "msgpack"


class GetStats(Command):
    """What this node does now, as an operator."""


class Traffic(Answer):
    """What went on in a second, on average over the last `seconds`."""

    seconds: float
    packets_in_per_second: float
    packets_out_per_second: float
    bytes_in_per_second: float
    bytes_out_per_second: float
    opened_per_second: float
    ended_per_second: float
    commands_per_second: float
    bets_per_second: float
    loop_lag_ms: float


class Stats(Answer):
    """This node: what is open now, what has ended since it started, and how fast things go."""

    started_at_ms: int
    connections: dict[str, int]
    sockets: dict[str, int]
    sockets_awaited: int
    rooms: int
    handshakes_waiting: int
    disconnects: dict[str, int]
    handshakes_refused: dict[str, int]
    connects_refused: dict[str, int]
    recoveries: dict[str, int]
    last_second: Traffic
    last_minute: Traffic


class GetConnections(Command):
    """Who is connected to this node, newest first, as an operator. Filters may be combined."""

    user_id: UserId | None = None
    address: Address | None = None
    room: RoomName | None = None
    transport: Transport | None = None
    before: BeforeNumber | None = None
    limit: PageSize = DEFAULT_PAGE


class SocketEntry(Answer):
    """A namespace that a connection has joined, and who joined it."""

    id: str
    namespace: str
    user_id: UserId
    username: str
    role: Role
    room_count: int
    rooms: list[str]


class ConnectionEntry(Answer):
    """One connection, with a socket for each namespace that it has joined."""

    number: int
    address: str
    transport: Transport
    parser: Parser
    connected_at_ms: int
    packets_counted: int
    waiting_bytes: int
    sockets: list[SocketEntry]


class Connections(Answer):
    """A page, perhaps empty: one call looks at 5,000 at most. `next_before` asks for the next."""

    connections: list[ConnectionEntry]
    next_before: int | None


class GetRooms(Command):
    """The rooms of this node that have anyone inside, newest first, as an operator."""

    namespace: Namespace = "/"
    prefix: RoomName | None = None
    before: BeforeNumber | None = None
    limit: PageSize = DEFAULT_PAGE


class RoomEntry(Answer):
    """One room, and how many are inside."""

    number: int
    namespace: str
    room: str
    members: int
    members_awaited: int


class Rooms(Answer):
    """A page, perhaps empty: one call looks at 5,000 at most. `next_before` asks for the next."""

    rooms: list[RoomEntry]
    next_before: int | None


class ServerDraining(Event):
    """This server is closing: reconnect, at some moment within this time."""

    retry_after_ms: int


class RoomInterrupted(Event):
    """This socket may have missed what the room was told on another node: ask for its state."""

    room: str
