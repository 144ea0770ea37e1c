"""What a WebSocket may and may not send, frame by frame (RFC 6455)."""

import asyncio
import random

import pytest

from server.sockets.options import SocketOptions
from tests.sockets.application import Served, serve
from tests.sockets.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Door,
    frame,
    joined,
    raw,
    session,
    upgrade_request,
)


@pytest.fixture(params=list(Door))
def door(request: pytest.FixtureRequest) -> Door:
    """Every test here is for both WebSockets."""
    assert isinstance(request.param, Door)
    return request.param


EVENT = '420["echo","né😀"]'.encode()
ANSWER = '430["né😀"]'


async def test_a_fragmented_message_is_put_together(served: Served, door: Door) -> None:
    async with joined(served.port, door=door) as socket:
        socket.send(
            frame(TEXT, EVENT[:3], fin=False),
            frame(CONTINUATION, b"", fin=False),
            # Control frames may come in between; the cut goes through the middle of a character.
            frame(PING, b"are you there"),
            frame(CONTINUATION, EVENT[3:-4], fin=False),
            frame(CONTINUATION, EVENT[-4:]),
        )

        assert await socket.frame() == (PONG, b"are you there")
        assert await socket.packet() == ANSWER


async def test_every_cut_in_two_gives_the_same_message(served: Served, door: Door) -> None:
    async with joined(served.port, door=door) as socket:
        for cut in range(len(EVENT) + 1):
            socket.send(frame(TEXT, EVENT[:cut], fin=False), frame(CONTINUATION, EVENT[cut:]))
            assert await socket.packet() == ANSWER


async def test_a_fragmented_attachment(served: Served, door: Door) -> None:
    async with joined(served.port, door=door) as socket:
        socket.text('451-0["echo",{"_placeholder":true,"num":0}]')
        socket.send(frame(BINARY, b"\x00\xff", fin=False), frame(CONTINUATION, b"\xfe"))

        assert await socket.packet() == '461-0[{"_placeholder":true,"num":0}]'
        assert await socket.frame() == (BINARY, b"\x00\xff\xfe")


@pytest.mark.parametrize(
    "length", [0, 1, 100, 125, 126, 127, 8_190, 8_300, 65_535, 65_536, 100_000]
)
async def test_messages_of_every_length_class_come_back(
    served: Served, door: Door, length: int
) -> None:
    async with joined(served.port, door=door) as socket:
        text = "x" * length
        # Twice in one tick: several frames leave in one write, however large.
        socket.send(
            frame(TEXT, f'420["echo","{text}"]'.encode()),
            frame(TEXT, f'421["echo","{text}"]'.encode()),
        )

        assert await socket.packet() == f'430["{text}"]'
        assert await socket.packet() == f'431["{text}"]'


