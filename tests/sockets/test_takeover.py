"""An upgrade that comes to another node than its session's takes the session over."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from actors.decision import Item, Notice
from actors.runtime.exchange import Exchange
from protocol.engineio import Binary, encode_payload
from server.cluster import arrivals, handoff
from server.cluster.rooms import FarRooms
from server.hub import Hub
from server.sockets.options import SocketOptions
from tests.sockets.application import fall_due
from tests.sockets.raw import BINARY, TEXT, Door, RawSocket, frame, websocket
from tests.sockets.test_wrong_node import StrayPoller
from tests.sockets.two_nodes import Member, two_nodes
from tests.support.memory_bus import MemoryBus

RECOVERABLE = {"recover": True, "owner": "ann", "rooms": ["table"], "quiet": True}


async def joined(
    http: aiohttp.ClientSession, one: Member, two: Member, auth: str = ""
) -> StrayPoller:
    """A session that polls, of `one`, and whose upgrade is to come to `two`."""
    poller = StrayPoller(http, one, two)
    await poller.open()
    assert await poller.post(f"40{auth}") == (200, "ok")
    await poller.hear_until(lambda packets: any("40{" in packet for packet in packets))
    return poller


async def recoverable(
    http: aiohttp.ClientSession, one: Member, two: Member
) -> tuple[StrayPoller, dict[str, str]]:
    """The same, of a client that may come back, and by what it is known then."""
    poller = StrayPoller(http, one, two)
    await poller.open()
    assert await poller.post("40" + json.dumps(RECOVERABLE)) == (200, "ok")
    _status, packet = await poller.get()
    return poller, json.loads(packet[2:])


@asynccontextmanager
async def candidate(poller: StrayPoller, door: Door = Door.PICOWS) -> AsyncIterator[RawSocket]:
    """A WebSocket at the other node that names the session."""
    query = f"EIO=4&transport=websocket&sid={poller.sid}"
    async with websocket(poller.elsewhere.port, query, door) as socket:
        yield socket


@asynccontextmanager
async def probed(poller: StrayPoller, door: Door = Door.PICOWS) -> AsyncIterator[RawSocket]:
    """The same, whose probe has been answered."""
    async with candidate(poller, door) as socket:
        socket.text("2probe")
        assert await socket.packet() == "3probe"
        yield socket


@pytest.mark.parametrize("door", list(Door))
async def test_the_session_goes_on_where_the_websocket_is(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, door: Door
) -> None:
    one, two = nodes
    poller = await joined(http, one, two, '{"rooms":["table"],"owner":"ann","quiet":true}')
    [before] = one.application.sockets
    poll = asyncio.create_task(poller.get())
    await one.until(lambda: before.connection.writable)
    async with probed(poller, door) as socket:
        assert await poll == (200, "6")  # the poll that waited is let go
        before.emit("n", 0)
        assert await poller.get() == (200, '42["n",0]')
        assert await poller.get() == (200, "6")  # and no new one waits
        before.emit("n", 1)
        before.emit("n", b"\x00\xff")
        # What follows the client's word does not wait for an answer.
        socket.send(frame(TEXT, b"5"), frame(TEXT, b'420["echo","here"]'))
        assert await socket.packet() == '42["n",1]'
        assert await socket.packet() == '451-["n",{"_placeholder":true,"num":0}]'
        assert await socket.frame() == (BINARY, b"\x00\xff")
        assert await socket.packet() == '430["here"]'

        [after] = two.application.sockets
        assert (after.id, after.owner, after.rooms) == (before.id, "ann", {"table"})
        assert (one.connections, two.connections) == (0, 1)
        assert one.application.ends == [("/", "moved")]
        assert (one.server.hub.rooms, one.server.sockets) == (0, 0)
        assert two.server.sockets == 1
        assert two.server.counters.taken_over == 1
        assert dict(+two.server.counters.open_by_transport) == {"websocket": 1}
        assert not +one.server.counters.open_by_transport
        assert one.server.engine.admission.sessions.taken == 0
        assert two.server.engine.admission.sessions.taken == 1
        two.rooms.publish(Notice("table", "said", "to all"), None)
        one.rooms.publish(Notice("table", "said", "from afar"), None)
        assert await socket.packet() == '42["said","to all"]'
        assert await socket.packet() == '42["said","from afar"]'
        assert (await poller.get())[0] == 400
        assert (await poller.post("42"))[0] == 400
        socket.text('421["echo","still here"]')
        assert await socket.packet() == '431["still here"]'
    await two.until_ended("transport_closed")


@pytest.mark.parametrize("door", list(Door))
async def test_a_client_that_speaks_msgpack_goes_on_in_msgpack(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, door: Door
) -> None:
    one, two = nodes
    poller = StrayPoller(http, one, two)
    await poller.open()
    connect = msgspec.msgpack.encode({"type": 0, "nsp": "/", "data": {"quiet": True}})
    assert await poller.post(encode_payload([Binary(connect)])) == (200, "ok")
    await poller.get()
    async with probed(poller, door) as socket:
        event = {"type": 2, "nsp": "/", "id": 7, "data": ["echo", 125]}
        socket.send(frame(TEXT, b"5"), frame(BINARY, msgspec.msgpack.encode(event)))
        while (received := await socket.frame())[0] == TEXT:
            assert received[1] == b"2"
        acknowledged = msgspec.msgpack.decode(received[1])
        assert (acknowledged["type"], acknowledged["id"]) == (3, 7)
        assert acknowledged["data"] == [125]
    assert two.application.events == [("echo", [125])]


async def test_what_is_under_way_is_answered_once_before_the_session_moves(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two, '{"quiet":true}')
    assert await poller.post('420["later"]\x1e421["later"]') == (200, "ok")
    async with probed(poller) as socket:
        socket.send(frame(TEXT, b"5"), frame(TEXT, b'422["echo",2]'))
        await one.until(lambda: poller.sid in one.handoffs._abroad)
        [connection] = one.server.engine.connections.values()
        await one.until(lambda: connection.transport.name == "websocket")
        one.application.kept_acks[1].send("second")
        await asyncio.sleep(0.02)
        assert one.connections == 1
        one.application.kept_acks[0].send("first")

        assert [await socket.packet() for _ in range(3)] == [
            '431["second"]',
            '430["first"]',
            "432[2]",
        ]


async def test_a_namespace_that_is_being_joined_is_joined_before_the_session_moves(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = StrayPoller(http, one, two)
    await poller.open()
    assert await poller.post('40{"wait_s":0.2,"quiet":true}') == (200, "ok")
    async with probed(poller) as socket:
        socket.send(frame(TEXT, b"5"))
        assert (await socket.packet()).startswith('40{"sid":')
        socket.text('420["echo","joined"]')
        assert await socket.packet() == '430["joined"]'
    assert len(two.application.sockets) == 1


async def test_a_namespace_that_was_dismissed_stays_so(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two, '{"quiet":true}')
    assert await poller.post('40/chat,{"quiet":true}') == (200, "ok")
    await poller.hear_until(lambda packets: any("40/chat" in packet for packet in packets))
    [_main, chat] = one.application.sockets
    async with probed(poller) as socket:
        chat.disconnect()
        # The client does not know yet that it is out.
        socket.send(frame(TEXT, b"5"), frame(TEXT, b'42/chat,["echo",1]'))
        assert await socket.packet() == "41/chat,"
        socket.text('420["echo","inside"]')
        assert await socket.packet() == '430["inside"]'
        assert [socket.namespace for socket in two.application.sockets] == ["/"]


async def test_a_session_that_does_not_come_to_rest_ends(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff, "SETTLE_S", 0.05)
    one, two = nodes
    poller = await joined(http, one, two)
    assert await poller.post('420["later"]') == (200, "ok")
    async with probed(poller) as socket:
        socket.text("5")
        assert await socket.close_code() == 4106
    assert (one.connections, two.connections) == (0, 0)
    one.application.kept_acks[0].send("too late")


async def test_a_packet_in_parts_does_not_move(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff, "SETTLE_S", 0.05)
    one, two = nodes
    poller = await joined(http, one, two)
    assert await poller.post('451-["echo",{"_placeholder":true,"num":0}]') == (200, "ok")
    async with probed(poller) as socket:
        socket.text("5")
        assert await socket.close_code() == 4106
    assert one.application.events == []


@pytest.mark.parametrize("door", list(Door))
@pytest.mark.parametrize("broken", [frame(TEXT, b"5"), frame(TEXT, b"4x"), frame(BINARY, b"x")])
async def test_a_broken_candidate_leaves_the_session_polling(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, door: Door, broken: bytes
) -> None:
    one, two = nodes
    poller = await joined(http, one, two, '{"quiet":true}')
    async with candidate(poller, door) as socket:
        socket.send(broken)
        assert await socket.close_code() == 4107
    assert await poller.post('420["echo",1]') == (200, "ok")
    assert await poller.get() == (200, "430[1]")


async def test_a_candidate_that_leaves_after_its_probe_leaves_the_session_polling(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two, '{"quiet":true}')
    async with probed(poller):
        assert one.handoffs._abroad
    await one.until(lambda: not one.handoffs._abroad)

    assert await poller.post('420["echo",1]') == (200, "ok")
    assert await poller.get() == (200, "430[1]")
    async with probed(poller) as socket:
        socket.text("5")
        socket.text('421["echo",2]')
        assert await socket.packet() == "431[2]"


async def test_a_candidate_that_says_nothing_is_dropped(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two)
    async with candidate(poller) as silent, probed(poller) as unsure:
        fall_due(two.takeovers._upgrades)
        assert await silent.close_code() == 4004
        assert await unsure.close_code() == 4004
    assert (one.connections, two.connections) == (1, 0)


async def test_a_second_candidate_is_refused(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two, '{"quiet":true}')
    async with probed(poller) as first, candidate(poller) as second:
        second.text("2probe")
        assert await second.close_code() == 4106
        first.send(frame(TEXT, b"5"), frame(TEXT, b'420["echo",1]'))
        assert await first.packet() == "430[1]"


async def test_a_client_that_leaves_in_the_middle_ends_where_it_went(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two)
    assert await poller.post('420["later"]') == (200, "ok")
    async with probed(poller) as socket:
        socket.text("5")
        [connection] = one.server.engine.connections.values()
        await one.until(lambda: connection.transport.name == "websocket")
    await asyncio.sleep(0.02)
    one.application.kept_acks[0].send("nobody hears")
    await two.until_ended("transport_closed")
    assert (one.connections, two.connections) == (0, 0)
    assert (one.server.sockets, two.server.sockets) == (0, 0)
    await two.until(lambda: not two.takeovers._tasks)


async def test_who_sends_too_much_before_the_session_is_there_is_cut_off(
    http: aiohttp.ClientSession,
) -> None:
    async with two_nodes(SocketOptions(max_packets_per_second=10)) as (one, two):
        poller = await joined(http, one, two)
        assert await poller.post('420["later"]') == (200, "ok")
        async with probed(poller) as socket:
            socket.text("5")
            socket.send(*[frame(TEXT, b'42["echo"]')] * 20)
            assert await socket.close_code() == 4006
        one.application.kept_acks[0].send()
        await two.until_ended("flooding")
        assert two.application.events == []


async def test_a_member_that_dies_in_the_middle_ends_the_websocket(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two)
    async with probed(poller) as socket:
        await one.door.close()
        socket.text("5")
        assert await socket.close_code() == 4106
    assert two.connections == 0


async def test_a_node_that_drains_has_its_new_session_connect_again(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = await joined(http, one, two)
    async with probed(poller) as socket:
        two.server.engine.admission.draining = True
        socket.text("5")
        assert await socket.close_code() == 1012


async def test_who_may_come_back_comes_back_to_the_node_it_went_to(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller, known = await recoverable(http, one, two)
    async with probed(poller) as socket:
        socket.send(frame(TEXT, b"5"))
        await two.until(lambda: two.connections == 1)
        two.rooms.publish(Notice("table", "said", 1), None)
        name, value, offset = json.loads((await socket.packet())[2:])
        assert (name, value) == ("said", 1)
    await two.until(lambda: two.server.recovery.absent == 1)
    assert one.server.recovery.absent == 0
    two.rooms.publish(Notice("table", "said", 2), None)

    async with websocket(two.port) as again:
        await again.packet()
        again.text("40" + json.dumps({**RECOVERABLE, "pid": known["pid"], "offset": offset}))
        assert json.loads((await again.packet())[2:]) == known
        assert json.loads((await again.packet())[2:])[:2] == ["said", 2]


@pytest.mark.parametrize(("behind", "recovered"), [(0, True), (1, False)])
async def test_who_is_lost_before_the_new_node_has_told_anything(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, behind: int, recovered: bool
) -> None:
    """Who had the last event of the node before has missed what came since; of others who knows."""
    one, two = nodes
    poller, known = await recoverable(http, one, two)
    offsets = []
    for number in range(2):
        one.rooms.publish(Notice("table", "said", number), None)
        _status, packet = await poller.get()
        offsets.append(json.loads(packet[2:])[-1])
    async with probed(poller) as socket:
        socket.send(frame(TEXT, b"5"))
        await two.until(lambda: two.connections == 1)
    await two.until(lambda: two.server.recovery.absent == 1)
    two.rooms.publish(Notice("table", "said", "meanwhile"), None)

    async with websocket(two.port) as again:
        await again.packet()
        offset = offsets[-1 - behind]
        again.text("40" + json.dumps({**RECOVERABLE, "pid": known["pid"], "offset": offset}))
        answer = json.loads((await again.packet())[2:])
        assert (answer["pid"] == known["pid"]) is recovered
        if recovered:
            assert json.loads((await again.packet())[2:])[:2] == ["said", "meanwhile"]


@pytest.mark.parametrize("seed", range(5))
async def test_rooms_are_told_everything_once_and_in_order(
    http: aiohttp.ClientSession, seed: int
) -> None:
    """Notices and lists go on while a session moves, told by three nodes, over a slow bus."""
    chance = random.Random(seed)
    async with two_nodes(delay_s=lambda: chance.uniform(0, 0.01)) as (one, two):
        # A third node, on which nobody sits.
        bus = MemoryBus(one.bus._hub, "cccccccc")
        tellers = {
            "one": one.rooms,
            "two": two.rooms,
            "three": FarRooms(Exchange("cccccccc", bus), Hub(), lambda: True),
        }
        bus.start()
        await one.until(lambda: bus.connected)
        poller = await joined(http, one, two, '{"rooms":["table"],"quiet":true}')
        polled: list[str] = []
        telling = True

        async def tell(teller: str) -> int:
            number = 0
            while telling:
                word = f"{teller} {number}"
                tellers[teller].publish(Notice("table", "said", word), None)
                tellers[teller].publish(Item("table", "bet:joined", word), None)
                number += 1
                await asyncio.sleep(chance.uniform(0, 0.004))
            return number

        tasks = [asyncio.create_task(tell(teller)) for teller in tellers]
        polled += await poller.hear_until(lambda packets: len(packets) > 20)
        async with probed(poller) as socket:
            polled += await poller.hear_until(lambda packets: "6" in packets)
            socket.text("5")
            await two.until(lambda: two.connections == 1)
            await asyncio.sleep(0.2)
            telling = False
            counts = dict(zip(tellers, await asyncio.gather(*tasks), strict=True))
            heard = [*polled]
            while any(_heard(heard, "said", name)[-1:] != [counts[name] - 1] for name in counts):
                heard.append(await socket.packet())
            two.rooms.publish(Notice("table", "said", "end"), None)
            while '42["said","end"]' not in heard:
                heard.append(await socket.packet())

        bus.close()
        assert not [packet for packet in heard if "room:interrupted" in packet]
        for event in ("said", "bet:joined"):
            for teller, count in counts.items():
                numbers = _heard(heard, event, teller)
                assert numbers == list(range(numbers[0], count)), (event, teller)


def _heard(packets: list[str], event: str, teller: str) -> list[int]:
    """The numbers that were heard of one teller, in the order of hearing."""
    words: list[str] = []
    for packet in packets:
        if packet.startswith(f'42["{event}"'):
            data = json.loads(packet[2:])[1]
            words += data["items"] if isinstance(data, dict) else [data]
    return [int(word.split()[1]) for word in words if word.startswith(f"{teller} ")]


async def test_rooms_of_a_session_that_moves_while_the_bus_is_away_are_interrupted(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "ECHO_S", 0.05)
    one, two = nodes
    poller = await joined(http, one, two, '{"rooms":["table"],"quiet":true}')
    two.bus.kill()
    async with probed(poller) as socket:
        socket.text("5")
        assert await socket.packet() == '42["room:interrupted",{"room":"table"}]'
        socket.text('420["echo",1]')
        assert await socket.packet() == "430[1]"
