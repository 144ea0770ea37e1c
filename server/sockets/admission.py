"""Who may open a session: limits for each address, in all, and in a second."""

import asyncio
from typing import Final

from protocol.errors import DRAINING, RATE_LIMITED, Failure
from server.budget import Budgets
from server.sockets.addresses import Addresses
from server.sockets.options import SocketOptions
from server.sockets.origins import Origins
from server.sockets.places import Places
from server.sockets.turnstile import Turnstile

# What an address is charged, in packets. A request over HTTP costs the node several times what a
# packet does, but a poller has two for each.
PACKETS_PER_REQUEST: Final = 2
# A new session costs half a millisecond, as some twenty packets. At the default bounds an address
# can still open all its sessions at once, but not fill the line that everybody waits in.
PACKETS_PER_HANDSHAKE: Final = 20
# The bound is one on a second.
_RETRY_AFTER_MS: Final = 1_000


class Admission:
    """Counts open sessions by address. A refusal is a `Failure` that says when to come back."""

    __slots__ = (
        "_clock_s",
        "_options",
        "_packets",
        "addresses",
        "draining",
        "origins",
        "sessions",
        "turnstile",
    )

    def __init__(self, options: SocketOptions) -> None:
        self._options = options
        self.addresses = Addresses(options.trusted_proxies)
        self.origins = Origins(options.allowed_origins)
        self.sessions = Places(
            options.max_connections, options.max_connections_per_ip, options.retry_after_ms
        )
        per_second = options.max_packets_per_second_per_ip
        self._clock_s = asyncio.get_running_loop().time
        self._packets = Budgets(per_second, per_second, self._clock_s)
        self.turnstile = Turnstile(options.handshakes_per_second)
        self.draining = False

    def check(self, address: str) -> None:
        """Raise the `Failure` that refuses a session from `address` now, if one does."""
        if self.draining:
            raise Failure(DRAINING, retry_after_ms=self._options.retry_after_ms)
        self.sessions.check(address)

    async def turn(self, address: str) -> None:
        """Wait for the turn of a session from `address`. Raises the `Failure` that refuses it."""
        self.charge(address, PACKETS_PER_HANDSHAKE)
        await self.turnstile.turn()
        # Others came in meanwhile.
        self.check(address)

    def charge(self, address: str, packets: int) -> None:
        """Raise Failure `rate_limited` if an address may not ask for what costs so many packets."""
        # Where the bound is lower than one costs, one takes all of it.
        cost = min(packets, self._options.max_packets_per_second_per_ip)
        try:
            self._packets.of(address).take(cost, self._clock_s())
        except Failure:
            # The details would speak of packets.
            raise Failure(RATE_LIMITED, retry_after_ms=_RETRY_AFTER_MS) from None

    def takes(self, address: str, packets: int, now_s: float) -> bool:
        """Whether all connections of `address` together may have sent so many packets more."""
        try:
            self._packets.of(address).take(packets, now_s)
        except Failure:
            return False
        return True
