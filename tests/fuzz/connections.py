"""A whole connection of the server, without a network and on virtual time, as a target."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from random import Random
from typing import Final

from protocol import disconnects, engineio
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.engineio import Binary
from server.sockets.server import SocketServer
from tests.fuzz import grammar
from tests.fuzz.case import Case, require
from tests.fuzz.house import OPTIONS, HostileApplication
from tests.fuzz.residue import sizes
from tests.fuzz.rounds import complaints
from tests.simulation.loop import run_virtually

OPERATIONS: Final = 8
_ANNOUNCED: Final = re.compile(rb"4[56]([0-9]+)-")
# Longer than all of the server's time-outs together.
_LONG_S: Final = 10.0


class Wire:
    """A transport that takes everything, or nothing while its network is full."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.max_packets = 16
        self.full = False
        self.closed = False

    @property
    def writable(self) -> bool:
        """Whether the network takes more."""
        return not (self.full or self.closed)

    def write(self, packets: list[bytes]) -> int:
        """Take packets."""
        require(not self.closed, "nothing is written after the end")
        return sum(map(len, packets))

    def close(self, _reason: DisconnectReason) -> None:
        """End."""
        self.closed = True

    def abort(self) -> None:
        """End."""
        self.closed = True


class ConnectionTarget:
    """A part is the number of an operation, and what it is about; the first says the transport."""

    name = "connection"

    def run(self, case: Case) -> str:
        """Play the steps, end the connection, let all time-outs pass, and see what is left."""
        with complaints() as logged:
            ended = run_virtually(_play(case))
        require(not logged, "nothing that a peer sends is an error", "\n".join(logged[:3]))
        return ended


async def _play(case: Case) -> str:
    server = SocketServer(OPTIONS, HostileApplication())
    before = dict(sizes({"server": server}))
    visit = _Visit(server, engineio.POLLING if case[0][-1:] > b"\x7f" else engineio.WEBSOCKET)
    for part in case:
        if part and visit.connection.ended is None:
            await visit.step(part[0] % OPERATIONS, part[1:])
    await asyncio.sleep(0)
    visit.check_closed()
    visit.leave()
    await asyncio.sleep(_LONG_S)
    left = {path: size for path, size in sizes({"server": server}) if size > before.get(path, 0)}
    require(not left, "nothing is left of a connection", str(left))
    require(len(asyncio.all_tasks()) == 1, "no task outlives its connection")
    assert visit.connection.ended is not None
    return visit.connection.ended.name


class _Visit:
    """One connection and its wires, told what happens as the real transports would."""

    def __init__(self, server: SocketServer, transport: str) -> None:
        self.wires = [Wire(transport)]
        self.connection = server.engine.open("127.0.0.1", self.wires[0])
        # Attachments that the peer owes, and whether it has spoken as a JSON client.
        self._owed = 0
        self._spoken = False

    async def step(self, operation: int, content: bytes) -> None:
        """Let one thing happen."""
        if operation <= 2:
            self._text(content)
        elif operation == 3:
            self._binary(content)
        elif operation == 4:
            self._open_candidate()
        elif operation == 5:
            self._on_candidate(content)
        elif operation == 6:
            await asyncio.sleep(len(content) / 50)
        else:
            self._fill_or_empty()

    def check_closed(self) -> None:
        """The end of a connection closes its transport, and the candidate for it."""
        if self.connection.ended is not None:
            require(self.wires[-1].closed, "a candidate ends with its session")

    def leave(self) -> None:
        """Every wire that is still there is cut."""
        for wire in reversed(self.wires):
            if not wire.closed:
                self.connection.transport_lost(wire, disconnects.TRANSPORT_CLOSED)

    def _text(self, content: bytes) -> None:
        try:
            engineio.check_text(content)
        except ProtocolViolation as violation:
            self.connection.close(violation.reason)
            return
        self.connection.receive_text(content)
        if content[:1] == b"4" and self.connection.ended is None:
            require(not self._owed, "whoever owes an attachment sends no other packet")
            announced = _ANNOUNCED.match(content)
            self._owed = int(announced[1]) if announced else 0
            self._spoken = True

    def _binary(self, content: bytes) -> None:
        self.connection.receive_binary(Binary(content))
        if self._spoken and self.connection.ended is None:
            require(self._owed > 0, "whoever owes no attachment sends none")
            self._owed -= 1

    def _open_candidate(self) -> None:
        wire = Wire(engineio.WEBSOCKET)
        self.wires = [*self.wires[:3], wire]
        try:
            self.connection.open_candidate(wire)
        except ProtocolViolation as violation:
            wire.close(violation.reason)

    def _on_candidate(self, content: bytes) -> None:
        wire = self.wires[-1]
        if wire is not self.connection.transport and not wire.closed:
            self.connection.receive_on_candidate(wire, content)

    def _fill_or_empty(self) -> None:
        wire = self.connection.transport
        assert isinstance(wire, Wire)
        wire.full = not wire.full
        self.connection.flush()


_CONTROL: Final = (b"2probe", b"5", b"3", b"6", b"1", b"2", b"0", b"")


def visit(rng: Random) -> Case:
    """The steps of a client that mostly knows what it does."""
    parts: list[bytes] = [b"\x00" + rng.choice((b"40", b"40", b"40/chat,", b'40{"recover":true}'))]
    if rng.random() < 0.5:
        parts.append(b"\x06xx")
    for _ in range(rng.choice((1, 4, 12))):
        parts += _steps(rng)
    if rng.random() < 0.3:
        return (b"\x06\xff", b"\x04", *parts)
    return tuple(parts)


def _steps(rng: Random) -> Sequence[bytes]:
    kind = rng.randrange(6)
    if kind <= 2:
        text, *attachments = grammar.packet(rng, rng.choice(("/", "/", "/chat")))
        return [b"\x00" + text, *(b"\x03" + attachment for attachment in attachments)]
    if kind == 3:
        return [bytes((rng.choice((0, 5)),)) + rng.choice(_CONTROL)]
    if kind == 4:
        return [b"\x04", b"\x052probe", b"\x055"][: rng.randint(1, 3)]
    return [rng.choice((b"\x06" + b"x" * rng.choice((0, 1, 30, 80)), b"\x07"))]
