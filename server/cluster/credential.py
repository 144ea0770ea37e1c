"""By what the members of a cluster know each other: the JWT secret, which all of them have."""

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

_SCHEME: Final = "Pitboss"
# How far the clocks of two members may be apart, and for how long a request on its way is good.
MOST_APART_S: Final = 30.0


def bus_key(secret: str, cluster: str) -> bytes:
    """The key by which members of a cluster seal what they say over Redis."""
    return hmac.digest(secret.encode(), b"pitboss bus " + cluster.encode(), "sha256")


class LateError(Exception):
    """A member's request is older than it may be, or the clocks of two members differ."""


class Credential:
    """What members show each other with a request: that this very one was made by one of them.

    It covers the session, what is asked, for which client's address, the body, and the time, so
    that one that was overheard is good for its own request alone, and not for long. `clock_s` is
    the time of day, in seconds.
    """

    def __init__(self, secret: str, clock_s: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(secret.encode(), b"pitboss peer", "sha256")
        self._clock_s = clock_s

    def shown(self, sid: str, what: str, client: str, body: bytes) -> str:
        """The header `Authorization` of a request."""
        at_ms, digest = str(round(self._clock_s() * 1_000)), digest_of(body)
        return f"{_SCHEME} {at_ms} {digest} {self._sign(sid, what, client, at_ms, digest)}"

    def check(self, shown: str, sid: str, what: str, client: str) -> str | None:
        """The digest that the request's body must have; None if no member made this request.

        Raises:
            LateError: One did, but not lately.
        """
        match shown.split(" "):
            case [scheme, at_ms, digest, signed] if scheme == _SCHEME:
                made = self._sign(sid, what, client, at_ms, digest)
            case _:
                return None
        if not hmac.compare_digest(made.encode(), signed.encode(errors="surrogatepass")):
            return None
        # A member has written it, so it is a number.
        if abs(self._clock_s() - int(at_ms) / 1_000) > MOST_APART_S:
            raise LateError
        return digest

    def _sign(self, *parts: str) -> str:
        words = [part.encode(errors="surrogatepass") for part in parts]
        return hmac.new(self._key, msgspec.json.encode(words), sha256).hexdigest()


def digest_of(body: bytes) -> str:
    """What a credential says of a body."""
    return sha256(body).hexdigest()
