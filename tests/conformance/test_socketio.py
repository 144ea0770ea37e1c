"""Socket.IO, revision 5, clause by clause, in the order of docs/socket.io-protocol/v5-current.md.

Each test is one clause, in our own words. Packets are written with the `4` of the Engine.IO message
that carries them.
"""

import json
from dataclasses import replace

import pytest

from protocol.bounds import MAX_ATTACHMENTS, MAX_EVENT_ARGS, MAX_EVENT_NAME_CHARS
from protocol.socketio import RESERVED_EVENTS
from tests.conformance.running import CALM, WEBSOCKET, Running, join, socketio_server
from tests.sockets.raw import BINARY, TEXT, RawSocket, frame


async def hear(socket: RawSocket, *expected: str | bytes) -> None:
    """The next frames are these, and attachments are binary."""
    for one in expected:
        opcode, payload = await socket.frame()
        assert (opcode, payload) == (
            (BINARY, one) if isinstance(one, bytes) else (TEXT, one.encode())
        )


async def still_there(socket: RawSocket, namespace: str = "") -> None:
    """The connection and the namespace work, and nothing else was sent before."""
    socket.text(f'42{namespace}99["message-with-ack","?"]')
    await hear(socket, f'43{namespace}99["?"]')


async def closed_for(server: Running, socket: RawSocket, reason: str) -> None:
    """The whole connection is closed at once, for this reason, and nothing is said before."""
    opcode, _payload = await socket.frame()
    assert opcode == 8, "a close frame and no packet"
    await server.until_ended(reason)
    assert not server.engine.connections


# Connection to a namespace.


async def test_connect_is_answered_with_the_id_of_the_socket(socketio: Running) -> None:
    async with socketio.session() as socket:
        socket.text("40")
        answer = await socket.packet()
        assert answer[:2] == "40"
        connected = json.loads(answer[2:])
        assert list(connected) == ["sid"]
        assert isinstance(connected["sid"], str)


async def test_the_id_of_a_socket_is_nobody_elses(socketio: Running) -> None:
    async with socketio.session() as one, socketio.session() as two:
        # The id of the Engine.IO session, which opens its doors, is not told to the other side.
        ids = {await join(one), await join(one, "/custom"), await join(two)}
        assert len(ids | set(socketio.engine.connections)) == 5


@pytest.mark.parametrize("request_packet", ["40/custom,", "40/custom"])
async def test_a_namespace_is_joined_by_its_name(socketio: Running, request_packet: str) -> None:
    async with socketio.session() as socket:
        socket.text(request_packet)
        assert (await socket.packet()).startswith('40/custom,{"sid":"')
        await hear(socket, '42/custom,["auth",{}]')


async def test_the_main_namespace_may_be_named(socketio: Running) -> None:
    async with socketio.session() as socket:
        socket.text('40/,{"token":"123"}')
        assert (await socket.packet()).startswith('40{"sid":"')
        await hear(socket, '42["auth",{"token":"123"}]')


@pytest.mark.parametrize("namespace", ["", "/custom,"])
@pytest.mark.parametrize("auth", ['{"token":"123"}', "{}", '{"a":[1,{"b":null}],"é":"😀"}'])
async def test_the_payload_of_connect_reaches_the_application(
    socketio: Running, namespace: str, auth: str
) -> None:
    async with socketio.session() as socket:
        socket.text(f"40{namespace}{auth}")
        assert (await socket.packet()).startswith(f'40{namespace}{{"sid":"')
        await hear(socket, f'42{namespace}["auth",{auth}]')


@pytest.mark.parametrize("payload", ["[]", '"token"', "1", "null", "{", "{} ,", "abc", "{}{}"])
async def test_a_payload_of_connect_that_is_no_object_closes(
    socketio: Running, payload: str
) -> None:
    async with socketio.session() as socket:
        socket.text(f"40{payload}")
        await closed_for(socketio, socket, "malformed_packet")


@pytest.mark.parametrize("name", ["/random", "/custom/", "/custom?a=b", "/Custom", "//"])
async def test_an_unknown_namespace_is_refused_and_the_connection_stays(
    socketio: Running, name: str
) -> None:
    async with socketio.session() as socket:
        for request_packet in (f"40{name}", f"40{name},", f'40{name},{{"token":"123"}}'):
            socket.text(request_packet)
            await hear(socket, f'44{name},{{"message":"Invalid namespace"}}')
        await join(socket)
        await still_there(socket)


