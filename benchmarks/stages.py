"""What each part of a bet's route costs, on the real route with real bytes.

The route is ended at one port after another (`seams.py`), and the difference that a part makes is
its cost. Bets that got as far as the journal are held, then committed, then answered, so that every
bet is one: the ledger has them all at the end. CPU is that of this process, user and system; the
players' own share of it is spent while no clock runs.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import chain, cycle, islice
from time import process_time_ns
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec

from actors.runtime.ports import Write
from benchmarks.frames import masked
from benchmarks.ledger import check_rows
from benchmarks.own_node import OwnNode
from benchmarks.players import BET, enlist
from benchmarks.seams import (
    Committed,
    DeafApplication,
    DeafHandler,
    HoldingLane,
    deaf_handler,
    node_before,
    router_to,
)
from benchmarks.seated import Seated
from protocol.catalogue import COMMANDS
from server.commands.own import own_wallet
from server.sockets.connection import Connection

COMMAND: Final = "dice:roll"
# Rows in the commits that are measured apart, and how many commits of each there are in a round.
COMMITS: Final = {512: 2, 64: 8, 8: 32, 1: 64}
# Bets in a round, and how many of them are answered as many to a connection as they came.
ROWS: Final = sum(rows * commits for rows, commits in COMMITS.items())
_TOGETHER: Final = 1_024

# Players of each of the two parties.
CONNECTIONS: Final = 64
_WARM_UPS: Final = 3
# How often the end of a commit is looked for: rarely enough to cost nothing that counts.
_LOOK_S: Final = 0.002

_Messages = Sequence[tuple[Connection, bytes]]


class Costs(NamedTuple):
    """One round: CPU microseconds for a bet, except `commit_us`, which is for a whole commit.

    `frame` and `ack` are given for a bet alone in its read and write too. `commit_us` is by rows.
    """

    frame: float
    frame_alone: float
    packet: float
    decode: float
    route: float
    decide: float
    ack: float
    ack_alone: float
    commit_us: dict[int, float]
    whole: float
    rows_per_commit: float


class _Party:
    """Players with open sockets here, and the server's ends of their connections."""

    def __init__(self, seats: list[Seated], connections: list[Connection]) -> None:
        self.seats = seats
        self.connections = connections
        self.handlers = [connection.handler for connection in connections]

    @property
    def acknowledged(self) -> int:
        """Bets that the players know of."""
        return sum(seat.acknowledged for seat in self.seats)

    def send(self, depth: int) -> int:
        """Have each player send `depth` bets in one write. Returns how many that are."""
        for seat in self.seats:
            seat.send(b"".join(masked(bet(number)) for number in range(depth)))
        return depth * len(self.seats)

    def read(self) -> None:
        """Have each player read what has come."""
        for seat in self.seats:
            seat.read()


def bet(number: int) -> bytes:
    """A bet whose acknowledgement will carry `number`, as its client writes it."""
    argument = msgspec.json.encode({**BET, "request_id": str(uuid4())})
    return b'42%d["%b",%b]' % (number, COMMAND.encode(), argument)


