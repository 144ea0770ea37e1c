"""Access tokens: short-lived JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 alone."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from jwt import InvalidSignatureError, PyJWS, PyJWTError

from protocol.bounds import MAX_TOKEN_CHARS
from protocol.commands.auth import Role, User
from protocol.errors import TOKEN_EXPIRED, TOKEN_INVALID, UNAUTHENTICATED, Failure
from server.auth.identity import Identity

ACCESS_LIFETIME_S: Final = 15 * 60

_ALGORITHM: Final = "HS256"
# RFC 7518, 3.2: the key must be at least as long as the hash.
_MIN_SECRET_BYTES: Final = 32
# Each secret costs an invalid token one more HMAC. A rotation needs the new one and the old one,
# a rotation that overtakes another a third.
_MAX_SECRETS: Final = 3
# Nodes issue tokens for each other, and their clocks are not quite the same.
_CLOCK_SKEW_MS: Final = 30_000


class _Claims(msgspec.Struct, omit_defaults=True):
    """What a token says. Times are seconds since 1970, as RFC 7519 has them."""

    iss: Literal["pitboss"]
    aud: Literal["pitboss"]
    sub: Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,15}\Z")]
    sid: UUID
    username: str
    role: Role
    iat: int
    exp: int
    nbf: int = 0


class Tokens:
    """Issues and verifies access tokens.

    The first secret signs, all of them verify. To change the secret, put the new one in front and
    drop the old one when the last token signed with it has expired.
    """

    def __init__(self, secrets: Sequence[str], *, now_ms: Callable[[], int]) -> None:
        if not 1 <= len(secrets) <= _MAX_SECRETS:
            raise ValueError(f"from 1 to {_MAX_SECRETS} token secrets are needed")
        self._keys = [secret.encode() for secret in secrets]
        if min(map(len, self._keys)) < _MIN_SECRET_BYTES:
            raise ValueError(f"a token secret needs at least {_MIN_SECRET_BYTES} bytes")
        self._now_ms = now_ms
        self._jws = PyJWS()
        self._claims = msgspec.json.Decoder(_Claims)

    def issue(self, user: User, session_id: UUID, lifetime_s: int = ACCESS_LIFETIME_S) -> str:
        """A token for `user` in this session that holds for `lifetime_s` seconds from now."""
        now_s = self._now_ms() // 1000
        claims = _Claims(
            iss="pitboss",
            aud="pitboss",
            sub=str(user.id),
            sid=session_id,
            username=user.username,
            role=user.role,
            iat=now_s,
            exp=now_s + lifetime_s,
        )
        return self._jws.encode(msgspec.json.encode(claims), self._keys[0], _ALGORITHM)

    def verify(self, token: str | None) -> Identity:
        """Whom the token speaks for. Whether its session has been revoked is not known here.

        Raises:
            Failure: `unauthenticated` without a token; `token_invalid` if it is not one of ours or
                begins in the future; `token_expired` from the second of its expiry on.
        """
        if not token:
            raise Failure(UNAUTHENTICATED)
        # The bound keeps the work on what a stranger sends small.
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise Failure(TOKEN_INVALID)
        try:
            claims = self._claims.decode(self._verified_payload(token))
        except (PyJWTError, msgspec.DecodeError) as error:
            raise Failure(TOKEN_INVALID) from error
        now_ms = self._now_ms()
        if max(claims.iat, claims.nbf) * 1000 > now_ms + _CLOCK_SKEW_MS:
            raise Failure(TOKEN_INVALID)
        if claims.exp * 1000 <= now_ms:
            raise Failure(TOKEN_EXPIRED)
        return Identity(
            int(claims.sub), claims.username, claims.role, claims.sid, claims.exp * 1000
        )

    def _verified_payload(self, token: str) -> bytes:
        for key in self._keys[:-1]:
            try:
                return self._payload(token, key)
            except InvalidSignatureError:
                continue
        return self._payload(token, self._keys[-1])

    def _payload(self, token: str, key: bytes) -> bytes:
        payload: bytes = self._jws.decode(token, key, algorithms=[_ALGORITHM])
        return payload
