"""Which compression an `Accept-Encoding` header allows (RFC 9110, section 12.5.3)."""

import pytest
from aiohttp.web import ContentCoding

from server.http.compression import accepted_coding


@pytest.mark.parametrize(
    ("headers", "coding"),
    [
        ([], None),
        ([""], None),
        (["identity"], None),
        (["br, zstd"], None),
        (["gzip"], "gzip"),
        (["deflate"], "deflate"),
        (["deflate, gzip"], "gzip"),
        (["GZIP;Q=0.5"], "gzip"),
        (["gzip;q=0.2, deflate;q=0.8"], "deflate"),
        (["gzip;q=0"], None),
        (["gzip;q=0, deflate"], "deflate"),
        (["*"], "gzip"),
        (["*;q=0"], None),
        (["gzip;q=0, *"], "deflate"),
        (["gzip;q=0, deflate;q=0.0, *;q=1"], None),
        (["br", "gzip"], "gzip"),
        (["gzip;q=much"], None),
        (["gzip;level=9"], None),
        (["gzip;q=nan"], None),
        (["notgzip, x-gzip-like"], None),
        ([",;,=;"], None),
    ],
)
def test_accepted_coding(headers: list[str], coding: str | None) -> None:
    assert accepted_coding(headers) is (None if coding is None else ContentCoding(coding))
