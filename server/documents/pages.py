"""The documents as the web server gives them out: made once, at the start, and never changed."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from aiohttp import ETag, hdrs, web

from protocol.catalogue import Rate
from server.documents import asyncapi, openapi, reference, verifier
from server.documents.budgets import Rates
from server.documents.site import HtmlPage
from server.http.body import Body

# Browsers keep a copy and ask each time whether it is the newest; mostly the answer is "yes".
_CACHE_CONTROL: Final = "public, no-cache"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Page(NamedTuple):
    """A finished response."""

    body: bytes
    content_type: str
    headers: dict[str, str]


def _json(document: openapi.Document) -> Page:
    # Viewers on other sites may read it: there is nothing in it that is not public.
    headers = {"Access-Control-Allow-Origin": "*"}
    return Page(msgspec.json.encode(document), "application/json", headers)


def _html(page: HtmlPage) -> Page:
    headers = {"Content-Security-Policy": page.policy, "Referrer-Policy": "no-referrer"}
    return Page(page.html.encode(), "text/html", headers)


class Documents:
    """`/docs`, `/verify`, `/openapi.json` and `/asyncapi.json`."""

    def __init__(self, rates: Rates) -> None:
        self._handlers = _handlers(tuple(rates.items()))

    def add_to(self, app: web.Application) -> None:
        """Register all of them, for GET and HEAD."""
        for path, handler in self._handlers.items():
            app.router.add_get(path, handler)


# It takes a tenth of a second, and the nodes of one process have the same budgets.
@lru_cache(maxsize=1)
def _handlers(budgets: tuple[tuple[Rate, tuple[float, int]], ...]) -> dict[str, Handler]:
    """By path, who gives out a document."""
    rates = dict(budgets)
    return {
        "/docs": _handler(_html(reference.build(rates))),
        "/verify": _handler(_html(verifier.build())),
        "/openapi.json": _handler(_json(openapi.build(rates))),
        "/asyncapi.json": _handler(_json(asyncapi.build(rates))),
    }


def _handler(page: Page) -> Handler:
    body = Body(page.body)
    etag = hashlib.sha256(page.body).hexdigest()[:32]
    headers = {**page.headers, "Cache-Control": _CACHE_CONTROL, "X-Content-Type-Options": "nosniff"}
    content_type = {"Content-Type": f"{page.content_type}; charset=utf-8"}

    async def serve(request: web.Request) -> web.StreamResponse:
        known = {given.value: given.is_weak for given in request.if_none_match or ()}
        if known.keys() & {etag, "*"}:
            response = web.Response(status=304, headers=headers)
            response.etag = ETag(etag, is_weak=known.get(etag, False))
            return response
        response = body.response(request, headers | content_type)
        # Compressed it is the same page, but not the same bytes (RFC 9110, section 8.8.3.3).
        response.etag = ETag(etag, is_weak=hdrs.CONTENT_ENCODING in response.headers)
        return response

    return serve
