"""What has ended leaves nothing that only a garbage collection would find: those are rare here."""

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import aiohttp
import pytest

from server.sockets.client import Client
from server.sockets.connection import Connection
from server.sockets.fallback import FallbackResponse, FallbackWebSocket
from server.sockets.listener import Arrival
from server.sockets.options import SocketOptions
from server.sockets.polling import Polling
from server.sockets.socket import Socket
from server.sockets.websocket import WebSocket
from tests.sockets.application import Served, serve
from tests.sockets.raw import Door, RawSocket, joined, raw, session, websocket
from tests.sockets.test_polling import Poller

KINDS = (
    Arrival,
    Client,
    Connection,
    FallbackResponse,
    FallbackWebSocket,
    Polling,
    Socket,
    WebSocket,
)

End = Callable[[Served, RawSocket], Awaitable[None]]


class Session:
    """What an application keeps with a socket: it knows the socket in turn, as a caller does."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket


@pytest.fixture(autouse=True)
def _no_collections() -> Iterator[None]:
    # What there is already, and what earlier tests have left, is not looked at.
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def alive() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, KINDS)]


def give_session(served: Served) -> None:
    """Give the newest socket a session, and let the application forget it."""
    socket = served.application.sockets.pop()
    socket.session = Session(socket)


async def until_nothing_is_left(served: Served) -> None:
    served.application.sockets.clear()
    try:
        await served.until(lambda: not alive())
    except TimeoutError:
        raise AssertionError(f"still there: {alive()}") from None


async def leave(_served: Served, socket: RawSocket) -> None:
    """The client leaves without a word."""
    socket.writer.close()


async def cut(_served: Served, socket: RawSocket) -> None:
    """The client's connection is reset."""
    socket.writer.transport.abort()


async def close(_served: Served, socket: RawSocket) -> None:
    """The client closes as the protocol has it."""
    socket.text("41")
    socket.text("1")
    await socket.close_code()


async def kick(_served: Served, socket: RawSocket) -> None:
    """The server closes."""
    socket.text('42["kick"]')
    await socket.close_code()


async def break_protocol(_served: Served, socket: RawSocket) -> None:
    """The client sends what it must not."""
    socket.text("4garbage")
    await socket.close_code()


@pytest.mark.parametrize("end", [leave, cut, close, kick, break_protocol])
@pytest.mark.parametrize("door", list(Door))
async def test_a_websocket(served: Served, door: Door, end: End) -> None:
    async with joined(served.port, door=door) as socket:
        give_session(served)
        assert alive()
        await end(served, socket)
        await served.until(lambda: served.connections == 0)
    await until_nothing_is_left(served)


@pytest.mark.parametrize("door", list(Door))
async def test_who_does_not_answer_the_close(door: Door) -> None:
    async with serve(SocketOptions(close_timeout_ms=50)) as served:
        async with joined(served.port, door=door) as socket:
            give_session(served)
            socket.text('42["kick"]')
            with suppress(ConnectionError):
                await socket.rest()
        await until_nothing_is_left(served)


@pytest.mark.parametrize("door", list(Door))
async def test_who_is_not_let_in(served: Served, door: Door) -> None:
    async with session(served.port, door) as socket:
        socket.text('40{"token":"wrong"}')
        assert (await socket.packet()).startswith("44{")
        assert any(isinstance(one, Client) for one in alive())
    await until_nothing_is_left(served)


@pytest.mark.parametrize("last", ["1", '42["kick"]', "4garbage"])
async def test_a_poller(served: Served, last: str) -> None:
    async with aiohttp.ClientSession() as http:
        poller = Poller(http, served.url)
        await poller.join()
        give_session(served)
        assert alive()
        await poller.post(last)
        await served.until(lambda: served.connections == 0)
    await until_nothing_is_left(served)


@pytest.mark.parametrize("upgraded", [True, False])
@pytest.mark.parametrize("door", list(Door))
async def test_an_upgrade_that_is_completed_or_not(
    served: Served, door: Door, upgraded: bool
) -> None:
    async with aiohttp.ClientSession() as http:
        poller = Poller(http, served.url)
        await poller.join()
        give_session(served)
        query = f"EIO=4&transport=websocket&sid={poller.sid}"
        async with websocket(served.port, query, door) as socket:
            socket.text("2probe")
            assert await socket.packet() == "3probe"
            if upgraded:
                socket.text("5")
                await served.until(lambda: served.server.counters.upgrades == 1)
                await kick(served, socket)
            else:
                await poller.post("1")
                await socket.close_code()
        await served.until(lambda: served.connections == 0)
    await until_nothing_is_left(served)


async def test_a_connection_that_never_asks(served: Served) -> None:
    async with raw(served.port) as socket:
        await served.until(lambda: served.listener.places.taken == 1)
        assert alive()
        with suppress(ConnectionError):
            socket.writer.close()
    await until_nothing_is_left(served)
