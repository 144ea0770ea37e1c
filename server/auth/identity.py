"""Who a verified token speaks for."""

from typing import NamedTuple
from uuid import UUID

from protocol.commands.auth import Role


class Identity(NamedTuple):
    """A caller, as their access token says. It holds until `expires_at_ms`, since 1970."""

    user_id: int
    username: str
    role: Role
    session_id: UUID
    expires_at_ms: int
