"""Who may open a session: limits for each address and in all, and where a request comes from."""

from collections.abc import Mapping

from protocol.errors import DRAINING, Failure
from server.sockets.options import SocketOptions
from server.sockets.places import Places


class Admission:
    """Counts open sessions by address. A refusal is a `Failure` that says when to come back."""

    __slots__ = ("_options", "draining", "sessions")

    def __init__(self, options: SocketOptions) -> None:
        self._options = options
        self.sessions = Places(
            options.max_connections, options.max_connections_per_ip, options.retry_after_ms
        )
        self.draining = False

    def check(self, address: str) -> None:
        """Raise the `Failure` that refuses a session from `address` now, if one does."""
        if self.draining:
            raise Failure(DRAINING, retry_after_ms=self._options.retry_after_ms)
        self.sessions.check(address)

    def address(self, peer: str, headers: Mapping[str, str]) -> str:
        """The client's address: what a trusted proxy says of it, else the peer's own."""
        if peer not in self._options.trusted_proxies:
            return peer
        forwarded = headers.get("X-Forwarded-For", "")
        # The last entry is the one that our own proxy wrote; the others may be made up.
        return forwarded.rsplit(",", 1)[-1].strip() or peer
