"""python-socketio's client, on every transport it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio

from tests.sockets.application import Served

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]
SERIALIZERS = ["default", "msgpack"]


class Client:
    """A client that puts every event into a queue."""

    def __init__(self, serializer: str) -> None:
        self.io = socketio.AsyncClient(reconnection=False, serializer=serializer)
        self.heard: asyncio.Queue[tuple[str, tuple[Any, ...]]] = asyncio.Queue()

    async def hear(self) -> tuple[str, tuple[Any, ...]]:
        async with asyncio.timeout(10):
            return await self.heard.get()

    def listen(self, namespace: str) -> None:
        async def keep(event: str, *args: Any) -> None:
            await self.heard.put((event, args))

        self.io.on("*", keep, namespace=namespace)


@asynccontextmanager
async def connected(
    served: Served,
    transports: list[str],
    auth: dict[str, Any] | None = None,
    namespaces: tuple[str, ...] = ("/",),
    serializer: str = "default",
) -> AsyncIterator[Client]:
    client = Client(serializer)
    for namespace in namespaces:
        client.listen(namespace)
    await client.io.connect(
        served.url, transports=transports, auth=auth or {}, namespaces=list(namespaces)
    )
    try:
        for _ in namespaces:
            event, _data = await client.hear()
            assert event == "welcome"
        yield client
    finally:
        await client.io.disconnect()


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_an_event_with_an_ack(served: Served, transports: list[str], serializer: str) -> None:
    async with connected(served, transports, {"token": "t"}, serializer=serializer) as client:
        answer = await client.io.call("echo", ({"stake": 125}, "né€", [None, 1.5]), timeout=10)

        assert answer == ({"stake": 125}, "né€", [None, 1.5])
        assert client.io.transport() == transports[-1]
        assert served.application.sockets[0].transport == transports[-1]
        assert served.application.sockets[0].address == "127.0.0.1"


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_attachments_both_ways(
    served: Served, transports: list[str], serializer: str
) -> None:
    async with connected(served, transports, serializer=serializer) as client:
        sent = {"a": [b"\x00\xff", {"b": b""}], "c": "text"}

        assert await client.io.call("echo", sent, timeout=10) == sent
        await client.io.emit("echo", b"\x01\x02")
        assert await client.hear() == ("echoed", (b"\x01\x02",))


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_events_and_answers_keep_their_order(served: Served, transports: list[str]) -> None:
    async with connected(served, transports) as client:
        for number in range(200):
            await client.io.emit("echo", number)

        heard = [await client.hear() for _ in range(200)]
        assert heard == [("echoed", (number,)) for number in range(200)]


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_namespaces_share_a_connection(served: Served, serializer: str) -> None:
    namespaces = ("/", "/chat")
    async with connected(
        served, ["websocket"], namespaces=namespaces, serializer=serializer
    ) as client:
        assert served.connections == 1
        assert await client.io.call("echo", 1, namespace="/", timeout=10) == 1
        assert await client.io.call("echo", 2, namespace="/chat", timeout=10) == 2
        assert {socket.namespace for socket in served.application.sockets} == {"/", "/chat"}

    await served.until(lambda: len(served.application.ends) == 2)
    assert {namespace for namespace, _ in served.application.ends} == {"/", "/chat"}


async def test_rooms(served: Served) -> None:
    async with (
        connected(served, ["websocket"], {"rooms": ["table"]}, serializer="msgpack") as alice,
        connected(served, ["polling"], {"rooms": ["table"]}) as bob,
        connected(served, ["websocket"], serializer="msgpack") as carol,
    ):
        await alice.io.emit("say", ("table", 1))
        assert await bob.hear() == ("said", (1,))

        await carol.io.emit("join", "table")
        await bob.io.emit("leave", "table")
        await served.until(lambda: ("leave", ["table"]) in served.application.events)
        await served.until(lambda: ("join", ["table"]) in served.application.events)
        await alice.io.emit("say", ("table", 2))
        assert await carol.hear() == ("said", (2,))

        assert alice.heard.empty()
        assert bob.heard.empty()


async def test_a_broadcast_keeps_its_order_for_everyone(served: Served) -> None:
    async with (
        connected(served, ["websocket"], {"rooms": ["table"]}) as alice,
        connected(served, ["polling"], {"rooms": ["table"]}) as bob,
    ):
        for number in range(300):
            served.server.hub.emit("/", "table", "tick", number)
            if number % 7 == 0:
                await asyncio.sleep(0)

        for client in (alice, bob):
            assert [await client.hear() for _ in range(300)] == [
                ("tick", (number,)) for number in range(300)
            ]


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_a_refusal_is_told_with_its_number(served: Served, transports: list[str]) -> None:
    client = socketio.AsyncClient(reconnection=False)
    errors: list[Any] = []
    client.on("connect_error", errors.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(served.url, transports=transports, auth={"token": "wrong"})
    await client.disconnect()

    [error] = errors
    assert error["message"] == "The token is not valid. Log in again."
    assert error["data"] == {
        "code": "token_invalid",
        "number": 2002,
        "message": "The token is not valid. Log in again.",
        "temporary": False,
        "details": {"hint": "try another"},
    }


async def test_a_socket_that_the_server_dismisses_is_told(served: Served) -> None:
    async with connected(served, ["websocket"], namespaces=("/", "/chat")) as client:
        await client.io.emit("dismiss", namespace="/chat")
        await served.until(lambda: served.application.ends == [("/chat", "server_closed")])

        assert await client.io.call("echo", "still here", timeout=10) == "still here"
        assert served.server.sockets == 1


# On polling this client takes ten seconds to notice; the official one does so in its own test.
@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]])
async def test_a_kicked_client_loses_its_connection(served: Served, transports: list[str]) -> None:
    async with connected(served, transports) as client:
        await client.io.emit("kick")
        async with asyncio.timeout(10):
            await client.io.wait()

    await served.until_ended("server_closed")
    assert served.application.ends == [("/", "server_closed")]
    assert served.connections == 0


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_a_client_that_leaves_is_forgotten(served: Served, transports: list[str]) -> None:
    async with connected(served, transports, {"rooms": ["table"]}):
        assert served.server.hub.rooms == 1

    await served.until(lambda: served.connections == 0)
    assert served.server.sockets == 0
    assert served.server.hub.rooms == 0
    assert len(served.application.ends) == 1
    assert not +served.server.counters.open_by_transport


async def test_an_ack_may_come_later_and_after_the_end_it_is_harmless(served: Served) -> None:
    async with connected(served, ["websocket"]) as client:
        calls = [asyncio.create_task(client.io.call("later", timeout=10)) for _ in range(2)]
        await served.until(lambda: len(served.application.kept_acks) == 2)
        kept = served.application.kept_acks
        kept[1].send("second")
        kept[0].send("first")
        assert await asyncio.gather(*calls) == ["first", "second"]
        await client.io.emit("later", callback=lambda: None)
        await served.until(lambda: len(kept) == 3)

    await served.until(lambda: served.connections == 0)
    kept[2].send("nobody is there")


async def test_a_fault_of_the_application_ends_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(served, ["websocket"]) as client:
        await client.io.emit("fail")

        assert await client.io.call("echo", 1, timeout=10) == 1
    assert "the application failed on the event fail" in caplog.text
