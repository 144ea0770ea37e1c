"""What a node writes down of what it tells, and what can be known from it."""

import asyncio
import random
from collections import Counter
from typing import Any, cast

import msgspec
import pytest

from protocol.outgoing import Outgoing
from server.cluster import recovery_log
from server.cluster.archive import Archive
from server.cluster.missed import Entry, Record, missed
from server.cluster.recovery_log import RecoveryLog
from server.hub import Hub
from server.rooms import room as room_module
from server.sockets.history import Bounds, History, Shelf
from server.sockets.socket import Socket
from tests.support.memory_streams import MemoryShelves, MemoryStreams
from tests.unit.fake_sockets import FakeConnection
from tests.unit.virtual_loop import run

KEPT_S = 100.0
BOUNDS = Bounds(kept_s=KEPT_S, packets=100_000, bytes=10_000_000, total_bytes=100_000_000)


class Client:
    """As much of a socket as the log and the hub need; its client gets all that is delivered."""

    awaited = False
    namespace = "/"
    owner = "owner"

    def __init__(self, node: "Node", pid: str) -> None:
        self.pid = pid
        self.id = f"sid-{pid}"
        self.rooms: set[str] = set()
        self.connection = FakeConnection(0.000_010)
        self.history: History | None = History(node.hub.number, Shelf(BOUNDS))
        self.got: list[int] = []
        # Everything that was for it, whether it was delivered or not.
        self.meant: list[int] = []
        self._hub = node.hub

    def deliver(self, event: Outgoing) -> None:
        if event.number is not None:
            event.encoded(0)
            if self.history is not None:
                self.history.add(event)
            self.got.append(event.number)

    def emit(self, n: int) -> None:
        event = self._hub.outgoing("/", "said", ({"n": n},))
        assert self._hub.event_log is not None
        self._hub.event_log.told_one(cast(Socket, self), event)
        self.meant.append(self._hub.number)
        self.deliver(event)


class Node:
    """A node that writes down what it tells."""

    def __init__(self, shelves: MemoryShelves) -> None:
        self.hub = Hub()
        self.shelves = shelves
        self.streams = MemoryStreams(shelves, self.hub.epoch)
        self.log = RecoveryLog(self.streams, self.hub, "m", KEPT_S)
        self.hub.event_log = self.log
        self.streams.connect()

    def client(self, pid: str, *rooms: str) -> Client:
        client = Client(self, pid)
        for room in rooms:
            self.hub.join(cast(Socket, client), room)
        self.log.admitted(cast(Socket, client))
        return client

    def say(self, room: str, n: int, *, skip: Client | None = None, urgent: bool = False) -> None:
        inside = self.hub.sockets_of("/", room)
        self.hub.emit("/", room, "said", {"n": n}, skip=cast(Socket, skip), urgent=urgent)
        for one in cast(list[Any], inside):
            if one is not skip:
                one.meant.append(self.hub.number)

    def record(self, pid: str) -> Record:
        self.log.flush()
        found = self.shelves.record(pid)
        assert found is not None
        return msgspec.json.decode(found[1], type=Record)

    def entries(self) -> list[tuple[int, Entry]]:
        self.log.flush()
        stream = self.shelves.streams[self.hub.epoch]
        decode = msgspec.msgpack.Decoder(Entry).decode
        return [(number, decode(packed)) for number, packed in stream]

    async def missed(self, client: Client, number: int | None, gone: int = 0) -> list[int] | None:
        """The numbers that another node would give this client, of whose log the first are gone."""
        self.log.flush()
        del self.shelves.streams[self.hub.epoch][:gone]
        reader = MemoryStreams(self.shelves, "reader")
        reader.connect()
        kept = await Archive(reader, KEPT_S).log(self.hub.epoch)
        found = missed(self.record(client.pid), kept, client.pid, number)
        numbers = {
            id(entry): number for number, entry in zip(kept._numbers, kept.entries, strict=True)
        }
        return None if found is None else [numbers[id(entry)] for entry in found]


def test_what_is_told_is_written_before_it_is_sent() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        client = node.client("p", "a")
        node.hub.emit("/", "a", "said", {"n": 1})
        client.emit(2)
        node.hub.emit("/", "nobody", "said", {"n": 3})
        node.hub.emit("/", "a", "tick", {"n": 4}, volatile=True)
        node.hub.update("/", "a", "state", "key", {"n": 5})
        found = [(entry.room, entry.pid, *entry.packets) for _, entry in node.entries()[1:]]
        assert found == [
            ("a", "", b'42["said",{"n":1}]'),
            ("", "p", b'42["said",{"n":2}]'),
        ]

    run(scenario())


