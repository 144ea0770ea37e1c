"""Engine.IO, revision 4, section "Upgrade", clause by clause."""

from dataclasses import replace

import pytest

from protocol.engineio import Phase
from tests.conformance.running import CALM, WEBSOCKET, Running, engineio_server
from tests.sockets.raw import BINARY, TEXT, RawSocket, frame

PATIENT = replace(CALM, ping_interval_ms=30, ping_timeout_ms=5_000)


async def move(server: Running, sid: str, socket: RawSocket) -> None:
    """Take a session over to a WebSocket, as a client does that does not poll meanwhile."""
    socket.text("2probe")
    while await socket.packet() != "3probe":
        pass
    socket.text("5")
    connection = server.engine.connections[sid]
    await server.until(lambda: connection.session.phase is Phase.WEBSOCKET)


async def test_a_probe_is_answered_and_a_get_that_waits_is_let_go(engineio: Running) -> None:
    sid = await engineio.open()
    poll = await engineio.waiting_poll(sid)
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        # Nobody says anything before the probe, neither on the old transport nor on the new one.
        assert not poll.done()
        socket.text("2probe")
        assert await socket.frame() == (TEXT, b"3probe")
        assert await poll == (200, "6")


async def test_a_get_that_comes_during_the_upgrade_is_let_go(engineio: Running) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.text("2probe")
        assert await socket.frame() == (TEXT, b"3probe")
        assert await engineio.poll(sid) == (200, "6")


async def test_the_upgrade_packet_completes_the_upgrade(engineio: Running) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        await move(engineio, sid, socket)
        socket.send(frame(TEXT, b"4hello"), frame(BINARY, b"\x01"))
        # It is the same session: nothing is opened, nothing is sent but the messages.
        assert await socket.frame() == (TEXT, b"4hello")
        assert await socket.frame() == (BINARY, b"\x01")
        assert list(engineio.engine.connections) == [sid]


async def test_requests_of_a_session_that_has_upgraded_are_refused_and_harm_nothing(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        await move(engineio, sid, socket)
        assert (await engineio.poll(sid))[0] == 400
        assert (await engineio.post(sid, "4x"))[0] == 400
        async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as another:
            assert await another.close_code() == 4106
        socket.text("4still here")
        assert await socket.packet() == "4still here"


async def test_messages_before_during_and_after_the_upgrade_keep_their_order(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    assert await engineio.post(sid, "4a") == (200, "ok")
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.text("2probe")
        assert await socket.packet() == "3probe"
        assert await engineio.post(sid, "4b") == (200, "ok")
        assert await engineio.poll(sid) == (200, "4a\x1e4b")
        assert await engineio.post(sid, "4c") == (200, "ok")
        socket.send(frame(TEXT, b"5"), frame(TEXT, b"4d"))
        assert [await socket.packet() for _ in range(2)] == ["4c", "4d"]


@pytest.mark.parametrize(
    "wrong",
    ["5", "2", "2prob", "2probe!", "3probe", "4hello", "1", "6", "", "x"],
)
async def test_an_upgrade_that_begins_with_anything_but_a_probe_fails_alone(
    engineio: Running, wrong: str
) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.text(wrong)
        assert await socket.close_code() == 4107
    assert await engineio.post(sid, "4hello") == (200, "ok")
    assert await engineio.poll(sid) == (200, "4hello")
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as again:
        await move(engineio, sid, again)


async def test_a_binary_message_is_no_probe(engineio: Running) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.send(frame(BINARY, b"2probe"))
        assert await socket.close_code() == 4107
    assert sid in engineio.engine.connections


async def test_the_probe_may_be_repeated(engineio: Running) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.text("2probe")
        assert await socket.packet() == "3probe"
        await move(engineio, sid, socket)


async def test_messages_on_the_new_transport_wait_for_the_upgrade_packet(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.text("2probe")
        assert await socket.packet() == "3probe"
        socket.text("4too early")
        assert await socket.close_code() == 4107
    assert await engineio.post(sid, "4hello") == (200, "ok")
    assert await engineio.poll(sid) == (200, "4hello")


async def test_a_session_that_ends_during_its_upgrade_ends_on_both_transports(
    engineio: Running,
) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.text("2probe")
        assert await socket.packet() == "3probe"
        assert (await engineio.post(sid, "nonsense"))[0] == 400
        assert await socket.close_code() == 4101
    await engineio.unknown(sid)


async def test_binary_that_waited_through_an_upgrade_is_no_longer_base64(engineio: Running) -> None:
    sid = await engineio.open()
    async with engineio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        assert await engineio.post(sid, "bAQIDBA==") == (200, "ok")
        socket.text("2probe")
        assert await socket.packet() == "3probe"
        socket.text("5")
        assert await socket.frame() == (BINARY, b"\x01\x02\x03\x04")


async def test_the_heartbeat_goes_on_over_the_new_transport(fallback: bool) -> None:
    async with engineio_server(fallback=fallback, options=PATIENT) as server:
        sid = await server.open()
        async with server.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
            await move(server, sid, socket)
            for _ in range(2):
                assert await socket.frame() == (TEXT, b"2")
                socket.text("3")
