"""Which pages may talk to a node, and what their browsers are told."""

import pytest

from protocol.errors import Failure
from server.sockets.origins import Origins

FLOOR = Origins(frozenset({"https://floor.example"}))


@pytest.mark.parametrize(
    ("headers", "permitted"),
    [
        ({}, True),
        ({"Origin": "https://floor.example"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://floor.example.evil.example"}, False),
        ({"Origin": "http://floor.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "https://node.example:8080", "Host": "node.example:8080"}, False),
        # As DNS rebinding has it.
        ({"Origin": "http://evil.example:3000", "Host": "evil.example:3000"}, False),
    ],
)
def test_pages_of_the_list_may(headers: dict[str, str], permitted: bool) -> None:
    answer = FLOOR.answer_headers(headers)
    assert (answer.get("Access-Control-Allow-Origin") is not None) is (
        permitted and "Origin" in headers
    )
    assert ("Vary" in answer) is ("Origin" in headers)
    if permitted:
        FLOOR.check(headers)
    else:
        with pytest.raises(Failure, match="forbidden"):
            FLOOR.check(headers)


def test_without_a_list_any_page_may() -> None:
    anyone = Origins(None)
    anyone.check({"Origin": "https://evil.example"})
    assert anyone.preflight_headers({"Origin": "https://a.example"}, "GET, POST") == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": "https://a.example",
        "Access-Control-Expose-Headers": "Retry-After",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": "600",
    }


def test_a_page_that_may_not_is_allowed_nothing() -> None:
    headers = FLOOR.preflight_headers({"Origin": "https://evil.example"}, "GET, POST")
    assert headers == {"Vary": "Origin"}
