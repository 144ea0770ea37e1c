"""Who asks, from where, and how much more they may ask."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from protocol.catalogue import Rate
from protocol.commands.auth import Role
from server.auth.identity import Identity
from server.budget import Budget
from server.reply import Answer
from server.sockets.socket import Socket

Held = tuple[Callable[["Caller", Any, Answer], None], Any, Answer]
"""A handler and what it is to be called with."""


class Caller:
    """One socket or one HTTP request. Without an identity only what is open to anyone works."""

    __slots__ = (
        "active_s",
        "address",
        "budgets",
        "held",
        "identity",
        "role",
        "socket",
        "user_id",
        "warned",
    )

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
        # When the last command came, by the router's clock; before the first one, long ago.
        self.active_s = float("-inf")
        # Commands for actors that came after one which is still being prepared.
        self.held: deque[Held] | None = None
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

    def hold(self) -> None:
        """Keep what comes for actors from here on until `release`."""
        assert self.held is None
        self.held = deque()

    def release(self) -> None:
        """Start what was held, in order, until one of them holds the rest again."""
        held, self.held = self.held or deque(), None
        while held:
            handler, command, answer = held.popleft()
            handler(self, command, answer)
            if self._holds(held):
                return

    def _holds(self, rest: deque[Held]) -> bool:
        """Whether a command that was started is being prepared in its turn; `rest` waits for it."""
        if self.held is None:
            return False
        self.held.extend(rest)
        return True
