"""Engine.IO, revision 4, clause by clause, in the order of docs/engine.io-protocol/v4-current.md.

Each test is one clause, in our own words. WebTransport is not offered, and says so like any other
transport that does not exist.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.conformance.running import LIMIT_S, OPENING, WEBSOCKET, Running
from tests.sockets.raw import BINARY, TEXT, frame, raw

NOBODY = "sid=AAAAAAAAAAAAAAAAAAAA"
SEPARATOR = "\x1e"


# Transports: the query parameters.


BROKEN_QUERIES = {
    "no EIO": "transport={}",
    "an empty EIO": "EIO=&transport={}",
    "an older EIO": "EIO=3&transport={}",
    "a later EIO": "EIO=5&transport={}",
    "an EIO that is no number": "EIO=abc&transport={}",
    "no transport": "EIO=4",
    "an empty transport": "EIO=4&transport=",
    "an unknown transport": "EIO=4&transport=abc",
    "a transport that is not offered": "EIO=4&transport=webtransport",
    "nothing": "",
}


@pytest.mark.parametrize("name", BROKEN_QUERIES)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_polling_without_a_mandatory_parameter_is_answered_with_400(
    engineio: Running, name: str, method: str
) -> None:
    answer = await engineio.ask(method, BROKEN_QUERIES[name].format("polling"))

    assert answer.status == 400
    assert json.loads(answer.text)["error"]["code"] == "malformed"
    assert not engineio.engine.connections


@pytest.mark.parametrize("name", BROKEN_QUERIES)
async def test_a_websocket_without_a_mandatory_parameter_is_not_opened(
    engineio: Running, name: str
) -> None:
    assert await engineio.upgrade_status(BROKEN_QUERIES[name].format("websocket")) == 400
    assert not engineio.engine.connections


async def test_other_paths_are_not_ours(engineio: Running) -> None:
    assert await engineio.upgrade_status(WEBSOCKET, "/socket.io/") == 404
    assert await engineio.upgrade_status(WEBSOCKET) == 101


async def test_a_session_id_that_is_not_known_is_answered_with_400(engineio: Running) -> None:
    for method in ("GET", "POST"):
        assert (await engineio.ask(method, f"{OPENING}&{NOBODY}")).status == 400
    assert await engineio.upgrade_status(f"{WEBSOCKET}&{NOBODY}") == 400
    assert (await engineio.ask("GET", f"{OPENING}&sid=")).status == 400


async def test_the_session_id_is_mandatory_once_there_is_a_session(engineio: Running) -> None:
    sid = await engineio.open()

    assert (await engineio.ask("POST", OPENING, "4hello")).status == 400
    # Without it a GET opens another session.
    assert await engineio.open() != sid


async def test_further_parameters_are_ignored(engineio: Running) -> None:
    assert (await engineio.ask("GET", f"{OPENING}&t=N8hyd6w&b64=1")).status == 200
    assert await engineio.upgrade_status(f"t=N8hyd6w&{WEBSOCKET}") == 101


# Transports: HTTP long-polling.


async def test_answers_are_plain_text_in_utf8_and_not_cached(engineio: Running) -> None:
    sid = await engineio.open()
    posted = await engineio.ask("POST", f"{OPENING}&sid={sid}", "4né€😀")
    polled = await engineio.ask("GET", f"{OPENING}&sid={sid}")

    for answer, text in ((posted, "ok"), (polled, "4né€😀")):
        assert (answer.status, answer.text) == (200, text)
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "text/plain;charset=UTF-8", "application/octet-stream"]
)
async def test_a_body_is_text_whatever_it_says_of_itself(
    engineio: Running, content_type: str | None
) -> None:
    sid = await engineio.open()
    async with raw(engineio.port) as client:
        line = "" if content_type is None else f"Content-Type: {content_type}\r\n"
        body = "4né\x1ebAQI=".encode()
        head = (
            f"POST /engine.io/?{OPENING}&sid={sid} HTTP/1.1\r\nHost: x\r\n{line}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        client.send(head.encode(), body)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert await client.reader.readexactly(2) == b"ok"
    assert await engineio.poll(sid) == (200, "4né\x1ebAQI=")


async def test_a_post_is_answered_with_ok(engineio: Running) -> None:
    sid = await engineio.open()
    assert await engineio.post(sid, "4hello") == (200, "ok")
    assert await engineio.poll(sid) == (200, "4hello")


async def test_a_second_post_at_a_time_is_answered_with_400_and_ends_the_session(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    connection = engineio.engine.connections[sid]

    async def slow_body() -> AsyncIterator[bytes]:
        yield b"4"
        await engineio.until_ended("concurrent_post")
        yield b"late"

    first = asyncio.create_task(engineio.post(sid, slow_body()))
    await engineio.until(lambda: connection.session._posted)

    assert (await engineio.post(sid, "4hello"))[0] == 400
    assert (await first)[0] == 400
    await engineio.unknown(sid)


async def test_posts_one_after_another_are_taken_in_order(engineio: Running) -> None:
    sid = await engineio.open()
    for number in range(5):
        assert await engineio.post(sid, f"4{number}") == (200, "ok")
    assert await engineio.poll(sid) == (200, SEPARATOR.join(f"4{n}" for n in range(5)))


async def test_a_get_waits_until_there_is_something_to_send(engineio: Running) -> None:
    sid = await engineio.open()
    poll = await engineio.waiting_poll(sid)
    assert not poll.done()
    assert await engineio.post(sid, "4hello") == (200, "ok")
    assert await poll == (200, "4hello")


async def test_a_get_brings_at_once_what_was_buffered(engineio: Running) -> None:
    sid = await engineio.open()
    assert await engineio.post(sid, "4a\x1e4b") == (200, "ok")
    assert await engineio.post(sid, "4c") == (200, "ok")
    assert await engineio.poll(sid) == (200, "4a\x1e4b\x1e4c")


async def test_a_second_get_at_a_time_is_answered_with_400_and_ends_the_session(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    first = await engineio.waiting_poll(sid)

    assert (await engineio.poll(sid))[0] == 400
    assert await first == (200, "1")
    await engineio.unknown(sid)


async def test_a_get_that_its_client_gives_up_ends_the_session(engineio: Running) -> None:
    sid = await engineio.open()
    poll = await engineio.waiting_poll(sid)
    poll.cancel()
    await engineio.until_ended("transport_closed")
    await engineio.unknown(sid)


async def test_a_post_that_its_client_gives_up_ends_the_session(engineio: Running) -> None:
    sid = await engineio.open()
    connection = engineio.engine.connections[sid]

    async def endless_body() -> AsyncIterator[bytes]:
        yield b"4half"
        await asyncio.sleep(LIMIT_S)

    post = asyncio.create_task(engineio.post(sid, endless_body()))
    await engineio.until(lambda: connection.session._posted)
    post.cancel()
    await engineio.until_ended("transport_closed")
    await engineio.unknown(sid)


# Transports: WebSocket.


async def test_the_session_id_is_optional_on_a_websocket(engineio: Running) -> None:
    async with engineio.session() as socket:
        socket.text("4hello")
        assert await socket.packet() == "4hello"


async def test_each_packet_is_a_frame_of_its_own_both_ways(engineio: Running) -> None:
    async with engineio.session() as socket:
        # In one segment, so that the echoes leave together as well.
        socket.send(frame(TEXT, b"4a"), frame(BINARY, b"\x01"), frame(TEXT, b"4b\x1e4c"))
        heard = [await socket.frame() for _ in range(3)]
        # The separator means nothing here.
        assert heard == [(TEXT, b"4a"), (BINARY, b"\x01"), (TEXT, b"4b\x1e4c")]


async def test_a_second_websocket_of_a_session_is_closed(engineio: Running) -> None:
    async with engineio.upgraded() as first:
        sid = json.loads((await first.packet())[1:])["sid"]
        async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as second:
            assert await second.close_code() == 4106
        first.text("4still here")
        assert await first.packet() == "4still here"


# Protocol: the packets.


FROM_CLIENT = {
    "open": ("0", "wrong_direction"),
    "open with a payload": ("0{}", "wrong_direction"),
    "ping": ("2", "wrong_direction"),
    "a probe": ("2probe", "wrong_direction"),
    "upgrade": ("5", "upgrade_unexpected"),
    "a type that is not there": ("7", "unknown_packet"),
    "a type that is a letter": ("abc", "unknown_packet"),
    "a type in another script": ("٤hello", "unknown_packet"),
}


@pytest.mark.parametrize("name", FROM_CLIENT)
async def test_packets_that_a_client_must_not_send_end_a_polling_session(
    engineio: Running, name: str
) -> None:
    packet, reason = FROM_CLIENT[name]
    sid = await engineio.open()
    status, text = await engineio.post(sid, f"4before\x1e{packet}\x1e4after")

    assert status == 400
    assert json.loads(text)["error"]["details"]["reason"] == reason
    assert engineio.engine.counters.disconnects[reason] == 1
    await engineio.unknown(sid)


@pytest.mark.parametrize("name", [*FROM_CLIENT, "nothing"])
async def test_packets_that_a_client_must_not_send_end_a_websocket(
    engineio: Running, name: str
) -> None:
    packet, reason = FROM_CLIENT.get(name, ("", "empty_packet"))
    async with engineio.session() as socket:
        socket.text(packet)
        assert await socket.close_code() >= 4000
        assert await socket.rest() == b""
    assert engineio.engine.counters.disconnects[reason] == 1


@pytest.mark.parametrize("packet", ["6", "3", "3probe"])
async def test_noop_and_pong_may_come_at_any_time_and_change_nothing(
    engineio: Running, packet: str
) -> None:
    sid = await engineio.open()
    assert await engineio.post(sid, packet) == (200, "ok")
    assert await engineio.post(sid, "4x") == (200, "ok")
    assert await engineio.poll(sid) == (200, "4x")
    engine = engineio.engine
    async with engineio.session() as socket:
        due = dict(engine.pings._due_at)
        socket.text(packet)
        socket.text("4x")
        assert await socket.packet() == "4x"
        # In particular no ping comes later for it.
        assert engine.pings._due_at == due
        assert len(due) == len(engine.connections) == 2
        assert len(engine.pongs) == 0


# Protocol: the handshake.


def check_handshake(packet: str, upgrades: list[str]) -> str:
    assert packet[0] == "0"
    handshake = json.loads(packet[1:])
    sid = handshake.pop("sid")
    assert handshake == {
        "upgrades": upgrades,
        "pingInterval": 60_000,
        "pingTimeout": 20_000,
        "maxPayload": 10_000,
    }
    assert isinstance(sid, str)
    return sid


async def test_the_open_packet_has_these_five_keys_and_no_other(engineio: Running) -> None:
    polling = check_handshake((await engineio.ask("GET", OPENING)).text, ["websocket"])
    async with engineio.upgraded() as socket:
        websocket = check_handshake(await socket.packet(), [])
        assert polling != websocket
        assert set(engineio.engine.connections) == {polling, websocket}


async def test_session_ids_are_never_the_same(engineio: Running) -> None:
    sids = {await engineio.open() for _ in range(50)}
    assert len(sids) == 50
    # 15 random bytes in base64: whoever has a session's id has the session.
    assert {len(sid) for sid in sids} == {20}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
async def test_a_session_is_opened_with_get_only(engineio: Running, method: str) -> None:
    assert (await engineio.ask(method, OPENING)).status == 400
    assert (await engineio.ask(method, WEBSOCKET)).status == 400
    assert not engineio.engine.connections


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "BREW"])
async def test_a_session_is_polled_with_get_and_post_only(engineio: Running, method: str) -> None:
    sid = await engineio.open()
    assert (await engineio.ask(method, f"{OPENING}&sid={sid}", "4x")).status == 400
    assert await engineio.post(sid, "4hello") == (200, "ok")


async def test_a_websocket_without_an_upgrade_is_refused(engineio: Running) -> None:
    assert (await engineio.ask("GET", WEBSOCKET)).status == 400
    assert not engineio.engine.connections


# Protocol: messages, and how packets are encoded.


@pytest.mark.parametrize(
    "body",
    [
        "4hello",
        "4",
        "4hello\x1e4\x1e4world",
        "4test1\x1e4test2\x1e4test3",
        "4né€😀\x1e4\u0000\x1f",
        "4hello\x1ebAQIDBA==",
        "bAQIDBA==\x1eb/+8=\x1eb\x1e4b",
    ],
)
async def test_what_is_sent_over_polling_comes_back_as_it_was(engineio: Running, body: str) -> None:
    sid = await engineio.open()
    assert await engineio.post(sid, body) == (200, "ok")
    assert await engineio.poll(sid) == (200, body)


@pytest.mark.parametrize("message", [b"4hello", b"4", "4né€😀".encode(), b"4\x00\x1e\x1f"])
async def test_text_over_a_websocket_comes_back_as_it_was(
    engineio: Running, message: bytes
) -> None:
    async with engineio.session() as socket:
        socket.send(frame(TEXT, message))
        assert await socket.frame() == (TEXT, message)


@pytest.mark.parametrize("message", [b"\x01\x02\x03\x04", b"", b"4hello", b"bAQID", bytes(9_000)])
async def test_binary_over_a_websocket_has_no_type_and_is_not_changed(
    engineio: Running, message: bytes
) -> None:
    async with engineio.session() as socket:
        socket.send(frame(BINARY, message))
        assert await socket.frame() == (BINARY, message)


BROKEN_PAYLOADS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty_packet"),
    "a separator alone": (b"\x1e", "empty_packet"),
    "a separator before": (b"\x1e4hello", "empty_packet"),
    "a separator behind": (b"4hello\x1e", "empty_packet"),
    "two separators": (b"4hello\x1e\x1e4world", "empty_packet"),
    "text that is not UTF-8": (b"4\xff\xfe", "invalid_text"),
    "a cut character": ("4€".encode()[:-1], "invalid_text"),
    "bad base64": (b"b====", "bad_base64"),
    "base64 without padding": (b"bAQI", "bad_base64"),
    "base64 of the other alphabet": (b"b__-_", "bad_base64"),
    "base64 with a space": (b"bAQID BA==", "bad_base64"),
}


@pytest.mark.parametrize("name", BROKEN_PAYLOADS)
async def test_a_payload_that_cannot_be_read_is_answered_with_400_and_ends_the_session(
    engineio: Running, name: str
) -> None:
    body, reason = BROKEN_PAYLOADS[name]
    sid = await engineio.open()
    status, text = await engineio.post(sid, body)
    assert status == 400
    assert json.loads(text)["error"]["details"]["reason"] == reason
    await engineio.unknown(sid)


async def test_a_payload_is_taken_whole_or_not_at_all(engineio: Running) -> None:
    sid = await engineio.open()
    connection = engineio.engine.connections[sid]
    packets_in = engineio.engine.counters.packets_in
    assert (await engineio.post(sid, b"4hello\x1eb!"))[0] == 400
    assert engineio.engine.counters.packets_in == packets_in
    assert connection.ended is not None


async def test_text_that_is_not_utf8_closes_a_websocket(engineio: Running) -> None:
    async with engineio.session() as socket:
        socket.send(frame(TEXT, b"4\xff"))
        assert await socket.close_code() == 1007


async def test_a_payload_may_be_as_large_as_announced_and_no_larger(engineio: Running) -> None:
    sid = await engineio.open()
    largest = "4" + "x" * 9_999
    assert await engineio.post(sid, largest) == (200, "ok")
    assert await engineio.poll(sid) == (200, largest)
    assert (await engineio.post(sid, largest + "x"))[0] == 400
    await engineio.unknown(sid)


async def test_a_payload_that_says_it_is_too_large_is_refused_before_it_comes(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    async with raw(engineio.port) as client:
        head = f"POST /engine.io/?{OPENING}&sid={sid} HTTP/1.1\r\nHost: x\r\n"
        client.send(f"{head}Content-Length: 10001\r\n\r\n".encode())
        assert (await client.head()).startswith(b"HTTP/1.1 400 ")
    await engineio.unknown(sid)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_websocket_message_may_be_as_large_as_announced_and_no_larger(
    engineio: Running, opcode: int
) -> None:
    largest = b"4" * 10_000
    async with engineio.session() as socket:
        socket.send(frame(opcode, largest))
        assert await socket.frame() == (opcode, largest)
        socket.send(frame(opcode, largest + b"4"))
        assert await socket.close_code() == 1009


# Closing.


async def test_a_close_packet_ends_a_polling_session_and_lets_its_get_go(engineio: Running) -> None:
    sid = await engineio.open()
    poll = await engineio.waiting_poll(sid)
    assert await engineio.post(sid, "1") == (200, "ok")
    assert await poll == (200, "6")
    await engineio.unknown(sid)


async def test_nothing_behind_a_close_packet_is_taken(engineio: Running) -> None:
    sid = await engineio.open()
    connection = engineio.engine.connections[sid]
    assert await engineio.post(sid, "4a\x1e1\x1e4b\x1enonsense") == (200, "ok")
    assert engineio.engine.counters.disconnects == {"client_closed": 1}
    assert not connection._outbound


async def test_a_get_that_a_close_packet_overtakes_is_let_go_as_well(engineio: Running) -> None:
    sid = await engineio.open()
    assert await engineio.post(sid, "1") == (200, "ok")
    assert await engineio.poll(sid) == (200, "6")
    await engineio.unknown(sid)


async def test_a_close_packet_ends_a_websocket(engineio: Running) -> None:
    async with engineio.session() as socket:
        socket.send(frame(TEXT, b"4a"), frame(TEXT, b"1"), frame(TEXT, b"4b"))
        assert await socket.frame() == (TEXT, b"4a")
        assert await socket.close_code() == 1000
        assert await socket.rest() == b""
    assert engineio.engine.counters.disconnects == {"client_closed": 1}


async def test_a_server_that_closes_tells_the_get_that_waits_and_the_websocket(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    poll = await engineio.waiting_poll(sid)
    async with engineio.session() as socket:
        for connection in list(engineio.engine.connections.values()):
            connection.handler.text(b"4the last message")  # it is echoed
        draining = asyncio.create_task(engineio.engine.drain(LIMIT_S, lambda _: None))
        assert await poll == (200, "4the last message")
        assert await socket.packet() == "4the last message"
        assert await socket.close_code() == 1012
        await draining
    assert not engineio.engine.connections
