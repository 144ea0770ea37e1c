"""How the documents are given out."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from server.documents.budgets import Rates
from server.documents.pages import Documents

PATHS = {
    "/docs": "text/html",
    "/verify": "text/html",
    "/openapi.json": "application/json",
    "/asyncapi.json": "application/json",
}


async def test_documents_are_served_with_a_tag_and_confirmed_by_it(rates: Rates) -> None:
    app = web.Application()
    Documents(rates).add_to(app)
    async with TestClient(TestServer(app)) as client:
        for path, content_type in PATHS.items():
            first = await client.get(path)
            assert (first.status, first.content_type) == (200, content_type)
            assert first.headers["Cache-Control"] == "public, no-cache"
            assert await first.read()
            tag = first.headers["ETag"]
            again = await client.get(path, headers={"If-None-Match": tag})
            assert (again.status, await again.read()) == (304, b"")
            assert again.headers["ETag"] == tag
            other = await client.get(path, headers={"If-None-Match": '"another"'})
            assert other.status == 200
            head = await client.head(path)
            assert (head.status, head.headers["ETag"]) == (200, tag)


async def test_the_same_node_always_has_the_same_tags(rates: Rates) -> None:
    tags = []
    for _ in range(2):
        app = web.Application()
        Documents(rates).add_to(app)
        async with TestClient(TestServer(app)) as client:
            tags.append([(await client.get(path)).headers["ETag"] for path in PATHS])
    assert tags[0] == tags[1]
