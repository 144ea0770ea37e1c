"""Accounts and sessions: who is asking."""

from enum import Enum
from typing import Annotated

from msgspec import Meta

from protocol.bounds import (
    MAX_EMAIL_CHARS,
    MAX_PASSWORD_CHARS,
    MAX_TOKEN_CHARS,
    MAX_USERNAME_CHARS,
    MIN_PASSWORD_CHARS,
    MIN_USERNAME_CHARS,
)
from protocol.commands.shape import Answer, Command, Event

Email = Annotated[
    str,
    Meta(
        max_length=MAX_EMAIL_CHARS,
        pattern=r"\A[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+\Z",
    ),
]
Username = Annotated[
    str,
    Meta(
        min_length=MIN_USERNAME_CHARS,
        max_length=MAX_USERNAME_CHARS,
        pattern=r"\A[A-Za-z0-9_]+\Z",
        description="Letters, digits and underscores.",
    ),
]
Password = Annotated[str, Meta(min_length=MIN_PASSWORD_CHARS, max_length=MAX_PASSWORD_CHARS)]
Token = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS)]


class Role(Enum):
    """What an account may do. An operator adjusts wallets; an admin does that and everything."""

    PLAYER = "player"
    OPERATOR = "operator"
    ADMIN = "admin"


class Register(Command):
    """Open an account."""

    email: Email
    username: Username
    password: Password


class Login(Command):
    """Log in by username or e-mail address."""

    login: Annotated[
        str, Meta(min_length=1, max_length=MAX_EMAIL_CHARS, pattern=r"\A[^\x00-\x1f]+\Z")
    ]
    password: Annotated[str, Meta(min_length=1, max_length=MAX_PASSWORD_CHARS)]


class Guest(Command):
    """Play without an account, where that is offered."""


class Refresh(Command):
    """Trade a refresh token for a new pair. Each works once."""

    refresh_token: Token


class Logout(Command):
    """End the session: its refresh token and its open sockets."""


class RefreshSocket(Command):
    """Renew the token of the open socket."""

    token: Token


class User(Answer):
    """An account as its owner sees it."""

    id: int
    username: str
    email: str | None
    role: Role
    guest: bool


class Session(Answer):
    """Tokens, and whom they belong to. `expires_in` is seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    user: User


class Renewed(Answer):
    """The socket's session goes on until then, in seconds."""

    expires_in: int


class LoggedOut(Answer):
    """The session has ended."""


class TokenExpiring(Event):
    """The token of this socket ends soon: renew it with `auth:refresh`."""

    expires_in: int
