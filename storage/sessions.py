"""Sessions: families of refresh tokens, of which each works once."""

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from protocol.commands.auth import Role, User
from storage.borrow import borrow

# Devices of one person. Another log-in ends the oldest session.
MAX_SESSIONS_PER_USER: Final = 20

# Rows that one sweep removes of each table, so that its locks are short. More stay for the next.
SWEEP_ROWS: Final = 1_000


class Reason(Enum):
    """Why a session was revoked."""

    LOGGED_OUT = "logged_out"
    TOKEN_REUSED = "token_reused"  # noqa: S105 - a reason, not a secret
    TOO_MANY = "too_many"
    DISABLED = "disabled"


class NewToken(NamedTuple):
    """A refresh token about to be stored: its SHA-256, and when it begins and ends."""

    token_hash: bytes
    now_ms: int
    expires_ms: int


class Refusal(Enum):
    """Why a refresh token was not traded for the next."""

    UNKNOWN = "unknown"
    REVOKED = "revoked"
    REUSED = "reused"
    EXPIRED = "expired"


class Rotated(NamedTuple):
    """The next token is stored; this is whom the session belongs to, as they are now."""

    session_id: UUID
    user: User


class Refused(NamedTuple):
    """Nothing was issued. A reused token has revoked its session."""

    refusal: Refusal
    session_id: UUID | None = None


def to_user(row: asyncpg.Record) -> User:
    """The account in a row that has the columns `id, username, email, role, guest`."""
    return User(
        id=row["id"],
        username=row["username"],
        email=row["email"],
        role=Role(row["role"]),
        guest=row["guest"],
    )


async def insert(
    connection: PoolConnectionProxy, user_id: int, session_id: UUID, token: NewToken
) -> None:
    """Store a new session with its first token, inside the caller's transaction."""
    await connection.execute(
        "insert into sessions (id, user_id, created_at_ms, expires_at_ms) values ($1, $2, $3, $4)",
        session_id,
        user_id,
        token.now_ms,
        token.expires_ms,
    )
    await _insert_token(connection, session_id, token)


async def revoke_all(
    connection: PoolConnectionProxy, user_id: int, now_ms: int, reason: Reason, *, keep: int = 0
) -> list[UUID]:
    """Revoke a user's live sessions but the newest `keep`, inside the caller's transaction.

    The caller has locked the user's row, so that no session opens meanwhile.
    """
    rows = await connection.fetch(
        """
        update sessions set revoked_at_ms = $2, reason = $3
        where id in (
            select id from sessions
            where user_id = $1 and revoked_at_ms is null and expires_at_ms > $2
            order by created_at_ms desc, id offset $4
        ) and revoked_at_ms is null
        returning id
        """,
        user_id,
        now_ms,
        reason.value,
        keep,
    )
    return [row["id"] for row in rows]


async def _insert_token(connection: PoolConnectionProxy, session_id: UUID, token: NewToken) -> None:
    await connection.execute(
        """
        insert into refresh_tokens (token_hash, session_id, issued_at_ms, expires_at_ms)
        values ($1, $2, $3, $4)
        """,
        token.token_hash,
        session_id,
        token.now_ms,
        token.expires_ms,
    )


async def _revoke(
    connection: PoolConnectionProxy, session_id: UUID, now_ms: int, reason: Reason
) -> None:
    await connection.execute(
        """
        update sessions set revoked_at_ms = $2, reason = $3
        where id = $1 and revoked_at_ms is null
        """,
        session_id,
        now_ms,
        reason.value,
    )


