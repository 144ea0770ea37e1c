"""Who may open a session: limits for each address, in all, and in a second."""

import asyncio

from protocol.errors import DRAINING, Failure
from server.budget import Budgets
from server.sockets.addresses import Addresses
from server.sockets.options import SocketOptions
from server.sockets.origins import Origins
from server.sockets.places import Places
from server.sockets.turnstile import Turnstile


class Admission:
    """Counts open sessions by address. A refusal is a `Failure` that says when to come back."""

    __slots__ = (
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
        self._packets = Budgets(per_second, per_second, asyncio.get_running_loop().time)
        self.turnstile = Turnstile(options.handshakes_per_second)
        self.draining = False

    def check(self, address: str) -> None:
        """Raise the `Failure` that refuses a session from `address` now, if one does."""
        if self.draining:
            raise Failure(DRAINING, retry_after_ms=self._options.retry_after_ms)
        self.sessions.check(address)

    async def turn(self, address: str) -> None:
        """Wait for the turn of a session from `address`. Raises the `Failure` that refuses it."""
        await self.turnstile.turn()
        # Others came in meanwhile.
        self.check(address)

    def takes(self, address: str, packets: int, now_s: float) -> bool:
        """Whether all connections of `address` together may have sent so many packets more."""
        try:
            self._packets.of(address).take(packets, now_s)
        except Failure:
            return False
        return True
