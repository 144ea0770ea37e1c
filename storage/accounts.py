"""Accounts: users, found by name or address, and unique by both."""

from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from protocol.commands.auth import Role, User
from protocol.errors import EMAIL_TAKEN, NAME_TAKEN, Failure
from storage import sessions
from storage.borrow import borrow
from storage.sessions import NewToken, Reason

# Which rejection each unique index stands for.
_TAKEN: Final = {"users_username_key": NAME_TAKEN, "users_email_key": EMAIL_TAKEN}


class NewUser(NamedTuple):
    """An account about to be stored. No hash: no password opens it."""

    username: str
    email: str | None
    password_hash: str | None
    role: Role
    guest: bool
    created_ms: int


class Credentials(NamedTuple):
    """An account, and what its log-in is checked against."""

    user: User
    password_hash: str | None
    disabled: bool


class AccountStore:
    """Accounts in PostgreSQL. Every method may raise the Failure `storage_unavailable`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, new: NewUser, session: tuple[UUID, NewToken] | None = None) -> User:
        """Store an account and, in the same transaction, its first session if there is one.

        Raises:
            Failure: `name_taken` or `email_taken`, also when another registration was faster.
        """
        try:
            async with borrow(self._pool) as connection, connection.transaction():
                user_id = await connection.fetchval(
                    """
                    insert into users (username, email, password_hash, role, guest, created_at_ms)
                    values ($1, $2, $3, $4, $5, $6) returning id
                    """,
                    new.username,
                    new.email,
                    new.password_hash,
                    new.role.value,
                    new.guest,
                    new.created_ms,
                )
                if session is not None:
                    await sessions.insert(connection, user_id, *session)
        except asyncpg.UniqueViolationError as error:
            kind = _TAKEN.get(error.constraint_name or "")
            if kind is None:
                raise
            raise Failure(kind) from error
        return User(
            id=user_id, username=new.username, email=new.email, role=new.role, guest=new.guest
        )

    async def find_login(self, login: str) -> Credentials | None:
        """The account with this username or e-mail address; only addresses have an @."""
        column = "email" if "@" in login else "username"
        async with borrow(self._pool) as connection:
            row = await connection.fetchrow(
                f"""
                select id, username, email, role, guest, password_hash, disabled_at_ms
                from users where lower({column}) = lower($1)
                """,  # noqa: S608 - one of the two literals above
                login,
            )
        if row is None:
            return None
        return Credentials(
            sessions.to_user(row), row["password_hash"], row["disabled_at_ms"] is not None
        )

    async def replace_hash(self, user_id: int, old_hash: str, new_hash: str) -> None:
        """Store the same password hashed anew, unless it was changed in the meantime."""
        async with borrow(self._pool) as connection:
            await connection.execute(
                "update users set password_hash = $3 where id = $1 and password_hash = $2",
                user_id,
                old_hash,
                new_hash,
            )

    async def disable(self, user_id: int, now_ms: int) -> list[UUID]:
        """Close an account and revoke its sessions; answers those that were live."""
        async with borrow(self._pool) as connection, connection.transaction():
            await connection.execute(
                "update users set disabled_at_ms = coalesce(disabled_at_ms, $2) where id = $1",
                user_id,
                now_ms,
            )
            return await sessions.revoke_all(connection, user_id, now_ms, Reason.DISABLED)

    async def change_role(self, user_id: int, role: Role, now_ms: int) -> list[UUID]:
        """Change what a user may do and log them out everywhere; answers the sessions ended."""
        async with borrow(self._pool) as connection, connection.transaction():
            await connection.execute(
                "update users set role = $2 where id = $1", user_id, role.value
            )
            return await sessions.revoke_all(connection, user_id, now_ms, Reason.LOGGED_OUT)