def test_all_of_a_turn_is_written_by_itself_at_its_end() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        node.client("p", "a")
        node.hub.emit("/", "a", "said", {"n": 1})
        assert len(node.shelves.streams.get(node.hub.epoch, [])) <= 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(node.shelves.streams[node.hub.epoch]) == 2
        assert node.shelves.record("p") is not None

    run(scenario())


def test_only_what_somebody_may_come_back_for_is_written() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        client = node.client("p", "a")
        node.hub.leave(cast(Socket, client), "a")
        other = Client(node, "")
        other.history = None
        node.hub.join(cast(Socket, other), "a")
        node.hub.emit("/", "a", "said", {"n": 1})
        assert len(node.entries()) == 1

    run(scenario())


def test_a_record_follows_its_client_from_room_to_room() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        client = node.client("p", "a")
        node.client("q", "a")
        socket = cast(Socket, client)
        node.say("a", 1)
        node.hub.join(socket, "b")
        node.say("b", 2)
        node.hub.leave(socket, "a")
        record = node.record("p")
        assert [(stay.room, stay.since, stay.until) for stay in record.stays] == [
            ("a", 0, 2),
            ("b", 1, None),
        ]
        assert await node.missed(client, None) == [1, 2]

        node.hub.leave(socket, "b")
        node.hub.join(socket, "b")
        node.say("a", 3)
        node.say("b", 4)
        assert await node.missed(client, None) == [1, 2, 4]

    run(scenario())


def test_rooms_that_were_left_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_log, "MAX_PAST", 3)

    async def scenario() -> None:
        node = Node(MemoryShelves())
        client = node.client("p", "a")
        socket = cast(Socket, client)
        for number in range(1, 6):
            node.say("a", number)
            node.hub.leave(socket, "a")
            node.hub.join(socket, "a")
            node.log.flush()
        assert len(node.record("p").stays) == 4
        assert await node.missed(client, None) is None
        assert await node.missed(client, 2) is None
        assert await node.missed(client, 3) == [4, 5]

    run(scenario())


def test_a_client_that_will_not_come_back_has_no_record() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        node.client("p", "a")
        node.client("q", "a")
        node.log.flush()
        node.log.forgotten("p")
        node.log.let_go("q")
        node.streams.flush()
        assert node.shelves.record("p") is None
        assert node.shelves.record("q") is not None
        assert node.log.records == 0

    run(scenario())


def test_the_record_says_what_a_quiet_client_has() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        client = node.client("p", "a")
        busy = node.client("q", "b")
        node.say("a", 1)
        for number in range(200):
            await asyncio.sleep(KEPT_S / 50)
            node.say("b", number)
            for one in (client, busy):
                node.log.renewed(cast(Socket, one))
            await asyncio.sleep(0)
        assert node.entries()[0][0] > 1, "old entries have gone"
        assert await node.missed(client, 1) == []
        assert await node.missed(busy, busy.got[0]) is None
        node.say("a", 7)
        assert await node.missed(client, 1) == [node.hub.number]

    run(scenario())


def test_the_log_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_log, "MAX_BYTES", 10_000)

    async def scenario() -> None:
        node = Node(MemoryShelves())
        node.client("p", "a")
        for _ in range(100):
            node.hub.emit("/", "a", "said", "x" * 500)
        assert len(node.entries()) < 20
        assert node.log.held_bytes <= 10_000

    run(scenario())


def test_what_was_told_while_redis_was_away_is_not_known() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        client = node.client("p", "a")
        node.say("a", 1)
        node.log.flush()
        node.streams.part()
        node.say("a", 2)
        node.streams.connect()
        await asyncio.sleep(0.1)
        node.say("a", 3)
        assert node.log.begun == 2
        assert await node.missed(client, None) is None
        assert await node.missed(client, 1) is None
        assert await node.missed(client, 2) == [3]
        assert await node.missed(client, 3) == []

    run(scenario())


