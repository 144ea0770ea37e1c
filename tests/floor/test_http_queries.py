"""Numbers in the path and the query of a request: the same text that JSON takes, and no other."""

from urllib.parse import urlencode

import pytest

from tests.floor.house import House

LOOSE = ["1.0", "1e0", "10e-1", "01", "+1", "-0", "1_0", "٣", "0x1", "true", "1.5", "NaN"]


@pytest.mark.parametrize("text", LOOSE)
async def test_what_json_takes_for_no_integer_is_none_in_a_query_or_a_path(
    house: House, text: str
) -> None:
    ann = await house.guest()
    for path in (
        f"/wallet/history?{urlencode({'limit': text})}",
        f"/wallet/history?{urlencode({'before': text})}",
        f"/crash/tables/{text}",
    ):
        status, answer = await ann.http("GET", path)
        assert (status, answer["error"]["code"]) == (400, "malformed"), path


async def test_integers_are_taken(house: House) -> None:
    ann = await house.guest()
    for path in ("/wallet/history", "/wallet/history?limit=1", "/wallet/history?limit=5&before=10"):
        assert (await ann.http("GET", path))[0] == 200, path
    _status, answer = await ann.http("GET", "/crash/tables/1")
    assert answer["error"]["code"] == "unknown_table"
