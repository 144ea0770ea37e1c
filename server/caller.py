"""Who asks, from where, and how much more they may ask."""

from collections.abc import Mapping

from protocol.catalogue import Rate
from protocol.commands.auth import Role
from server.auth.identity import Identity
from server.budget import Budget
from server.sockets.socket import Socket


class Caller:
    """One socket or one HTTP request. Without an identity only what is open to anyone works."""

    __slots__ = ("address", "budgets", "identity", "role", "socket", "user_id", "warned")

    def __init__(
        self,
        identity: Identity | None,
        address: str,
        budgets: Mapping[Rate, Budget],
        socket: Socket | None = None,
    ) -> None:
        self.address = address
        self.budgets = budgets
        self.socket = socket
        self.warned = False
        self.identity: Identity | None = None
        self.user_id = 0
        self.role: Role | None = None
        if identity is not None:
            self.become(identity)

    def become(self, identity: Identity) -> None:
        """Take an identity, or a renewed one of the same user."""
        self.identity = identity
        self.user_id = identity.user_id
        self.role = identity.role
        self.warned = False