class Stages:
    """The route of one node, measured in rounds."""

    def __init__(self, node: OwnNode, cut: _Party, whole: _Party, depth: int) -> None:
        self._pitboss = node.pitboss
        self._cut = cut
        self._whole = whole
        self._depth = depth
        self._lane = HoldingLane()
        self._node = node_before(self._lane, node.pitboss)
        self._handler = DeafHandler()
        self._deaf_router = router_to(deaf_handler)
        self._holding_router = router_to(own_wallet(self._node))
        self._committed = Committed()

    async def warm_up(self) -> None:
        """Have every wallet in memory, and all code run once."""
        self._pitboss.floor.bind(self._holding_router)
        self._cut.send(1)
        writes: list[Write] = []
        while len(writes) < CONNECTIONS:
            await asyncio.sleep(0.001)
            writes += self._lane.take()
        await self._commit(writes)
        await self._answer(writes)
        for _ in range(_WARM_UPS):
            await self.round()

    async def round(self) -> Costs:
        """Measure every part once."""
        frame, frame_alone = await self._frames(self._depth), await self._frames(1)
        messages = self._messages()
        with self._deaf_connections():
            received = _feed(messages)
        with self._deaf_floor():
            packet = _feed(messages)
        self._pitboss.floor.bind(self._deaf_router)
        routed = _feed(messages)
        self._pitboss.floor.bind(self._holding_router)
        decided = _feed(messages)
        decode = _decode(messages)
        commit_us, ack, ack_alone = await self._journal(self._lane.take())
        whole, rows_per_commit = await self._whole_route()
        return Costs(
            frame=frame,
            frame_alone=frame_alone,
            packet=packet - received,
            decode=decode,
            route=routed - packet - decode,
            decide=decided - routed,
            ack=ack,
            ack_alone=ack_alone,
            commit_us=commit_us,
            whole=whole,
            rows_per_commit=rows_per_commit,
        )

    async def _frames(self, depth: int) -> float:
        """From the network to the packet: reads, frames, and the connection's own bookkeeping."""
        with self._deaf_connections():
            wanted = self._handler.taken + self._cut.send(depth)
            began_ns = process_time_ns()
            while self._handler.taken < wanted:  # noqa: ASYNC110 - an event would cost
                await asyncio.sleep(0)
            return _us_each(began_ns, CONNECTIONS * depth)

    @contextmanager
    def _deaf_connections(self) -> Iterator[None]:
        """End the route behind the connections."""
        for connection in self._cut.connections:
            connection.handler = self._handler
        try:
            yield
        finally:
            for connection, own in zip(self._cut.connections, self._cut.handlers, strict=True):
                connection.handler = own

    @contextmanager
    def _deaf_floor(self) -> Iterator[None]:
        """End the route behind the Socket.IO layer."""
        self._pitboss.sockets.application = DeafApplication()
        try:
            yield
        finally:
            self._pitboss.sockets.application = self._pitboss.floor

    def _messages(self) -> _Messages:
        """A bet for each row of a round's commits: so many from each connection, in turn."""
        in_turn = chain.from_iterable([one] * self._depth for one in cycle(self._cut.connections))
        return [(one, bet(number)) for number, one in enumerate(islice(in_turn, ROWS))]

    async def _journal(self, writes: Sequence[Write]) -> tuple[dict[int, float], float, float]:
        """Commits by their rows, and acknowledgements as they come and alone, for all `writes`."""
        assert len(writes) == ROWS, "every bet was decided at once"
        left = iter(writes)
        commit_us = {}
        for rows, commits in COMMITS.items():
            batches = [list(islice(left, rows)) for _ in range(commits)]
            began_ns = process_time_ns()
            for batch in batches:
                await self._commit(batch)
            commit_us[rows] = _us_each(began_ns, commits)
        ack = await self._acks([writes[:_TOGETHER]], CONNECTIONS * self._depth)
        # One of each turn of a connection, again and again.
        alone = [writes[_TOGETHER + first :: self._depth] for first in range(self._depth)]
        return commit_us, ack, await self._acks(alone, CONNECTIONS)

    async def _commit(self, writes: Sequence[Write]) -> None:
        """Make them durable, whatever lane they belong to: nobody else has these wallets."""
        journal = self._pitboss.storage.journal
        journal.bind(self._committed)
        await self._committed.commit(journal.lanes[0], writes)
        journal.bind(self._pitboss.node)

    async def _acks(self, runs: Sequence[Sequence[Write]], at_once: int) -> float:
        """Answer runs of writes, `at_once` in one turn of the loop."""
        spent_ns = count = 0
        for run in runs:
            for first in range(0, len(run), at_once):
                spent_ns += await self._answer(run[first : first + at_once])
            count += len(run)
        return spent_ns / count / 1_000

    async def _answer(self, writes: Sequence[Write]) -> int:
        """Tell the players, and return the nanoseconds that it took the server."""
        counters = self._pitboss.sockets.counters
        wanted = counters.packets_out + len(writes)
        began_ns = process_time_ns()
        self._node.committed(writes)
        while counters.packets_out < wanted:  # noqa: ASYNC110 - an event would cost
            await asyncio.sleep(0)
        spent_ns = process_time_ns() - began_ns
        self._cut.read()
        return spent_ns

    async def _whole_route(self) -> tuple[float, float]:
        """From the network to the network, and how many rows a commit had."""
        pitboss = self._pitboss
        pitboss.floor.bind(pitboss.router)
        counters = pitboss.sockets.counters
        wanted = counters.packets_out + self._whole.send(self._depth)
        commits = self._commits()
        began_ns = process_time_ns()
        while counters.packets_out < wanted:  # noqa: ASYNC110 - an event would cost
            await asyncio.sleep(_LOOK_S)
        cost = _us_each(began_ns, CONNECTIONS * self._depth)
        self._whole.read()
        return cost, CONNECTIONS * self._depth / (self._commits() - commits)

    def _commits(self) -> int:
        count = self._pitboss.registry.get_sample_value("pitboss_commit_rows_count")
        assert count is not None
        return int(count)


def _feed(messages: _Messages) -> float:
    """Hand the packets to their connections."""
    began_ns = process_time_ns()
    for connection, message in messages:
        connection.receive_text(message)
    return _us_each(began_ns, len(messages))


def _decode(messages: _Messages) -> float:
    """Make commands of the packets' arguments."""
    decode = msgspec.json.Decoder(COMMANDS[COMMAND].request).decode
    arguments = [message[message.index(b"{") : -1] for _, message in messages]
    began_ns = process_time_ns()
    for argument in arguments:
        decode(argument)
    return _us_each(began_ns, len(arguments))


def _us_each(began_ns: int, count: int) -> float:
    """CPU microseconds since a moment, for each of `count`."""
    return (process_time_ns() - began_ns) / count / 1_000


async def measure(node: OwnNode, rounds: int, depth: int) -> list[Costs]:
    """Some rounds on a node, with `depth` bets in each read and write.

    Raises:
        LedgerError: The ledger does not have what was acknowledged.
    """
    players = await enlist(node.url, 2 * CONNECTIONS)
    tokens = [player.token for player in players]
    async with _party(node, tokens[:CONNECTIONS]) as cut, _party(node, tokens[CONNECTIONS:]) as one:
        stages = Stages(node, cut, one, depth)
        await stages.warm_up()
        costs = [await stages.round() for _ in range(rounds)]
        acknowledged = cut.acknowledged + one.acknowledged
    await check_rows(node.database_url, [player.user_id for player in players], acknowledged)
    return costs


@asynccontextmanager
async def _party(node: OwnNode, tokens: Sequence[str]) -> AsyncIterator[_Party]:
    """Connect these players, and find the server's ends of their connections."""
    connections = node.pitboss.sockets.engine.connections
    others = set(connections)
    seats = [Seated(node.port, token) for token in tokens]
    try:
        while not all(seat.joined for seat in seats):
            await asyncio.sleep(_LOOK_S)
            for seat in seats:
                seat.read()
        yield _Party(seats, [connections[sid] for sid in connections if sid not in others])
    finally:
        for seat in seats:
            seat.close()