BROKEN = {
    "text that is not UTF-8": ([frame(TEXT, b'42["\xff"]')], 1007, "invalid_text"),
    "half a surrogate pair": ([frame(TEXT, b'42["\xed\xa0\x80"]')], 1007, "invalid_text"),
    "fragments that are not UTF-8": (
        [frame(TEXT, b'42["', fin=False), frame(CONTINUATION, b'\xff"]')], 1007, "invalid_text",
    ),
    "a reserved bit": ([frame(TEXT, b"42", rsv=4)], 1002, "bad_frame"),
    "a reserved bit of a fragment": ([frame(TEXT, b"4", fin=False, rsv=1)], 1002, "bad_frame"),
    "an unknown opcode": ([frame(3, b"")], 1002, "bad_frame"),
    "an unmasked frame": ([frame(TEXT, b"42", masked=False)], 1002, "bad_frame"),
    "a continuation of nothing": ([frame(CONTINUATION, b"x")], 1002, "bad_frame"),
    "a message within a message": (
        [frame(TEXT, b"4", fin=False), frame(TEXT, b"2")], 1002, "bad_frame",
    ),
    "a binary message within a message": (
        [frame(TEXT, b"4", fin=False), frame(BINARY, b"2")], 1002, "bad_frame",
    ),
    "a fragmented ping": ([frame(PING, b"", fin=False)], 1002, "bad_frame"),
    "a long ping": ([frame(PING, b"x" * 126)], 1002, "bad_frame"),
    "an empty packet": ([frame(TEXT, b"")], 4100, "empty_packet"),
    "an unknown packet": ([frame(TEXT, b"abc")], 4101, "unknown_packet"),
    "a ping of the client": ([frame(TEXT, b"2")], 4104, "wrong_direction"),
    "an upgrade of nothing": ([frame(TEXT, b"5")], 4105, "upgrade_unexpected"),
    "a malformed packet": ([frame(TEXT, b"42{}")], 4200, "malformed_packet"),
    "an attachment of nothing": ([frame(BINARY, b"x")], 4204, "attachment_unexpected"),
    "text instead of an attachment": (
        [frame(TEXT, b'451-["x"]'), frame(TEXT, b'42["x"]')], 4205, "attachment_missing",
    ),
    "a placeholder of nothing": (
        [frame(TEXT, b'451-["x",{"_placeholder":true,"num":1}]'), frame(BINARY, b"x")],
        4203, "bad_placeholder",
    ),
    "an event to a stranger": ([frame(TEXT, b'42/chat,["x"]')], 4206, "not_connected"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_a_protocol_ends_its_own_connection(
    served: Served, door: Door, name: str
) -> None:
    frames, close_code, reason = BROKEN[name]
    async with joined(served.port, door=door) as witness, joined(served.port, door=door) as socket:
        socket.send(*frames)

        assert await socket.close_code() == close_code
        await served.until_ended(reason)
        assert served.application.ends == [("/", reason)]
        assert served.connections == 1
        witness.text('420["echo"]')
        assert await witness.packet() == "430[]"


async def test_oversize_messages_are_refused_whole_or_in_fragments(door: Door) -> None:
    async with serve(SocketOptions(max_payload_bytes=1_000)) as served:
        async with joined(served.port, door=door) as socket:
            socket.send(frame(TEXT, b'420["echo","' + b"x" * 986 + b'"]'))
            assert len(await socket.packet()) == 1_000 - len('"echo",')
            socket.send(frame(TEXT, b"4" * 1_001))
            assert await socket.close_code() == 1009
        async with joined(served.port, door=door) as socket:
            socket.send(frame(TEXT, b"4" * 600, fin=False), frame(CONTINUATION, b"4" * 401))
            assert await socket.close_code() == 1009
        await served.until_ended("too_large", 2)


async def test_the_length_of_a_huge_frame_is_refused_before_its_bytes_come(
    served: Served, door: Door
) -> None:
    async with joined(served.port, door=door) as socket:
        socket.send(b"\x81\xff" + (2**40).to_bytes(8, "big") + b"mask")
        assert await socket.close_code() == 1009


async def test_a_close_frame_is_answered(served: Served, door: Door) -> None:
    async with joined(served.port, door=door) as socket:
        socket.send(frame(CLOSE, (1000).to_bytes(2, "big") + b"bye"))

        assert await socket.close_code() == 1000
        assert await socket.rest() == b""
    await served.until_ended("transport_closed")
    assert served.application.ends == [("/", "transport_closed")]


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


@pytest.mark.parametrize("payload", [b"", *map(close_frame, (1000, 1001, 1011, 3000, 4999))])
async def test_a_close_frame_may_say_any_of_these(
    served: Served, door: Door, payload: bytes
) -> None:
    async with joined(served.port, door=door) as socket:
        socket.send(frame(CLOSE, payload))
        assert await socket.close_code() == 1000
    await served.until_ended("transport_closed")


@pytest.mark.parametrize(
    ("payload", "close_code", "reason"),
    [
        (b"x", 1002, "bad_frame"),
        *((close_frame(code), 1002, "bad_frame") for code in (0, 999, 1004, 1005, 1016, 2999)),
        (close_frame(1000, b"\xff"), 1007, "invalid_text"),
    ],
)
async def test_a_close_frame_that_may_not_be_is_told_so(
    served: Served, door: Door, payload: bytes, close_code: int, reason: str
) -> None:
    async with joined(served.port, door=door) as socket:
        socket.send(frame(CLOSE, payload))
        assert await socket.close_code() == close_code
    await served.until_ended(reason)


@pytest.mark.parametrize("one", [frame(PING, b"?"), frame(PONG, b""), frame(TEXT, b"6")])
async def test_frames_of_every_kind_count_as_a_flood(door: Door, one: bytes) -> None:
    async with (
        serve(SocketOptions(max_packets_per_second=100)) as served,
        joined(served.port, door=door) as socket,
    ):
        socket.send(one * 90)
        socket.text('420["echo"]')
        while await socket.frame() != (TEXT, b"430[]"):
            pass
        socket.send(one * 300)
        while (await socket.frame())[0] != CLOSE:
            pass
        await served.until_ended("flooding")


async def test_fragments_count_as_a_flood(door: Door) -> None:
    async with (
        serve(SocketOptions(max_packets_per_second=100)) as served,
        joined(served.port, door=door) as socket,
    ):
        socket.send(frame(TEXT, b"6", fin=False), frame(CONTINUATION, b"", fin=False) * 300)
        assert await socket.close_code() == 4006
        await served.until_ended("flooding")


async def test_an_unmasked_frame_behind_a_masked_one_however_they_are_cut(
    served: Served, door: Door
) -> None:
    masked, unmasked = frame(TEXT, EVENT), frame(TEXT, EVENT, masked=False)
    for cut in (1, 2, 3, 4, len(masked) - 1, len(masked), len(masked) + 1):
        async with joined(served.port, door=door) as socket:
            wire = masked + unmasked
            socket.send(wire[:cut])
            await asyncio.sleep(0.001)
            socket.send(wire[cut:])
            assert await socket.close_code() == 1002
    await served.until_ended("bad_frame", 7)


async def test_a_fault_of_ours_ends_the_connection_alone(
    served: Served, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        """A handler with a fault."""

        def text(self, _message: bytes) -> None:
            raise RuntimeError("a fault")

        binary = text

        def closed(self, _reason: object) -> None:
            """Nothing is left to do."""

    async with joined(served.port, door=door) as witness:
        for one in (frame(TEXT, b"42"), frame(BINARY, b"")):
            async with joined(served.port, door=door) as socket:
                served.application.sockets[-1].connection.handler = Broken()  # type: ignore[assignment] # as much as is called
                socket.send(one)
                assert await socket.close_code() == 1011
        witness.text('420["echo"]')
        assert await witness.packet() == "430[]"
    assert served.server.counters.disconnects["internal"] == 2
    assert caplog.text.count("could not be handled") == 2


async def test_a_connection_that_just_drops_is_forgotten(served: Served, door: Door) -> None:
    async with joined(served.port, door=door) as socket:
        socket.writer.transport.abort()
        await served.until_ended("transport_closed")
    assert served.connections == 0


async def test_frames_that_arrive_byte_by_byte(served: Served, door: Door) -> None:
    async with joined(served.port, door=door) as socket:
        for byte in frame(TEXT, EVENT):
            socket.send(bytes([byte]))
            await asyncio.sleep(0)  # a turn for the server, or they arrive together
        assert await socket.packet() == ANSWER


async def test_many_frames_in_one_segment(served: Served, door: Door) -> None:
    async with joined(served.port, door=door) as socket:
        socket.send(*(frame(TEXT, f'42{number}["echo"]'.encode()) for number in range(500)))
        assert [await socket.packet() for _ in range(500)] == [f"43{n}[]" for n in range(500)]


async def test_the_client_may_close_by_packet(served: Served, door: Door) -> None:
    async with session(served.port, door) as socket:
        socket.text("1")
        assert await socket.close_code() == 1000
    await served.until_ended("client_closed")


@pytest.mark.parametrize("seed", range(10))
async def test_random_frames_harm_nobody_else(served: Served, door: Door, seed: int) -> None:
    chance = random.Random(seed)
    parts = [b"4", b"42", b"[", b"]", b'"echo"', b",", b"1-", b"{}", b"0", b"\xff", b"/chat,", b"3"]
    async with joined(served.port, door=door) as witness:
        for _ in range(20):
            async with joined(served.port, door=door) as socket:
                for _ in range(chance.randrange(1, 6)):
                    payload = b"".join(chance.choices(parts, k=chance.randrange(6)))
                    opcode = chance.choice([TEXT, TEXT, TEXT, BINARY, CONTINUATION, PING, PONG, 7])
                    socket.send(frame(opcode, payload, fin=chance.random() < 0.8))
        witness.text('420["echo"]')
        assert await witness.packet() == "430[]"
    await served.until(lambda: served.connections == 0)
    assert served.server.sockets == 0
    assert "internal" not in served.server.counters.disconnects


@pytest.mark.parametrize(
    "early", [frame(TEXT, b"40", masked=False), frame(TEXT, b"40")[:3], frame(TEXT, b"40")]
)
async def test_aiohttp_takes_no_frame_before_it_has_answered(served: Served, early: bytes) -> None:
    async with raw(served.port) as socket:
        await socket.read_page()
        socket.send(upgrade_request(), early)
        assert (await socket.head()).startswith(b"HTTP/1.1 400 ")
    assert served.server.counters.opened == 0
    assert served.server.counters.refused["malformed"] == 1
