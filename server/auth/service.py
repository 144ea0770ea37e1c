"""The account service: opening accounts, logging in and out, and telling whom a token speaks for.

These are ordinary transactions, not actors: unique indexes and row locks decide their races.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec

from protocol.commands.auth import (
    Email,
    Guest,
    LoggedOut,
    Login,
    Logout,
    Password,
    Refresh,
    RefreshSocket,
    Register,
    Role,
    Session,
    User,
    Username,
)
from protocol.errors import (
    ACCOUNT_DISABLED,
    BAD_CREDENTIALS,
    GUESTS_OFF,
    MALFORMED,
    NAME_TAKEN,
    SESSION_REVOKED,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_REUSED,
    Failure,
)
from server.auth.confirmed import ConfirmedTokens
from server.auth.identity import Identity
from server.auth.lookups import SessionLookups
from server.auth.names import GUEST_PREFIX, Named, Names, is_reserved
from server.auth.passwords import Passwords
from server.auth.tokens import ACCESS_LIFETIME_S, Tokens
from storage.accounts import AccountStore, NewUser
from storage.sessions import NewToken, Reason, Refusal, Refused, SessionStore

# A session that is not renewed for this long ends.
REFRESH_LIFETIME_S: Final = 7 * 24 * 3600

# A guest's name is 64 random bits: no two guests ever meet, so nothing is tried again.
_GUEST_NAME_BYTES: Final = 8
_REFRESH_TOKEN_BYTES: Final = 32

_REFUSED: Final = {
    Refusal.UNKNOWN: TOKEN_INVALID,
    Refusal.REVOKED: SESSION_REVOKED,
    Refusal.REUSED: TOKEN_REUSED,
    Refusal.EXPIRED: TOKEN_EXPIRED,
}


class Accounts:
    """Accounts and sessions.

    `on_revoked` is called with a session's id after it was revoked here, to end its open sockets.
    Every coroutine may raise the Failure `storage_unavailable`.

    A session begins in one of two places, and other ways in (a phone's code, OAuth) will end there:
    `_enrol` adds a user with their first session, `_open` begins one of a user who is known.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        passwords: Passwords,
        tokens: Tokens,
        *,
        now_ms: Callable[[], int],
        guests: bool,
        on_revoked: Callable[[UUID], None],
    ) -> None:
        self._accounts = AccountStore(pool)
        self._sessions = SessionStore(pool)
        self._names = Names(self._accounts)
        self._confirmed = ConfirmedTokens()
        self._lookups = SessionLookups(
            lambda session_ids: self._sessions.ended(session_ids, now_ms())
        )
        self._passwords = passwords
        self._tokens = tokens
        self._now_ms = now_ms
        self._guests = guests
        self._on_revoked = on_revoked

    async def register(self, command: Register) -> Session:
        """Open an account and log in.

        Raises:
            Failure: `name_taken`, `email_taken`, `overloaded`.
        """
        if is_reserved(command.username):
            raise Failure(NAME_TAKEN)
        password_hash = await self._passwords.hash(command.password)
        return await self._enrol(
            NewUser(
                username=command.username,
                email=command.email,
                password_hash=password_hash,
                role=Role.PLAYER,
                guest=False,
                created_ms=self._now_ms(),
            )
        )

    async def guest(self, _command: Guest) -> Session:
        """Open an account that nobody can log in to again, only stay in.

        Raises:
            Failure: `guests_off` where they are not offered.
        """
        if not self._guests:
            raise Failure(GUESTS_OFF)
        return await self._enrol(
            NewUser(
                username=f"{GUEST_PREFIX}{secrets.token_hex(_GUEST_NAME_BYTES)}",
                email=None,
                password_hash=None,
                role=Role.PLAYER,
                guest=True,
                created_ms=self._now_ms(),
            )
        )

    async def login(self, command: Login) -> Session:
        """Begin a session.

        Raises:
            Failure: `bad_credentials`, after the same work whether the name or the password is
                wrong; `account_disabled`, said only to who knows the password; `overloaded`.
        """
        found = await self._accounts.find_login(command.login)
        stored = found.password_hash if found else None
        verdict = await self._passwords.check(command.password, stored)
        if found is None or stored is None or not verdict.matches:
            raise Failure(BAD_CREDENTIALS)
        if verdict.new_hash is not None:
            await self._accounts.replace_hash(found.user.id, stored, verdict.new_hash)
        return await self._open(found.user)

    async def renew(self, command: Refresh) -> Session:
        """Trade a refresh token for a new pair.

        Each token works once, and there is no time of grace: a client that lost the answer logs in
        again. A retry and a thief look the same, so RFC 9700 (4.14) has the session end.

        Raises:
            Failure: `token_invalid`, `token_expired`, `session_revoked`, or `token_reused`, which
                has ended the session.
        """
        refresh_token, following = self._new_refresh_token()
        outcome = await self._sessions.rotate(_digest(command.refresh_token), following)
        if isinstance(outcome, Refused):
            if outcome.refusal is Refusal.REUSED and outcome.session_id is not None:
                self._end(outcome.session_id)
            raise Failure(_REFUSED[outcome.refusal])
        return self._answer(outcome.user, outcome.session_id, refresh_token)

    async def logout(self, identity: Identity, _command: Logout) -> LoggedOut:
        """End the caller's session. Ending it twice is the same as once."""
        await self._sessions.revoke(identity.session_id, self._now_ms(), Reason.LOGGED_OUT)
        self._end(identity.session_id)
        return LoggedOut()

    async def session_active(self, session_id: UUID) -> bool:
        """Whether the session is live now."""
        return await self._lookups.active(session_id)

    async def end_revoked(self, session_ids: Sequence[UUID]) -> None:
        """End those sessions that were revoked elsewhere: by the command line, or another node."""
        for session_id in await self._sessions.ended(session_ids, self._now_ms()):
            self._end(session_id)

    async def authenticate(self, token: str | None) -> Identity:
        """Whom a token speaks for, its session looked up now: for sockets, which then stay open.

        Raises:
            Failure: `unauthenticated`, `token_invalid`, `token_expired`, `session_revoked`.
        """
        identity = self._tokens.verify(token)
        if not await self.session_active(identity.session_id):
            raise Failure(SESSION_REVOKED)
        return identity

    async def identify(self, token: str | None) -> Identity:
        """Like `authenticate`, with the session looked up now or a moment ago: for HTTP.

        A log-out on this node counts at once, one elsewhere within `confirmed.CONFIRMED_MS`.
        """
        now_ms = self._now_ms()
        known = self._confirmed.find(token, now_ms) if token else None
        if known is not None:
            return known
        ticket = self._confirmed.ticket()
        identity = await self.authenticate(token)
        if token:
            self._confirmed.add(token, identity, now_ms, ticket)
        return identity

    async def refresh_socket(self, current: Identity, command: RefreshSocket) -> Identity:
        """Whom an open socket speaks for from now on: the same user, with a newer token.

        The session may be another one, if the user logged in again.

        Raises:
            Failure: as `authenticate`; `token_invalid` also if the token is somebody else's.
        """
        identity = await self.authenticate(command.token)
        if identity.user_id != current.user_id:
            raise Failure(TOKEN_INVALID)
        return identity

    async def find_user(self, username: str) -> Named | None:
        """The user of that name, whatever the case; mostly without a query."""
        return await self._names.find(username)

    async def user_of(self, login: str) -> User | None:
        """The account with this username or e-mail address."""
        found = await self._accounts.find_login(login)
        return found.user if found else None

    async def create_user(
        self, email: str | None, username: str, password: str | None, role: Role
    ) -> User:
        """Open an account from the command line. Without a password only a token opens it.

        Raises:
            Failure: `malformed` with the field that is not as `auth:register` has it;
                `name_taken`, `email_taken`.
        """
        _check("username", username, Username)
        if email is not None:
            _check("email", email, Email)
        password_hash = None
        if password is not None:
            _check("password", password, Password)
            password_hash = await self._passwords.hash(password)
        return await self._accounts.add(
            NewUser(
                username=username,
                email=email,
                password_hash=password_hash,
                role=role,
                guest=False,
                created_ms=self._now_ms(),
            )
        )

    async def issue_token(self, user: User, lifetime_s: int = ACCESS_LIFETIME_S) -> str:
        """An access token in a new session of `user`, as `pitboss token` prints it.

        It cannot be refreshed, so it may hold for as long as a session, at most.
        """
        assert 0 < lifetime_s <= REFRESH_LIFETIME_S
        return (await self._open(user, lifetime_s)).access_token

    async def disable_user(self, user: User) -> None:
        """Close an account: its sessions end, and nobody logs in to it again."""
        for session_id in await self._accounts.disable(user.id, self._now_ms()):
            self._end(session_id)

    async def change_role(self, user: User, role: Role) -> None:
        """Change what a user may do. Their sessions end, as tokens say the role that was."""
        for session_id in await self._accounts.change_role(user.id, role, self._now_ms()):
            self._end(session_id)

    async def sweep(self) -> int:
        """Remove what expired, a bounded batch; a job calls again while the answer is not 0."""
        return await self._sessions.sweep(self._now_ms())

    def session_ended(self, session_id: UUID) -> None:
        """Hear that a session was revoked on another node: its tokens stop working here at once."""
        self._confirmed.revoke(session_id)

    async def _enrol(self, new: NewUser) -> Session:
        """Add a user together with their first session."""
        session_id = uuid4()
        refresh_token, first = self._new_refresh_token()
        user = await self._accounts.add(new, (session_id, first))
        return self._answer(user, session_id, refresh_token)

    async def _open(self, user: User, lifetime_s: int = ACCESS_LIFETIME_S) -> Session:
        """Begin a session of a user who has shown who they are."""
        session_id = uuid4()
        refresh_token, first = self._new_refresh_token()
        ended = await self._sessions.open(user.id, session_id, first)
        if ended is None:
            raise Failure(ACCOUNT_DISABLED)
        for older in ended:
            self._end(older)
        return self._answer(user, session_id, refresh_token, lifetime_s)

    def _end(self, session_id: UUID) -> None:
        self.session_ended(session_id)
        self._on_revoked(session_id)

    def _new_refresh_token(self) -> tuple[str, NewToken]:
        token = secrets.token_urlsafe(_REFRESH_TOKEN_BYTES)
        now_ms = self._now_ms()
        return token, NewToken(_digest(token), now_ms, now_ms + REFRESH_LIFETIME_S * 1000)

    def _answer(
        self,
        user: User,
        session_id: UUID,
        refresh_token: str,
        lifetime_s: int = ACCESS_LIFETIME_S,
    ) -> Session:
        return Session(
            access_token=self._tokens.issue(user, session_id, lifetime_s),
            refresh_token=refresh_token,
            expires_in=lifetime_s,
            user=user,
        )


def _digest(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).digest()


def _check(field: str, value: str, kind: Any) -> None:
    """Hold a value of the command line to the catalogue's type."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Failure(MALFORMED, field=field, reason=str(error)) from error
