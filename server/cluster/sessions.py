"""Sessions across nodes: one that ends anywhere ends everywhere at once."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from actors.runtime.exchange import Exchange

_TOPIC = "session"

_decode = msgspec.msgpack.Decoder(UUID).decode


class FarSessions:
    """Tells all members of a session that was revoked here, and hears of theirs.

    `end` makes the session's tokens useless here and ends its sockets. What is lost on its way is
    found by every node's own look at its sessions.
    """

    def __init__(self, exchange: Exchange, end: Callable[[UUID], None]) -> None:
        self._exchange = exchange
        self._end = end
        exchange.listen(_TOPIC, self._heard)

    def revoked(self, session_id: UUID) -> None:
        """A session was revoked here."""
        self._exchange.say_all(_TOPIC, session_id)

    def _heard(self, _sender: str, body: msgspec.Raw) -> None:
        self._end(_decode(body))
