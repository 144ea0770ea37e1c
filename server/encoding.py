"""How the body of a request over HTTP may be encoded: not at all."""

from aiohttp import hdrs, web

from protocol.errors import UNSUPPORTED_ENCODING, Failure


def refuse_compressed(request: web.Request) -> None:
    """Raise `Failure` unsupported_encoding for a request whose body is compressed.

    No client of ours compresses what it sends, and a small body that unpacks into a thousand times
    its size would be a cheap way to keep this process busy. The server is told not to unpack, so
    that the rest of a refused body costs no more than its bytes.
    """
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if encoding.strip().lower() != "identity":
        raise Failure(UNSUPPORTED_ENCODING)
