"""Answers over HTTP, compressed where it helps."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import ETag, hdrs, web
from aiohttp.web import ContentCoding

# A smaller answer fits into one packet of the network anyway.
MIN_COMPRESSED_BYTES: Final = 1_024

# The better one first: what `deflate` means is an old dispute between browsers.
_CODINGS: Final = (ContentCoding.gzip, ContentCoding.deflate)
_ANY: Final = "*"
_NO_TRANSFORM: Final = "no-transform"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


# Length tells something of what was compressed together (the BREACH attack): who makes a victim
# send the same secret again and again beside words of the attacker's choice, and counts bytes on
# the way, guesses the secret. Here nobody can make a browser do that, as no cookie counts: a page
# of another site has no token to send. And no secret is sent beside what other people write (chat,
# say, in the answer to a poll) where it could be guessed so: tokens and session ids go out once, in
# answers of their own that are smaller than the bound above. The `pid` of a socket that comes back
# goes out again, with what it missed: such an answer says `no-transform`, and so must every other
# that repeats a secret beside other people's words. Proxies then leave it uncompressed too (RFC
# 9111, section 5.2.2.6).
@web.middleware
async def compress_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress an answer if it is large enough and the client takes it so.

    Above 4 kB aiohttp does it in a thread, so that no answer holds up the loop; how many wait for
    one is bounded by the number of HTTP connections.
    """
    response = await handler(request)
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    if len(response.body) < MIN_COMPRESSED_BYTES or _NO_TRANSFORM in response.headers.get(
        hdrs.CACHE_CONTROL, ""
    ):
        return response
    response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    if hdrs.CONTENT_ENCODING in response.headers:
        return response
    coding = accepted_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
    if coding is not None:
        response.enable_compression(coding)
        if response.etag is not None:
            # The same page, but not the same bytes (RFC 9110, section 8.8.3.3).
            response.etag = ETag(response.etag.value, is_weak=True)
    return response


def accepted_coding(headers: Iterable[str]) -> ContentCoding | None:
    """The best coding that `Accept-Encoding` headers allow (RFC 9110, section 12.5.3)."""
    weights: dict[str, float] = {}
    for part in ",".join(headers).split(","):
        name, _, parameter = part.partition(";")
        weights[name.strip().lower()] = _weight(parameter)
    everything_else = weights.get(_ANY, 0.0)
    best = max(_CODINGS, key=lambda coding: weights.get(coding.value, everything_else))
    return best if weights.get(best.value, everything_else) > 0 else None


def _weight(parameter: str) -> float:
    """What `q=...` says; 1 where it is not there, 0 where it makes no sense."""
    name, equals, value = parameter.partition("=")
    if not equals:
        return 1.0 if not parameter.strip() else 0.0
    try:
        return float(value) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0
