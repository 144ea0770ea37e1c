"""Why a connection ends: a numbered family, so that clients, logs and metrics agree on it.

A reason's close code is what a WebSocket client reads in its close event. Codes below 4000 have
their meaning from RFC 6455, section 7.4.1; those from 4000 are ours.
"""

from typing import Final

import msgspec


class DisconnectReason(msgspec.Struct, frozen=True):
    """One reason. `name` is what applications and metrics see, `message` what a person reads.

    An `orderly` end is no fault of the peer's: it still gets what was queued for it.
    """

    name: str
    close_code: int
    message: str
    orderly: bool


REASONS: Final[dict[str, DisconnectReason]] = {}


def _reason(close_code: int, name: str, message: str, *, orderly: bool = False) -> DisconnectReason:
    reason = DisconnectReason(name, close_code, message, orderly)
    assert name not in REASONS, f"reason {name} is declared twice"
    REASONS[name] = reason
    return reason


# The ordinary ends.
CLIENT_CLOSED: Final = _reason(
    1000, "client_closed", "The client closed the connection.", orderly=True
)
CLIENT_LEFT: Final = _reason(1000, "client_left", "The client left the namespace.")
TRANSPORT_CLOSED: Final = _reason(1006, "transport_closed", "The network connection ended.")
SERVER_CLOSED: Final = _reason(
    1000, "server_closed", "The server closed the connection.", orderly=True
)
DRAINING: Final = _reason(1012, "draining", "The server is closing. Connect again.", orderly=True)
INTERNAL: Final = _reason(1011, "internal", "Something went wrong on our side.")

# The connection did not keep up, or nobody was there.
PING_TIMEOUT: Final = _reason(4001, "ping_timeout", "No pong came in time.")
FLOODING: Final = _reason(4006, "flooding", "Far too many packets in a second.")
SLOW_CONSUMER: Final = _reason(4002, "slow_consumer", "Packets are not read fast enough.")
CONNECT_TIMEOUT: Final = _reason(4003, "connect_timeout", "No namespace was joined in time.")
UPGRADE_TIMEOUT: Final = _reason(4004, "upgrade_timeout", "The upgrade was not completed in time.")
CONNECT_BACKLOG: Final = _reason(4005, "connect_backlog", "Too much was sent while connecting.")
ADDRESS_FLOODING: Final = _reason(
    4007, "address_flooding", "Far too many packets in a second from this address."
)

TAKEN_OVER: Final = _reason(
    4009, "taken_over", "The client goes on over another connection.", orderly=True
)

MOVED: Final = _reason(1012, "moved", "Another server carries the session on.")

# The account's session that the socket belongs to.
SESSION_ENDED: Final = _reason(
    4300, "session_ended", "The session has ended. Log in again.", orderly=True
)
TOKEN_EXPIRED: Final = _reason(
    4301, "token_expired", "The token has expired. Refresh it.", orderly=True
)

# What the client sent breaks a protocol: WebSocket, then Engine.IO, then Socket.IO.
INVALID_TEXT: Final = _reason(1007, "invalid_text", "The text is not UTF-8.")
TOO_LARGE: Final = _reason(1009, "too_large", "The message is larger than is accepted.")
BAD_FRAME: Final = _reason(1002, "bad_frame", "The frame breaks the WebSocket protocol.")
EMPTY_PACKET: Final = _reason(4100, "empty_packet", "A packet without a type.")
UNKNOWN_PACKET: Final = _reason(4101, "unknown_packet", "There is no such packet type.")
BAD_BASE64: Final = _reason(4102, "bad_base64", "A binary packet that is not base64.")
TOO_MANY_PACKETS: Final = _reason(4103, "too_many_packets", "Too many packets in one payload.")
WRONG_DIRECTION: Final = _reason(4104, "wrong_direction", "Only a server sends this packet.")
UPGRADE_UNEXPECTED: Final = _reason(4105, "upgrade_unexpected", "No upgrade is under way.")
UPGRADE_REFUSED: Final = _reason(4106, "upgrade_refused", "This session takes no upgrade now.")
BAD_PROBE: Final = _reason(4107, "bad_probe", "An upgrade starts with a probe.")
CONCURRENT_POLL: Final = _reason(4108, "concurrent_poll", "Two polls at a time.")
CONCURRENT_POST: Final = _reason(4109, "concurrent_post", "Two posts at a time.")
SESSION_UPGRADED: Final = _reason(4110, "session_upgraded", "This session left long-polling.")
SESSION_CLOSED: Final = _reason(4111, "session_closed", "This session has ended.")
MALFORMED_PACKET: Final = _reason(4200, "malformed_packet", "Not a Socket.IO packet.")
TOO_DEEP: Final = _reason(4201, "too_deep", "The payload is nested too deeply.")
TOO_MANY_ATTACHMENTS: Final = _reason(4202, "too_many_attachments", "Too many attachments.")
BAD_PLACEHOLDER: Final = _reason(4203, "bad_placeholder", "A placeholder without an attachment.")
ATTACHMENT_UNEXPECTED: Final = _reason(4204, "attachment_unexpected", "No attachment is awaited.")
ATTACHMENT_MISSING: Final = _reason(4205, "attachment_missing", "An attachment was awaited.")
NOT_CONNECTED: Final = _reason(4206, "not_connected", "This namespace was not joined.")
TOO_MANY_CONTAINERS: Final = _reason(
    4207, "too_many_containers", "Too many lists and objects in one packet."
)


def of_close_code(code: int | None) -> DisconnectReason:
    """Why a WebSocket library closed, by the code it sent: it judges frames before we see them."""
    return _OF_CLOSE_CODE.get(code, TRANSPORT_CLOSED)


def sent_code(reason: DisconnectReason) -> int:
    """The code that a close frame carries: 1006 is for a client to find that none came."""
    return _GOING_AWAY if reason is TRANSPORT_CLOSED else reason.close_code


_GOING_AWAY: Final = 1001
_OF_CLOSE_CODE: Final[dict[int | None, DisconnectReason]] = {
    reason.close_code: reason for reason in (BAD_FRAME, INVALID_TEXT, TOO_LARGE, INTERNAL)
}


class ProtocolViolation(Exception):  # noqa: N818 - a peer's fault that ends its connection, not ours
    """What a peer sent breaks a protocol. Its connection ends for `reason`; nobody else notices."""

    __slots__ = ("reason",)

    def __init__(self, reason: DisconnectReason) -> None:
        super().__init__(reason.name)
        self.reason = reason
