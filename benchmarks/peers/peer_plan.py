"""What a peer with wallets in Redis is told, as JSON: its stores, and the rules of the house."""

from typing import Final

import msgspec

from actors.limits import Limits
from protocol.errors import ERRORS
from server.settings import DEFAULT_LIMITS


class PublicError(msgspec.Struct):
    """An error as it stands in an answer, without its details."""

    code: str
    number: int
    message: str
    temporary: bool


_ERRORS: Final = {
    code: PublicError(code, kind.number, kind.message, kind.temporary)
    for code, kind in ERRORS.items()
}


class PeerPlan(msgspec.Struct):
    """`redis` is the path of its socket. `errors` are for who does not know them."""

    redis: str
    database_url: str
    limits: dict[str, Limits] = msgspec.field(default_factory=lambda: dict(DEFAULT_LIMITS))
    errors: dict[str, PublicError] = msgspec.field(default_factory=lambda: _ERRORS)
