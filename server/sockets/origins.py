"""Which web pages may talk to this node: the origin check, and what browsers ask about it (CORS).

Programs have no origin and are never judged by it. No cookie counts here: a page can only use a
token that its visitor gave it, so that by default any page may.
"""

from collections.abc import Mapping
from typing import Final

from protocol.errors import FORBIDDEN, Failure

_ORIGIN: Final = "Origin"
# Browsers themselves bound it: two hours at most in Chromium.
_PREFLIGHT_SECONDS: Final = "600"


class Origins:
    """Judges the `Origin` of requests. `allowed` None is any."""

    __slots__ = ("_allowed",)

    def __init__(self, allowed: frozenset[str] | None) -> None:
        self._allowed = allowed

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise Failure `forbidden` if the request comes from a page that may not make it."""
        if not self._permits(headers):
            raise Failure(FORBIDDEN, reason="this origin is not allowed")

    def answer_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What lets the page that asked read the answer, and keeps caches from mixing pages up."""
        if _ORIGIN not in headers:
            return {}
        varied = {"Vary": _ORIGIN}
        if not self._permits(headers):
            return varied
        return varied | {
            "Access-Control-Allow-Origin": headers[_ORIGIN],
            "Access-Control-Expose-Headers": "Retry-After",
        }

    def preflight_headers(self, headers: Mapping[str, str], methods: str) -> dict[str, str]:
        """The answer to a browser that asks before it sends a request of `methods`."""
        answer = self.answer_headers(headers)
        if "Access-Control-Allow-Origin" in answer:
            answer["Access-Control-Allow-Methods"] = methods
            answer["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            answer["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
        return answer

    def _permits(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get(_ORIGIN)
        # An origin that agrees with `Host` proves nothing: who may name the node as they like (DNS
        # rebinding) chooses both.
        return origin is None or self._allowed is None or origin in self._allowed
