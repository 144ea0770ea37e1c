"""Who may open a session: limits for each address and in all, and where a request comes from."""

from collections import Counter
from collections.abc import Mapping

from protocol.errors import DRAINING, OVERLOADED, TOO_MANY_CONNECTIONS, Failure
from server.sockets.options import SocketOptions


class Admission:
    """Counts open sessions by address. A refusal is a `Failure` that says when to come back."""

    __slots__ = ("_by_address", "_options", "_total", "draining")

    def __init__(self, options: SocketOptions) -> None:
        self._options = options
        self._by_address: Counter[str] = Counter()
        self._total = 0
        self.draining = False

    def check(self, address: str) -> None:
        """Raise the `Failure` that refuses a session from `address` now, if one does."""
        options = self._options
        retry_after = {"retry_after_ms": options.retry_after_ms}
        if self.draining:
            raise Failure(DRAINING, **retry_after)
        if self._total >= options.max_connections:
            raise Failure(OVERLOADED, limit=options.max_connections, **retry_after)
        if self._by_address[address] >= options.max_connections_per_ip:
            raise Failure(TOO_MANY_CONNECTIONS, limit=options.max_connections_per_ip, **retry_after)

    def enter(self, address: str) -> None:
        """A session from `address` has begun."""
        self._by_address[address] += 1
        self._total += 1

    def release(self, address: str) -> None:
        """A session from `address` has ended."""
        self._total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def address(self, peer: str, headers: Mapping[str, str]) -> str:
        """The client's address: what a trusted proxy says of it, else the peer's own."""
        if peer not in self._options.trusted_proxies:
            return peer
        forwarded = headers.get("X-Forwarded-For", "")
        # The last entry is the one that our own proxy wrote; the others may be made up.
        return forwarded.rsplit(",", 1)[-1].strip() or peer