def test_all_records_are_written_again_a_few_at_a_time() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        count = 3 * recovery_log.RENEWED_AT_ONCE
        for number in range(count):
            node.client(f"p{number}", "a")
        node.shelves.go_down()
        node.shelves.come_up()
        node.streams.connect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(node.shelves.records) == recovery_log.RENEWED_AT_ONCE
        await asyncio.sleep(1)
        assert len(node.shelves.records) == count

    run(scenario())


def test_who_comes_back_here_keeps_the_record() -> None:
    async def scenario() -> None:
        node = Node(MemoryShelves())
        former = node.client("p", "a")
        node.say("a", 1)
        heir = Client(node, "")
        node.hub.join(cast(Socket, heir), "new")
        node.log.handed(cast(Socket, former), cast(Socket, heir))
        node.hub.hand_over(cast(Socket, former), cast(Socket, heir))
        heir.pid, heir.history = former.pid, former.history
        node.say("a", 2)
        node.say("new", 3)
        assert await node.missed(heir, None) == [1, 2, 3]

    run(scenario())


def test_a_client_that_another_node_told_things_has_them_or_starts_afresh() -> None:
    async def scenario() -> None:
        shelves = MemoryShelves()
        former, node = Node(shelves), Node(shelves)
        former.client("p", "a")
        former.log.flush()
        node.say("b", 0)
        client = Client(node, "p")
        node.hub.join(cast(Socket, client), "a")
        node.log.admitted(cast(Socket, client), taken=True, torn=True)
        node.say("a", 1)
        node.say("a", 2)
        assert await node.missed(client, None) is None
        assert await node.missed(client, client.got[0]) == [client.got[1]]
        # The former node's word counts no more.
        former.log.let_go("p")
        former.streams.flush()
        assert node.record("p").epoch == node.hub.epoch

    run(scenario())


class Story:
    """A node in which anything happens, to clients in small and in large rooms."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.node = Node(MemoryShelves())
        self.rooms = ["a", "b", "c"]
        self.clients = [self.node.client(f"p{n}") for n in range(6)]
        self.said = 0

    async def happen(self) -> None:
        chance, node = self.chance, self.node
        client = chance.choice(self.clients)
        room = chance.choice(self.rooms)
        self.said += 1
        match chance.randrange(10):
            case 0:
                node.hub.join(cast(Socket, client), room)
            case 1 if chance.random() < 0.3:
                node.hub.catch_up(cast(Socket, client))
                node.hub.leave(cast(Socket, client), room)
            case 2 | 3:
                client.emit(self.said)
            case 4:
                await asyncio.sleep(chance.choice((0.0, 0.0, 0.001, 0.1)))
            case 5:
                node.log.renewed(cast(Socket, client))
            case 6:
                node.say(room, self.said, urgent=True)
            case 7:
                node.say(room, self.said, skip=client)
            case _:
                node.say(room, self.said)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_given_is_exactly_what_was_not_got_whatever_happened(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large rooms are of two members here.
    monkeypatch.setattr(room_module, "MAX_SMALL_ROOM", 1)
    outcomes: Counter[bool] = Counter()

    async def scenario() -> None:
        story = Story(seed)
        for _ in range(60):
            await story.happen()
        for client in story.clients:
            # A connection may be lost after any of its events.
            for cut in range(len(client.got) + 1):
                got = client.got[:cut]
                given = await story.node.missed(client, got[-1] if got else None)
                outcomes[given is not None] += 1
                if given is not None:
                    assert sorted([*got, *given]) == sorted(client.meant)
                    assert given == sorted(given)

    run(scenario())
    assert outcomes[True] > outcomes[False] / 4, "most know what they missed"


@pytest.mark.parametrize("seed", range(25))
def test_the_same_where_the_log_has_lost_its_beginning(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "MAX_SMALL_ROOM", 1)

    async def scenario() -> None:
        story = Story(seed)
        while story.node.hub.number < 30:
            await story.happen()
        while len(story.node.shelves.streams[story.node.hub.epoch]) > 1:
            # The connection is lost at any moment of what has happened until now.
            for client in story.clients:
                for got in (client.got[:], client.got[:-1], client.got[:-2]):
                    given = await story.node.missed(client, got[-1] if got else None)
                    if given is not None:
                        assert sorted([*got, *given]) == sorted(client.meant)
            await story.node.missed(story.clients[0], None, gone=1)

    run(scenario())