class SessionStore:
    """Sessions in PostgreSQL. Every method may raise the Failure `storage_unavailable`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def open(self, user_id: int, session_id: UUID, token: NewToken) -> list[UUID] | None:
        """Open a session; answers the older ones that had to end for it.

        None: there is no such user, or it is disabled, and nothing was opened.
        """
        async with borrow(self._pool) as connection, connection.transaction():
            found = await connection.fetchval(
                "select id from users where id = $1 and disabled_at_ms is null for no key update",
                user_id,
            )
            if found is None:
                return None
            ended = await revoke_all(
                connection, user_id, token.now_ms, Reason.TOO_MANY, keep=MAX_SESSIONS_PER_USER - 1
            )
            await insert(connection, user_id, session_id, token)
            return ended

    async def rotate(self, token_hash: bytes, following: NewToken) -> Rotated | Refused:
        """Use a refresh token and store the `following` one, in one transaction.

        The token's row and its session's are locked, so of two parallel uses the later one finds it
        used. That is a reuse: somebody else may hold the token, and the session is revoked.
        """
        async with borrow(self._pool) as connection, connection.transaction():
            row = await connection.fetchrow(
                """
                select t.used_at_ms, t.expires_at_ms, s.id as session_id, s.revoked_at_ms,
                       u.disabled_at_ms, u.id, u.username, u.email, u.role, u.guest
                from refresh_tokens t
                join sessions s on s.id = t.session_id
                join users u on u.id = s.user_id
                where t.token_hash = $1
                for no key update of t, s
                """,
                token_hash,
            )
            if row is None:
                return Refused(Refusal.UNKNOWN)
            refusal = _refusal(row, following.now_ms)
            session_id: UUID = row["session_id"]
            if refusal is Refusal.REUSED:
                await _revoke(connection, session_id, following.now_ms, Reason.TOKEN_REUSED)
            if refusal is not None:
                return Refused(refusal, session_id)
            await _advance(connection, session_id, token_hash, following)
            return Rotated(session_id, to_user(row))

    async def revoke(self, session_id: UUID, now_ms: int, reason: Reason) -> None:
        """End a session. One that has ended already keeps its first reason."""
        async with borrow(self._pool) as connection:
            await _revoke(connection, session_id, now_ms, reason)

    async def ended(self, session_ids: Sequence[UUID], now_ms: int) -> list[UUID]:
        """Those of `session_ids` that are revoked or expired, or whose users are disabled."""
        async with borrow(self._pool) as connection:
            rows = await connection.fetch(
                """
                select asked.id from unnest($1::uuid[]) as asked (id)
                where not exists (
                    select from sessions s join users u on u.id = s.user_id
                    where s.id = asked.id and s.revoked_at_ms is null and s.expires_at_ms > $2
                      and u.disabled_at_ms is null
                )
                """,
                session_ids,
                now_ms,
            )
        return [row["id"] for row in rows]

    async def sweep(self, now_ms: int) -> int:
        """Remove expired tokens, then expired sessions without tokens; answers how many rows.

        At most `SWEEP_ROWS` of each: call again while the answer is not 0. Rows that somebody has
        locked are left for the next time.
        """
        async with borrow(self._pool) as connection:
            tokens = await connection.fetch(
                """
                delete from refresh_tokens where token_hash in (
                    select token_hash from refresh_tokens where expires_at_ms <= $1
                    order by expires_at_ms limit $2 for update skip locked
                )
                returning 1
                """,
                now_ms,
                SWEEP_ROWS,
            )
            sessions = await connection.fetch(
                """
                delete from sessions where id in (
                    select id from sessions s where expires_at_ms <= $1 and not exists (
                        select from refresh_tokens t where t.session_id = s.id
                    )
                    order by expires_at_ms limit $2 for update skip locked
                )
                returning 1
                """,
                now_ms,
                SWEEP_ROWS,
            )
        return len(tokens) + len(sessions)


def _refusal(row: asyncpg.Record, now_ms: int) -> Refusal | None:
    """Why the token in `row` may not be used. A reuse counts even after the token has expired."""
    if row["revoked_at_ms"] is not None or row["disabled_at_ms"] is not None:
        return Refusal.REVOKED
    if row["used_at_ms"] is not None:
        return Refusal.REUSED
    if row["expires_at_ms"] <= now_ms:
        return Refusal.EXPIRED
    return None


async def _advance(
    connection: PoolConnectionProxy, session_id: UUID, used_hash: bytes, following: NewToken
) -> None:
    """Mark one token used, store the next, and let the session live as long as that."""
    await connection.execute(
        "update refresh_tokens set used_at_ms = $2 where token_hash = $1",
        used_hash,
        following.now_ms,
    )
    await _insert_token(connection, session_id, following)
    await connection.execute(
        "update sessions set expires_at_ms = $2 where id = $1",
        session_id,
        following.expires_ms,
    )
