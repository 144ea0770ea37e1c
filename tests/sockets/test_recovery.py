"""Connection state recovery: who comes back, with what they missed, and who starts afresh."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest

from protocol import disconnects
from protocol.outgoing import JSON
from server.hub import UPDATE_INTERVAL_S
from server.rooms import passes
from server.sockets.client import Client
from server.sockets.options import SocketOptions
from server.sockets.server import SocketServer
from server.sockets.socket import Socket
from tests.sockets.application import Served, serve
from tests.sockets.raw import TEXT, Door, RawSocket, session

Auth = dict[str, Any]

RECOVER: Auth = {"recover": True, "rooms": ["table"]}


class Comer:
    """A client that remembers what the official one does: its pid, and the newest offset."""

    def __init__(self, socket: RawSocket, connected: Auth) -> None:
        self.socket = socket
        self.sid: str = connected["sid"]
        self.pid: str | None = connected.get("pid")
        self.offset: str | None = None

    async def event(self) -> list[Any]:
        """The next event without its offset."""
        packet = await self.socket.packet()
        assert packet.startswith("42"), packet
        event: list[Any] = msgspec.json.decode(packet[2:])
        if isinstance(event[-1], str) and self.pid is not None:
            self.offset = event.pop()
        return event

    def again(self, **changes: Any) -> Auth:
        """The auth with which it comes back."""
        offset = {} if self.offset is None else {"offset": self.offset}
        return {**RECOVER, "pid": self.pid, **offset, **changes}


@asynccontextmanager
async def come(served: Served, auth: Auth, door: Door = Door.PICOWS) -> AsyncIterator[Comer]:
    """A client that has joined the main namespace."""
    async with session(served.port, door) as socket:
        socket.text("40" + msgspec.json.encode(auth).decode())
        packet = await socket.packet()
        assert packet.startswith("40{"), packet
        yield Comer(socket, msgspec.json.decode(packet[2:]))


async def left(served: Served) -> None:
    """Wait until the server has noticed that everybody has gone."""
    await served.until(lambda: served.connections == 0)


def say(served: Served, *numbers: int) -> None:
    for number in numbers:
        served.server.hub.emit("/", "table", "said", {"n": number})


def said(*numbers: int) -> list[list[Any]]:
    return [["said", {"n": number}] for number in numbers]


@pytest.mark.parametrize("door", list(Door))
async def test_a_client_comes_back_to_what_it_missed(served: Served, door: Door) -> None:
    async with come(served, RECOVER, door) as first:
        assert (await first.event())[0] == "welcome"
        say(served, 1)
        assert await first.event() == said(1)[0]
    await left(served)
    say(served, 2, 3)

    async with come(served, first.again(), door) as second:
        assert (second.sid, second.pid) == (first.sid, first.pid)
        say(served, 4)
        # The application greets again, which is new.
        heard = [await second.event() for _ in range(4)]
        assert [one for one in heard if one[0] == "said"] == said(2, 3, 4)
    assert served.server.recovery.outcomes == {"recovered": 1}


async def test_only_who_asks_gets_offsets_and_a_private_id(served: Served) -> None:
    async with come(served, {"rooms": ["table"]}) as plain:
        assert plain.pid is None
        await plain.event()
        say(served, 1)
        assert await plain.socket.packet() == '42["said",{"n":1}]'
    await left(served)
    assert served.server.recovery.absent == 0
    assert served.server.hub.rooms == 0


async def test_the_same_event_is_encoded_once_for_all_who_get_an_offset(served: Served) -> None:
    async with come(served, RECOVER) as one, come(served, RECOVER) as other:
        await one.event()
        await other.event()
        say(served, 1)
        assert await one.socket.packet() == await other.socket.packet()


async def test_nothing_had_been_sent_before_the_drop(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        pass
    await left(served)
    say(served, 1, 2)

    async with come(served, first.again(quiet=True)) as second:
        assert second.pid == first.pid
        assert [await second.event() for _ in range(2)] == said(1, 2)


async def test_an_offset_of_an_earlier_life_is_no_obstacle(served: Served) -> None:
    """The official client keeps its newest offset when it starts afresh."""
    async with come(served, RECOVER) as first:
        await first.event()
    await left(served)
    async with come(served, {**RECOVER, "quiet": True, "pid": "gone"}) as second:
        assert second.pid != first.pid
        second.offset = first.offset
    await left(served)
    say(served, 1)

    async with come(served, second.again(quiet=True)) as third:
        assert third.pid == second.pid
        assert await third.event() == said(1)[0]


async def test_coming_back_again_and_again(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as comer:
        first_sid = comer.sid
    for number in range(5):
        await left(served)
        say(served, number)
        async with come(served, comer.again(quiet=True)) as comer:
            assert comer.sid == first_sid
            assert await comer.event() == said(number)[0]
            assert len(served.server.hub.sockets_of("/", "table")) == 1
    assert served.server.recovery.outcomes == {"recovered": 5}


async def test_what_was_sent_again_may_be_lost_again(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        pass
    await left(served)
    say(served, 1, 2)
    async with come(served, first.again(quiet=True)):
        pass  # it reads nothing
    await left(served)

    async with come(served, first.again(quiet=True)) as third:
        assert [await third.event() for _ in range(2)] == said(1, 2)


async def test_a_client_is_back_before_the_server_misses_it(served: Served) -> None:
    async with come(served, RECOVER) as first:
        await first.event()
        say(served, 1)
        async with come(served, first.again(quiet=True)) as second:
            assert second.sid == first.sid
            assert await second.event() == said(1)[0]
            assert await first.event() == said(1)[0]
            assert await first.socket.close_code() == disconnects.TAKEN_OVER.close_code
            say(served, 2)
            assert await second.event() == said(2)[0]
    assert served.application.ends[0] == ("/", "taken_over")


async def test_taking_one_namespace_over_loses_nothing_of_another(served: Served) -> None:
    hub = served.server.hub
    async with come(served, {**RECOVER, "quiet": True}) as first:
        auth = msgspec.json.encode({**RECOVER, "quiet": True}).decode()
        first.socket.text(f"40/chat,{auth}")
        chat = msgspec.json.decode((await first.socket.packet()).removeprefix("40/chat,"))
        async with come(served, first.again(quiet=True)) as second:
            hub.emit("/chat", "table", "said", {"n": 1})
            auth = msgspec.json.encode({**RECOVER, "quiet": True, "pid": chat["pid"]}).decode()
            second.socket.text(f"40/chat,{auth}")
            again = msgspec.json.decode((await second.socket.packet()).removeprefix("40/chat,"))
            assert again == chat
            assert (await second.socket.packet()).startswith('42/chat,["said",{"n":1},')


async def test_rooms_come_back_also_those_joined_later(served: Served) -> None:
    async with come(served, {"recover": True, "quiet": True}) as first:
        first.socket.text('42["join","table"]')
        first.socket.text('42["join","other"]')
        first.socket.text('42["leave","other"]')
        await served.until(lambda: len(served.application.events) == 3)
    await left(served)
    say(served, 1)
    served.server.hub.emit("/", "other", "said", {"n": 2})

    async with come(served, first.again(quiet=True, rooms=[])) as second:
        assert await second.event() == said(1)[0]
        say(served, 3)
        assert await second.event() == said(3)[0]


async def test_what_a_room_was_told_before_it_was_left_is_not_lost(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        say(served, 1)
        first.socket.text('42["leave","table"]')
        await served.until(lambda: served.server.hub.rooms == 0)
    await left(served)

    async with come(served, first.again(quiet=True, rooms=[])) as second:
        assert await second.event() == said(1)[0]


async def test_volatile_events_are_not_sent_again_and_the_newest_state_is(served: Served) -> None:
    hub = served.server.hub
    async with come(served, {**RECOVER, "quiet": True}) as first:
        hub.update("/", "table", "state", "key", {"seq": 1})
        assert await first.event() == ["state", {"seq": 1}]
        assert first.offset is None
    await left(served)
    hub.emit("/", "table", "tick", {"n": 1}, volatile=True)
    hub.update("/", "table", "state", "key", {"seq": 2})
    hub.update("/", "table", "state", "key", {"seq": 3})
    say(served, 4)
    # What was held back goes to who is here, and that is nobody.
    await asyncio.sleep(2 * UPDATE_INTERVAL_S)

    async with come(served, first.again(quiet=True)) as second:
        heard = [await second.event() for _ in range(2)]
        assert heard == [*said(4), ["state", {"seq": 3}]]


async def test_history_that_does_not_reach_is_said(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        pass
    await left(served)
    for number in range(1_100):
        say(served, number)

    async with come(served, first.again(quiet=True)) as second:
        assert second.pid != first.pid
        assert second.sid != first.sid
        say(served, 7)
        assert await second.event() == said(7)[0]
    assert served.server.recovery.outcomes == {"forgotten": 1}
    assert len(served.server.hub.sockets_of("/", "table")) == 1, "the former one is not awaited"


@pytest.mark.parametrize("pid", ["made-up", 7, None, {"a": 1}, "x" * 1_000])
@pytest.mark.parametrize("offset", ["made-up", "-", "a-b", 7, None, "0-99999999999999999999"])
async def test_made_up_ids_and_offsets_start_afresh(served: Served, pid: Any, offset: Any) -> None:
    async with come(served, {**RECOVER, "pid": pid, "offset": offset}) as comer:
        assert comer.pid not in (None, pid)
        assert (await comer.event())[0] == "welcome"


@pytest.mark.parametrize("offset", ["text of an event", "-", "7", 7, "0-99999999999999999999"])
async def test_what_is_no_offset_says_nothing_of_what_has_come(served: Served, offset: Any) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        say(served, 1)
        await first.event()
    await left(served)

    async with come(served, first.again(quiet=True, offset=offset)) as second:
        assert second.pid != first.pid
    assert served.server.recovery.outcomes == {"forgotten": 1}


async def test_an_offset_with_another_epoch_counts_as_none(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        say(served, 1)
        await first.event()
        first.offset = "0123456789ab-1"
    await left(served)

    async with come(served, first.again(quiet=True)) as second:
        assert await second.event() == said(1)[0]


async def test_only_the_same_owner_comes_back(served: Served) -> None:
    async with come(served, {**RECOVER, "owner": "alice"}) as alice:
        await alice.event()
        async with come(served, alice.again(owner="mallory")) as mallory:
            assert mallory.pid != alice.pid
            assert mallory.sid != alice.sid
        say(served, 1)
        assert await alice.event() == said(1)[0], "she was not thrown out either"
    async with come(served, alice.again(owner="alice")) as back:
        assert back.pid == alice.pid


async def test_who_was_refused_is_not_recovered_and_harms_nobody(served: Served) -> None:
    async with come(served, RECOVER) as first:
        await first.event()
        async with session(served.port) as stranger:
            auth = msgspec.json.encode(first.again(token="wrong")).decode()
            stranger.text("40" + auth)
            assert (await stranger.packet()).startswith("44{")
        say(served, 1)
        assert await first.event() == said(1)[0]


@pytest.mark.parametrize("farewell", ["41", "4nonsense", '42["dismiss"]'])
async def test_ends_that_are_meant_are_final(served: Served, farewell: str) -> None:
    async with come(served, RECOVER) as first:
        await first.event()
        first.socket.text(farewell)
        await served.until(lambda: served.application.ends)
        assert served.server.recovery.absent == 0
        assert served.server.hub.rooms == 0
    async with come(served, first.again()) as second:
        assert second.pid != first.pid
    assert served.server.recovery.outcomes == {"unknown": 1}


async def test_after_its_time_a_client_is_awaited_no_longer() -> None:
    async with serve(SocketOptions(recovery_ms=50)) as served:
        async with come(served, RECOVER) as first:
            await first.event()
        await served.until(lambda: served.server.recovery.outcomes or served.connections == 0)
        await served.until(lambda: served.server.recovery.absent == 0)
        assert served.server.hub.rooms == 0

        async with come(served, first.again()) as second:
            assert second.pid != first.pid


async def test_who_has_come_back_is_awaited_anew_each_time() -> None:
    async with serve(SocketOptions(recovery_ms=200)) as served:
        async with come(served, {**RECOVER, "quiet": True}) as first:
            pass
        await left(served)
        async with come(served, first.again(quiet=True)) as second:
            await asyncio.sleep(0.3)
            say(served, 1)
            assert await second.event() == said(1)[0]
        await left(served)
        async with come(served, second.again(quiet=True)) as third:
            assert third.pid == first.pid


async def test_what_is_said_while_a_client_is_let_in_again_comes_once(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        pass
    await left(served)
    async with session(served.port) as socket:
        auth = msgspec.json.encode(first.again(linger_s=0.05, rooms=["table", "new"])).decode()
        socket.text("40" + auth)
        await served.until(lambda: len(served.server.hub.sockets_of("/", "table")) == 2)
        say(served, 1)
        served.server.hub.emit("/", "new", "said", {"n": 2})
        packet = await socket.packet()
        second = Comer(socket, msgspec.json.decode(packet[2:]))
        assert second.pid == first.pid
        assert [await second.event() for _ in range(2)] == said(1, 2)
        assert (await second.event())[0] == "welcome"
        say(served, 3)
        assert await second.event() == said(3)[0]
    await left(served)
    # It had all of that, but this time the client says that it got nothing.
    async with come(served, first.again(quiet=True)) as third:
        heard = [await third.event() for _ in range(4)]
        assert [one for one in heard if one[0] == "said"] == said(1, 2, 3)
        assert served.server.recovery.held_bytes > 0
        third.socket.text("41")
        await served.until(lambda: served.server.recovery.held_bytes == 0)


async def test_a_socket_that_is_refused_leaves_nothing_behind(served: Served) -> None:
    async with session(served.port) as socket:
        auth = {**RECOVER, "linger_s": 0.05, "fail_late": True}
        socket.text("40" + msgspec.json.encode(auth).decode())
        await served.until(lambda: served.server.hub.sockets_of("/", "table"))
        say(served, 1)
        assert served.server.recovery.held_bytes > 0
        assert (await socket.packet()).startswith("44{")
        assert served.server.recovery.held_bytes == 0


async def test_what_is_too_old_is_forgotten_with_the_heartbeat() -> None:
    times = SocketOptions(recovery_ms=20, ping_interval_ms=50, ping_timeout_ms=200)
    async with serve(times) as served, come(served, {**RECOVER, "quiet": True}) as comer:
        say(served, 1)
        assert served.server.recovery.held_bytes > 0
        while served.server.recovery.held_bytes:
            if await comer.socket.frame() == (TEXT, b"2"):
                comer.socket.text("3")
        assert served.connections == 1


async def test_who_is_awaited_is_bounded_and_the_oldest_goes_first() -> None:
    async with serve(SocketOptions(max_connections=2)) as served:
        comers = []
        for _ in range(3):
            async with come(served, RECOVER) as comer:
                await comer.event()
            await left(served)
            comers.append(comer)
        assert served.server.recovery.absent == 2

        async with come(served, comers[0].again()) as fresh:
            assert fresh.pid != comers[0].pid
        await left(served)
        async with come(served, comers[2].again()) as back:
            assert back.pid == comers[2].pid


async def test_a_namespace_comes_back_alone(served: Served) -> None:
    async with come(served, {**RECOVER, "quiet": True}) as first:
        auth = msgspec.json.encode(RECOVER).decode()
        first.socket.text(f"40/chat,{auth}")
        connected = await first.socket.packet()
        pid_of_chat = msgspec.json.decode(connected.removeprefix("40/chat,"))["pid"]
    await left(served)

    async with come(served, first.again(pid=pid_of_chat, quiet=True)) as second:
        assert second.pid not in (first.pid, pid_of_chat), "it belongs to another namespace"


async def test_a_large_room_s_pass_owes_nothing_to_who_comes_back_during_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One slice serves a few members, so that a pass takes a while.
    monkeypatch.setattr(passes, "SLICE_S", 0.0)
    crowd = 600
    async with come(served, {**RECOVER, "quiet": True}) as first:
        pass
    await left(served)
    hub = served.server.hub
    for number in range(crowd):
        filler = Socket(cast(Client, _Filler(served.server)), "/", f"filler {number}")
        filler.join("table")
    async with session(served.port) as socket:
        auth = msgspec.json.encode(first.again(linger_s=0.0, quiet=True)).decode()
        socket.text("40" + auth)
        await served.until(lambda: served.application.asked == 2)
        say(served, 1)
        packet = await socket.packet()
        second = Comer(socket, msgspec.json.decode(packet[2:]))
        assert second.pid == first.pid
        say(served, 2)
        assert [await second.event() for _ in range(2)] == said(1, 2)
    assert len(hub.sockets_of("/", "table")) > crowd


class _Filler:
    """As much of a client as a socket needs that hears nothing."""

    parser = JSON

    def __init__(self, server: SocketServer) -> None:
        self.server = server
        self.connection = self

    writable = False

    def send(self, _packets: object) -> None:
        """Nobody is there."""

    def flush(self) -> None:
        """Nobody is there."""


async def test_one_owner_cannot_take_the_places_of_others() -> None:
    async with serve(SocketOptions(max_connections=10, max_awaited_per_owner=2)) as served:
        async with come(served, {**RECOVER, "owner": "honest"}) as honest:
            await honest.event()
        await left(served)
        greedy = []
        for _ in range(15):
            async with come(served, {**RECOVER, "owner": "greedy"}) as comer:
                await comer.event()
            await left(served)
            greedy.append(comer)
        assert served.server.recovery.absent == 3

        async with come(served, greedy[-3].again(owner="greedy")) as fresh:
            assert fresh.pid != greedy[-3].pid
        async with come(served, greedy[-1].again(owner="greedy")) as known:
            assert known.pid == greedy[-1].pid
        async with come(served, honest.again(owner="honest")) as back:
            assert back.pid == honest.pid


async def test_more_than_may_wait_is_not_sent_again() -> None:
    """A client that could only be cut off for it would come back for ever."""
    options = SocketOptions(max_outbound_bytes=10_000, max_outbound_packets=20)
    async with serve(options) as served:
        for size, number, recovered in ((100, 10, True), (100, 11, False), (1_500, 4, False)):
            async with come(served, {**RECOVER, "quiet": True}) as first:
                pass
            await left(served)
            for _ in range(number):
                served.server.hub.emit("/", "table", "said", {"text": "x" * size})
            async with come(served, first.again(quiet=True)) as second:
                assert (second.pid == first.pid) is recovered
            await left(served)


async def test_a_slow_consumer_may_come_back() -> None:
    options = SocketOptions(max_outbound_bytes=200_000, close_timeout_ms=200)
    async with serve(options) as served, come(served, {**RECOVER, "quiet": True}) as slow:
        slow.socket.reader._transport.pause_reading()  # type: ignore[attr-defined] # of a StreamReader
        while not served.server.counters.disconnects["slow_consumer"]:
            served.server.hub.emit("/", "table", "said", "x" * 50_000)
            await asyncio.sleep(0)
        assert served.server.recovery.absent == 1
