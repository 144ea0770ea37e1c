"""Which parser a connection speaks through: that of its first message, from then on."""

from typing import Any

import msgspec
import pytest

from protocol import disconnects
from protocol.disconnects import DisconnectReason
from tests.sockets.application import Served
from tests.sockets.raw import BINARY, TEXT, Door, RawSocket, frame, joined, session


def packed(**fields: Any) -> bytes:
    return frame(BINARY, msgspec.msgpack.encode({"nsp": "/", **fields}))


async def unpacked(socket: RawSocket) -> Any:
    opcode, payload = await socket.frame()
    assert opcode == BINARY
    return msgspec.msgpack.decode(payload)


CONNECT = packed(type=0, data={"quiet": True})


@pytest.mark.parametrize("door", list(Door))
async def test_whoever_begins_in_msgpack_is_answered_in_msgpack(served: Served, door: Door) -> None:
    async with session(served.port, door) as socket:
        socket.send(CONNECT)
        connected = await unpacked(socket)
        assert connected == {"type": 0, "nsp": "/", "data": {"sid": connected["data"]["sid"]}}

        socket.send(packed(type=2, data=["echo", b"\0\xff", {"a": None}], id=0))
        answer = {"type": 3, "nsp": "/", "id": 0, "data": [b"\0\xff", {"a": None}]}
        assert await unpacked(socket) == answer

        socket.send(packed(type=0, nsp="/nowhere"))
        refused = {"type": 4, "nsp": "/nowhere", "data": {"message": "Invalid namespace"}}
        assert await unpacked(socket) == refused

        socket.send(packed(type=2, data=["dismiss"]))
        assert await unpacked(socket) == {"type": 1, "nsp": "/"}


async def test_one_broadcast_reaches_both_parsers(served: Served) -> None:
    async with (
        joined(served.port, auth='{"rooms":["table"]}') as plain,
        session(served.port) as packing,
    ):
        packing.send(packed(type=0, data={"quiet": True, "rooms": ["table"]}))
        await unpacked(packing)

        served.server.hub.emit("/", "table", "said", {"n": 1})

        assert await plain.packet() == '42["said",{"n":1}]'
        assert await unpacked(packing) == {"type": 2, "nsp": "/", "data": ["said", {"n": 1}]}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        # A connection keeps its parser.
        ([CONNECT, frame(TEXT, b"40")], disconnects.MALFORMED_PACKET),
        ([frame(TEXT, b"40"), CONNECT], disconnects.ATTACHMENT_UNEXPECTED),
        ([frame(TEXT, b"40/chat,"), CONNECT], disconnects.ATTACHMENT_UNEXPECTED),
        # What is no packet.
        ([frame(BINARY, b"")], disconnects.MALFORMED_PACKET),
        ([frame(BINARY, b"\0\xff")], disconnects.MALFORMED_PACKET),
        ([CONNECT, frame(BINARY, b"\0\xff")], disconnects.MALFORMED_PACKET),
        # Nothing is taken before the namespace is joined.
        ([packed(type=2, data=["echo"])], disconnects.NOT_CONNECTED),
        # Nor read: it would be malformed.
        ([packed(type=2, data="echo")], disconnects.NOT_CONNECTED),
        ([packed(type=3, data="echo", id=1)], disconnects.NOT_CONNECTED),
        ([frame(TEXT, b'450-"echo"')], disconnects.NOT_CONNECTED),
        ([frame(TEXT, b'431"echo"')], disconnects.NOT_CONNECTED),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection(
    served: Served, sent: list[bytes], reason: DisconnectReason
) -> None:
    async with session(served.port) as socket:
        socket.send(*sent)
        assert await socket.close_code() == reason.close_code
    await served.until(lambda: served.connections == 0)


async def test_a_recovering_client_gets_offsets_in_msgpack_too(served: Served) -> None:
    async with session(served.port) as socket:
        socket.send(packed(type=0, data={"quiet": True, "recover": True, "rooms": ["table"]}))
        connected = await unpacked(socket)
        assert connected["data"]["pid"]
        served.server.hub.emit("/", "table", "said", {"n": 1})
        event = await unpacked(socket)
        assert event["data"][:2] == ["said", {"n": 1}]
        assert event["data"][2].startswith(served.server.hub.epoch)