@pytest.mark.parametrize("namespace", ["", "/custom,"])
async def test_a_refusal_says_why_and_the_client_may_try_again(
    socketio: Running, namespace: str
) -> None:
    async with socketio.session() as socket:
        socket.text(f'40{namespace}{{"token":"wrong"}}')
        answer = await socket.packet()
        assert answer.startswith(f"44{namespace}{{")
        error = json.loads(answer.removeprefix(f"44{namespace}"))
        assert set(error) == {"message", "data"}
        assert error["message"] == "Your role does not allow this."
        assert error["data"]["number"] == 2004
        assert error["data"]["details"] == {"hint": "another token"}
        # Nothing was joined.
        await join(socket, namespace.rstrip(","))
        await still_there(socket, namespace)


async def test_a_refused_namespace_does_not_touch_the_others(socketio: Running) -> None:
    async with socketio.joined() as socket:
        socket.text('40/custom,{"token":"wrong"}')
        assert (await socket.packet()).startswith("44/custom,{")
        await still_there(socket)
        socket.text('42/custom,["message"]')
        await closed_for(socketio, socket, "not_connected")


FIRST = {
    "an event": ('42["message"]', "not_connected"),
    "an event with an id": ('421["message"]', "not_connected"),
    "an event of a namespace": ('42/custom,["message"]', "not_connected"),
    "an acknowledgement": ("430[]", "not_connected"),
    "a binary event": ('451-["message",{"_placeholder":true,"num":0}]', "not_connected"),
    "a binary acknowledgement": ('461-0[{"_placeholder":true,"num":0}]', "not_connected"),
    "a refusal": ('44{"message":"no"}', "wrong_direction"),
    "something else": ("4abc", "malformed_packet"),
}


@pytest.mark.parametrize("name", FIRST)
async def test_what_comes_before_connect_closes(socketio: Running, name: str) -> None:
    packet, reason = FIRST[name]
    async with socketio.session() as socket:
        socket.text(packet)
        await closed_for(socketio, socket, reason)


async def test_who_does_not_connect_in_time_is_closed(fallback: bool) -> None:
    options = replace(CALM, connect_timeout_ms=50)
    async with socketio_server(fallback=fallback, options=options) as server:
        async with server.session() as socket:
            await closed_for(server, socket, "connect_timeout")
        async with server.session() as socket:
            socket.text("40/random")
            await hear(socket, '44/random,{"message":"Invalid namespace"}')
            await closed_for(server, socket, "connect_timeout")
        sid = await server.open()
        assert await server.poll(sid) == (200, "1")
        await server.unknown(sid)


async def test_a_client_may_join_several_namespaces_in_any_order(socketio: Running) -> None:
    async with socketio.session() as socket:
        await join(socket, "/custom")
        # There is no main namespace that is joined by itself.
        assert len(socketio.engine.connections) == 1
        await join(socket)
        socket.send(frame(TEXT, b'42/custom,["message",1]'), frame(TEXT, b'42["message",2]'))
        await hear(socket, '42/custom,["message-back",1]', '42["message-back",2]')


async def test_joining_one_namespace_opens_no_other(socketio: Running) -> None:
    async with socketio.joined("/custom") as socket:
        await still_there(socket, "/custom,")
        socket.text('42["message"]')
        await closed_for(socketio, socket, "not_connected")


async def test_connect_to_a_namespace_that_is_joined_is_not_answered_again(
    socketio: Running,
) -> None:
    async with socketio.joined() as socket:
        socket.text("40")
        await still_there(socket)


# Sending and receiving data.


@pytest.mark.parametrize("namespace", ["", "/custom,"])
@pytest.mark.parametrize(
    "args",
    [
        "",
        ',1,"2",{"3":[true]}',
        ",null,false,-1.5e10,0",
        ',"né€😀 \\u0000\\"\\\\"',
        ',{"_placeholder":false,"num":0}',
        ',[],{},[[[]]],""',
        ',"1-"',
    ],
)
async def test_events_go_both_ways_with_their_arguments(
    socketio: Running, namespace: str, args: str
) -> None:
    async with socketio.joined(namespace.rstrip(",")) as socket:
        socket.text(f'42{namespace}["message"{args}]')
        await hear(socket, f'42{namespace}["message-back"{args}]')


