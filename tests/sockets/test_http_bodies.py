"""Compression of what long-polling carries: large answers may be, requests never are."""

import gzip
import json
import random
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from protocol import engineio
from server.http.compression import MIN_COMPRESSED_BYTES
from tests.sockets.application import Served
from tests.sockets.raw import raw
from tests.sockets.test_polling import Poller

UNPACK: dict[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    None: bytes,
}


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that shows bodies as they came."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        yield session


@pytest_asyncio.fixture
async def poller(served: Served, http: aiohttp.ClientSession) -> Poller:
    joined = Poller(http, served.url)
    await joined.join()
    return joined


async def polled(poller: Poller, accepted: str) -> tuple[str | None, bytes]:
    """The coding and the bytes of the next answer."""
    headers = {"Accept-Encoding": accepted}
    async with poller.http.get(poller.url, headers=headers) as response:
        assert response.status == 200
        body = await response.read()
        assert response.headers["Content-Length"] == str(len(body))
        assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"
        large = len(UNPACK[response.headers.get("Content-Encoding")](body)) >= MIN_COMPRESSED_BYTES
        assert ("Accept-Encoding" in response.headers.getall("Vary", [])) is large
        return response.headers.get("Content-Encoding"), body


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br", "gzip"), ("deflate", "deflate"), ("gzip;q=0", None), ("identity", None)],
)
@pytest.mark.parametrize("length", [2_000, 100_000])
async def test_a_large_answer_is_compressed_as_the_client_takes_it(
    served: Served, poller: Poller, accepted: str, coding: str | None, length: int
) -> None:
    text = "the same words again, " * (length // 22)
    served.application.sockets[0].emit("n", text)

    used, body = await polled(poller, accepted)

    assert used == coding
    assert UNPACK[used](body) == f'42["n","{text}"]'.encode()
    assert (len(body) < length / 5) is (coding is not None)


async def test_a_small_answer_is_not_compressed(served: Served, poller: Poller) -> None:
    frame = len('42["n",""]')
    for length, coding in ((MIN_COMPRESSED_BYTES - 1, None), (MIN_COMPRESSED_BYTES, "gzip")):
        served.application.sockets[0].emit("n", "x" * (length - frame))
        assert (await polled(poller, "gzip"))[0] == coding


async def test_ordinary_clients_read_compressed_answers(served: Served) -> None:
    async with aiohttp.ClientSession() as http:
        poller = Poller(http, served.url)
        await poller.join()
        chance = random.Random(1)
        for size in (10, 1_000, 5_000, 100_000):
            text = "".join(chance.choices("abc ", k=size))
            served.application.sockets[0].emit("n", text)
            assert await poller.get() == (200, f'42["n","{text}"]')


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-unheard-of", "gzip, gzip"])
async def test_a_compressed_request_is_refused_and_ends_nothing(
    served: Served, poller: Poller, coding: str
) -> None:
    body = gzip.compress(b'42["echo"]')
    status, answer = await poller.post(body, headers={"Content-Encoding": coding})

    assert status == 415
    error = json.loads(answer)["error"]
    assert (error["code"], error["number"]) == ("unsupported_encoding", 1007)
    assert await poller.post('420["echo"]', headers={"Content-Encoding": "identity"}) == (200, "ok")
    assert (await polled(poller, "gzip"))[1] == b"430[]"
    assert len(served.application.events) == 1


async def test_the_bytes_of_a_refused_body_are_not_unpacked(
    served: Served, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(*_: object, **__: object) -> None:
        raise AssertionError("the server unpacks what it has refused")

    # Both of aiohttp's parsers, the compiled one and the other, would make one of these.
    monkeypatch.setattr("aiohttp.http_parser.ZLibDecompressor", unpack)
    bomb = gzip.compress(bytes(10_000_000))
    path = poller.url.removeprefix(served.url)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
    async with raw(served.port) as socket:
        socket.send(f"{head}Content-Length: {len(bomb)}\r\n\r\n".encode(), bomb)
        assert (await socket.head()).startswith(b"HTTP/1.1 415 ")
        await served.until(lambda: socket.reader._buffer.endswith(b"}}"))  # type: ignore[attr-defined] # of a StreamReader
        socket.reader._buffer.clear()  # type: ignore[attr-defined] # of the same
        await socket.read_page()  # so the whole body was read
    assert served.connections == 1


AUTH = {"recover": True, "said": "the words of another, " * 100}


@pytest.mark.parametrize(
    "connect",
    [
        b"40" + json.dumps(AUTH).encode(),
        b"b" + b64encode(msgspec.msgpack.encode({"type": 0, "nsp": "/", "data": AUTH})),
    ],
    ids=["json", "msgpack"],
)
async def test_an_answer_that_holds_a_pid_is_not_compressed(
    served: Served, http: aiohttp.ClientSession, connect: bytes
) -> None:
    poller = Poller(http, served.url)
    await poller.open()
    assert await poller.post(connect) == (200, "ok")

    async with http.get(poller.url, headers={"Accept-Encoding": "gzip"}) as response:
        body = await response.read()
        assert len(body) > MIN_COMPRESSED_BYTES
        assert "Content-Encoding" not in response.headers
        assert response.headers["Cache-Control"] == "no-store, no-transform"
    connected, welcome = engineio.decode_payload(body)
    pid = served.application.sockets[0].pid
    assert pid is not None
    assert pid.encode() in connected
    assert b"the words of another" in welcome

    served.application.sockets[0].emit("n", "x" * MIN_COMPRESSED_BYTES)
    assert (await polled(poller, "gzip"))[0] == "gzip"