@pytest.mark.parametrize(
    "payload",
    ["", "{}", "[]", '"message"', "1", "null", "[1]", "[null]", "[{}]", '[["message"]]', "[", "]",
     '["message"', '["message"],', '["message"]["message"]', "['message']", '["message",]',
     '["message",NaN]', '["message",undefined]', '["\\ud800"', '["message"] x'],
)  # fmt: skip
async def test_an_event_that_is_not_an_array_with_a_name_closes(
    socketio: Running, payload: str
) -> None:
    async with socketio.joined() as socket:
        socket.text(f"42{payload}")
        await closed_for(socketio, socket, "malformed_packet")


async def test_an_event_that_nobody_knows_is_no_fault(socketio: Running) -> None:
    async with socketio.joined() as socket:
        socket.text('42["nobody-listens",1]')
        await still_there(socket)


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
async def test_the_names_that_clients_use_themselves_close(socketio: Running, name: str) -> None:
    async with socketio.joined() as socket:
        socket.text(f'42["{name}"]')
        await closed_for(socketio, socket, "malformed_packet")


async def test_our_own_bounds_on_an_event(socketio: Running) -> None:
    longest, most = "x" * MAX_EVENT_NAME_CHARS, ",1" * MAX_EVENT_ARGS
    for broken in (f'42["{longest}x"]', f'42["message"{most},1]', f'421["message"{most},1]'):
        async with socketio.joined() as socket:
            socket.text(f'42["{longest}"]')
            socket.text(f'42["message"{most}]')
            await hear(socket, f'42["message-back"{most}]')
            socket.text(broken)
            await closed_for(socketio, socket, "malformed_packet")


ONE = '{"_placeholder":true,"num":0}'
TWO = '{"_placeholder":true,"num":1}'
ATTACHED = {
    "one attachment": (1, f",{ONE}", [b"\x01\x02\x03\x04"]),
    "two attachments": (2, f",{ONE},{TWO}", [b"\x01\x02", b"\x03\x04"]),
    "nested ones": (2, f',{{"a":[1,{{"b":{ONE}}}]}},"c",[{TWO}]', [b"\x00", b"\xff"]),
    "an empty one": (1, f",{ONE}", [b""]),
    "one that looks like a packet": (1, f",{ONE}", [b'42["message"]']),
}


@pytest.mark.parametrize("namespace", ["", "/custom,"])
@pytest.mark.parametrize("name", ATTACHED)
async def test_binary_events_go_both_ways(socketio: Running, namespace: str, name: str) -> None:
    count, args, attachments = ATTACHED[name]
    async with socketio.joined(namespace.rstrip(",")) as socket:
        socket.text(f'45{count}-{namespace}["message"{args}]')
        socket.send(*(frame(BINARY, attachment) for attachment in attachments))
        await hear(socket, f'45{count}-{namespace}["message-back"{args}]', *attachments)


async def test_attachments_are_told_apart_by_their_number(socketio: Running) -> None:
    async with socketio.joined() as socket:
        socket.send(
            frame(TEXT, f'452-["message",{TWO},{ONE},{TWO}]'.encode()),
            frame(BINARY, b"first"),
            frame(BINARY, b"second"),
        )
        three = '{"_placeholder":true,"num":2}'
        await hear(
            socket, f'453-["message-back",{ONE},{TWO},{three}]', b"second", b"first", b"second"
        )


async def test_an_event_may_announce_no_attachment(socketio: Running) -> None:
    async with socketio.joined() as socket:
        socket.text('450-["message",1]')
        await hear(socket, '42["message-back",1]')


async def test_attachments_over_polling_are_base64_in_the_order_of_their_packet(
    socketio: Running,
) -> None:
    sid = await socketio.open()
    assert await socketio.post(sid, "40") == (200, "ok")
    status, body = await socketio.poll(sid)
    assert (status, body.count("\x1e")) == (200, 1)
    event = f'452-["message",{ONE},{TWO}]\x1ebAQI=\x1ebAwQ='
    assert await socketio.post(sid, event) == (200, "ok")
    assert await socketio.poll(sid) == (200, event.replace("message", "message-back"))
    # They may come in requests of their own.
    for part in event.split("\x1e"):
        assert await socketio.post(sid, part) == (200, "ok")
    assert await socketio.poll(sid) == (200, event.replace("message", "message-back"))


BROKEN_ATTACHMENTS: dict[str, tuple[list[str | bytes], str]] = {
    "text where one is awaited": ([f'451-["message",{ONE}]', '42["x"]'], "attachment_missing"),
    "another binary event": ([f'451-["message",{ONE}]'] * 2, "attachment_missing"),
    "a disconnect": ([f'451-["message",{ONE}]', "41"], "attachment_missing"),
    "one too many": ([f'451-["message",{ONE}]', b"a", b"b"], "attachment_unexpected"),
    "one of nothing": ([b"a"], "attachment_unexpected"),
    "one that was not sent": ([f'451-["message",{TWO}]', b"a"], "bad_placeholder"),
    "a negative number": (
        ['451-["message",{"_placeholder":true,"num":-1}]', b"a"], "bad_placeholder",
    ),
    "a number that is text": (
        ['451-["message",{"_placeholder":true,"num":"0"}]', b"a"], "bad_placeholder",
    ),
    "a number that is true": (
        ['452-["message",{"_placeholder":true,"num":true}]', b"a", b"b"], "bad_placeholder",
    ),
    "no number": (['451-["message",{"_placeholder":true}]', b"a"], "bad_placeholder"),
    "a placeholder where none is": ([f'450-["message",{ONE}]'], "bad_placeholder"),
    "a name that is one": ([f"451-[{ONE}]", b"a"], "malformed_packet"),
    "no count": ([f'45["message",{ONE}]'], "malformed_packet"),
    "a count that is no number": ([f'45x-["message",{ONE}]'], "malformed_packet"),
    "a negative count": ([f'45-1-["message",{ONE}]'], "malformed_packet"),
    "a count on an event": ([f'421-["message",{ONE}]'], "malformed_packet"),
    "more than we take": ([f'45{MAX_ATTACHMENTS + 1}-["message"]'], "too_many_attachments"),
    "a huge count": (['45999999999999-["message"]'], "malformed_packet"),
    "no array": (['451-{"_placeholder":true,"num":0}', b"a"], "malformed_packet"),
    "an empty array": (["451-[]", b"a"], "malformed_packet"),
    "for a namespace that is not joined": ([f'451-/custom,["x",{ONE}]'], "not_connected"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_ATTACHMENTS)
async def test_attachments_that_do_not_fit_their_packet_close(socketio: Running, name: str) -> None:
    packets, reason = BROKEN_ATTACHMENTS[name]
    async with socketio.joined() as socket:
        for packet in packets:
            opcode, payload = (
                (BINARY, packet) if isinstance(packet, bytes) else (TEXT, packet.encode())
            )
            socket.send(frame(opcode, payload))
        while (await socket.frame())[0] != 8:
            assert name == "one too many", "only there a whole packet came before"
        await socketio.until_ended(reason)


# Acknowledgement.


@pytest.mark.parametrize("namespace", ["", "/custom,"])
@pytest.mark.parametrize("ack_id", ["0", "1", "12", "456", "999999999999999"])
@pytest.mark.parametrize(("args", "answer"), [("", "[]"), (',1,"2",{"3":[false]}', None)])
async def test_an_event_with_an_id_is_acknowledged_with_that_id(
    socketio: Running, namespace: str, ack_id: str, args: str, answer: str | None
) -> None:
    async with socketio.joined(namespace.rstrip(",")) as socket:
        socket.text(f'42{namespace}{ack_id}["message-with-ack"{args}]')
        await hear(socket, f"43{namespace}{ack_id}{answer or f'[{args[1:]}]'}")


async def test_an_event_without_an_id_is_not_acknowledged(socketio: Running) -> None:
    async with socketio.joined() as socket:
        socket.text('42["message-with-ack",1]')
        await still_there(socket)


async def test_ids_are_the_clients_and_may_repeat(socketio: Running) -> None:
    async with socketio.joined() as socket:
        await join(socket, "/custom")
        for prefix in ("", "/custom,", ""):
            socket.text(f'42{prefix}7["message-with-ack","{prefix}"]')
            await hear(socket, f'43{prefix}7["{prefix}"]')


@pytest.mark.parametrize("namespace", ["", "/custom,"])
async def test_an_acknowledgement_with_attachments_is_a_binary_one(
    socketio: Running, namespace: str
) -> None:
    async with socketio.joined(namespace.rstrip(",")) as socket:
        socket.text(f'452-{namespace}789["message-with-ack",{ONE},{TWO}]')
        socket.send(frame(BINARY, b"\x01\x02\x03"), frame(BINARY, b"\x04\x05\x06"))
        await hear(socket, f"462-{namespace}789[{ONE},{TWO}]", b"\x01\x02\x03", b"\x04\x05\x06")


@pytest.mark.parametrize(
    "packet",
    ['42abc["message-with-ack"]', '42-1["message-with-ack"]', '421.5["message-with-ack"]',
     '42 1["message-with-ack"]', '421 2["message-with-ack"]', '42٤["message-with-ack"]',
     '429999999999999999["message-with-ack"]', '42/custom,x["message-with-ack"]'],
)  # fmt: skip
async def test_an_id_that_is_no_number_closes(socketio: Running, packet: str) -> None:
    async with socketio.joined() as socket:
        await join(socket, "/custom")
        socket.text(packet)
        await closed_for(socketio, socket, "malformed_packet")


@pytest.mark.parametrize("namespace", ["", "/custom,"])
async def test_the_client_may_acknowledge_with_and_without_arguments(
    socketio: Running, namespace: str
) -> None:
    async with socketio.joined(namespace.rstrip(",")) as socket:
        # Nobody waits for these, which is no fault: an answer may come after a time-out.
        socket.text(f"43{namespace}0[]")
        socket.text(f'43{namespace}15["bar",null]')
        socket.text(f'461-{namespace}15["bar",{ONE}]')
        socket.send(frame(BINARY, b"\x01\x02"))
        await still_there(socket, namespace)


@pytest.mark.parametrize(
    "packet",
    ["43[]", '43["bar"]', "430", "430{}", '430"bar"', "430null", "43/custom,[]", "43x[]",
     "460-[]", "460-0{}", "461-0"],
)  # fmt: skip
async def test_an_acknowledgement_without_an_id_or_an_array_closes(
    socketio: Running, packet: str
) -> None:
    async with socketio.joined() as socket:
        await join(socket, "/custom")
        socket.text(packet)
        await closed_for(socketio, socket, "malformed_packet")


@pytest.mark.parametrize("packet", ["43/custom,0[]", '42/custom,["message"]', '42/x,1["message"]'])
async def test_a_packet_for_a_namespace_that_is_not_joined_closes(
    socketio: Running, packet: str
) -> None:
    async with socketio.joined() as socket:
        socket.text(packet)
        await closed_for(socketio, socket, "not_connected")


# Disconnection from a namespace.


@pytest.mark.parametrize("packet", ["41/custom,", "41/custom"])
async def test_a_client_leaves_one_namespace_without_an_answer(
    socketio: Running, packet: str
) -> None:
    async with socketio.joined() as socket:
        await join(socket, "/custom")
        socket.text(packet)
        await still_there(socket)
        socket.text('42/custom,["message"]')
        await closed_for(socketio, socket, "not_connected")


async def test_a_client_leaves_the_main_namespace_and_keeps_the_other(socketio: Running) -> None:
    async with socketio.joined() as socket:
        await join(socket, "/custom")
        socket.text("41")
        await still_there(socket, "/custom,")


async def test_a_client_that_has_left_everything_may_come_back(socketio: Running) -> None:
    async with socketio.session() as socket:
        first = await join(socket)
        socket.text("41")
        second = await join(socket)
        assert first != second
        await still_there(socket)


async def test_leaving_what_was_not_joined_is_no_fault(socketio: Running) -> None:
    async with socketio.joined() as socket:
        socket.text("41/custom,")
        socket.text("41/random,")
        await still_there(socket)


@pytest.mark.parametrize("packet", ["41{}", "41[]", "411", "41/custom,{}", "41,"])
async def test_a_disconnect_carries_nothing(socketio: Running, packet: str) -> None:
    async with socketio.joined() as socket:
        socket.text(packet)
        await closed_for(socketio, socket, "malformed_packet")


@pytest.mark.parametrize(("namespace", "told"), [("", "41"), ("/custom", "41/custom,")])
async def test_the_server_ends_one_namespace(socketio: Running, namespace: str, told: str) -> None:
    prefix, other = ("/custom,", "") if namespace else ("", "/custom,")
    async with socketio.joined() as socket:
        await join(socket, "/custom")
        # What the client sent before it could know is ignored.
        socket.send(
            frame(TEXT, f'42{prefix}["dismiss-me"]'.encode()),
            frame(TEXT, f'42{prefix}1["message-with-ack"]'.encode()),
            frame(TEXT, f"43{prefix}0[]".encode()),
            frame(TEXT, f"41{prefix}".encode()),
        )
        await hear(socket, told)
        await still_there(socket, other)
        await join(socket, namespace)
        await still_there(socket, prefix)


async def test_the_end_of_the_connection_ends_every_namespace(socketio: Running) -> None:
    async with socketio.joined() as socket:
        await join(socket, "/custom")
        socket.text("1")
        assert await socket.close_code() == 1000
    assert not socketio.engine.connections


# Packet encoding.


@pytest.mark.parametrize(
    "packet",
    ["4", "47", "48", "49", "4abc", "4-1", "4 2", '4["message"]', '4:2["message"]',
     '42/custom["message"]', '42custom,["message"]', '44{"message":"no"}', "44", "4\x00",
     "42/" + "x" * 100 + ',["message"]'],
)  # fmt: skip
async def test_what_is_no_packet_of_a_client_closes(socketio: Running, packet: str) -> None:
    reason = "wrong_direction" if packet.startswith("44") else "malformed_packet"
    async with socketio.joined() as socket:
        socket.text(packet)
        await closed_for(socketio, socket, reason)


async def test_a_packet_is_an_engineio_message_and_nothing_else(socketio: Running) -> None:
    async with socketio.joined() as socket:
        socket.text('2["message"]')
        await closed_for(socketio, socket, "wrong_direction")


async def test_a_broken_packet_ends_a_polling_session_too(socketio: Running) -> None:
    sid = await socketio.open()
    assert await socketio.post(sid, "40") == (200, "ok")
    status, text = await socketio.post(sid, "42{}")
    assert status == 400
    assert json.loads(text)["error"]["details"]["reason"] == "malformed_packet"
    await socketio.unknown(sid)


async def test_a_broken_packet_ends_nobody_elses_connection(socketio: Running) -> None:
    async with socketio.joined() as witness, socketio.joined() as socket:
        socket.text("42{}")
        assert await socket.close_code() == 4200
        await still_there(witness)


# The sample session at the end of the specification.


async def test_a_session_from_polling_over_the_upgrade_to_its_end(socketio: Running) -> None:
    sid = await socketio.open()
    assert await socketio.post(sid, "40") == (200, "ok")
    status, body = await socketio.poll(sid)
    connected, greeting = body.split("\x1e")
    assert (status, connected[:10], greeting) == (200, '40{"sid":"', '42["auth",{}]')
    assert await socketio.post(sid, '42["message","hello"]\x1e42["message","world"]') == (200, "ok")
    assert await socketio.poll(sid) == (
        200,
        '42["message-back","hello"]\x1e42["message-back","world"]',
    )

    poll = await socketio.waiting_poll(sid)
    async with socketio.upgraded(f"{WEBSOCKET}&sid={sid}") as socket:
        socket.text("2probe")
        await hear(socket, "3probe")
        assert await poll == (200, "6")
        socket.send(frame(TEXT, b"5"), frame(TEXT, b'42["message","hello"]'))
        await hear(socket, '42["message-back","hello"]')
        await join(socket, "/custom")
        socket.text(f'451-/custom,1["message-with-ack",{ONE}]')
        socket.send(frame(BINARY, b"\x01\x02"))
        await hear(socket, f"461-/custom,1[{ONE}]", b"\x01\x02")
        socketio.engine.connections[sid].ping()
        await hear(socket, "2")
        socket.text("3")
        socket.text("1")
        assert await socket.close_code() == 1000
    await socketio.until_ended("client_closed")
