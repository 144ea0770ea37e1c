"""Clients that all come back at once, in a process of their own, as after a server's restart.

Each connects, joins, and comes again like the official JavaScript client if it is refused: after 1
to 5 seconds, randomised.
"""

import errno
import gc
import heapq
import os
import select
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random
from time import perf_counter_ns, process_time
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from benchmarks.crowd import addresses
from benchmarks.frames import FrameError
from benchmarks.line import LineError
from benchmarks.returning import Read, Returning
from benchmarks.upgrading import Upgrading
from benchmarks.worker import read_plan, say, tell

JOINED: Final = "joined"
# What the official client's option `transports` says, by how clients begin here.
KINDS: Final = {"websocket": Returning, "polling,websocket": Upgrading}

_READ_BYTES: Final = 16_384
# Longer than any storm that is worth measuring.
LIMIT_S: Final = 120.0


class ReturnPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A client for each `auth` of the handshake; `transports` is one of KINDS."""

    url: str
    auths: list[dict[str, str]]
    transports: str
    seed: int


class ReturnOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """What came of a storm; times are in seconds after it began.

    A client has joined when it may play, and is settled when it is on its WebSocket besides.
    `refused` counts attempts that were answered with an error or cut off, by what was said.
    `cpu_s` is what the clients took until all were settled.
    """

    joined_s: list[float]
    settled_s: list[float]
    refused: dict[str, int]
    cpu_s: float


class Leg(NamedTuple):
    """One network connection of a client, on which `request` is written first."""

    client: Returning
    socket: socket.socket
    request: bytes
    read: Read


class Storm:
    """All clients, on one epoll."""

    def __init__(self, plan: ReturnPlan) -> None:
        parts = urlsplit(plan.url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._address = parts.hostname, parts.port
        self._random = Random(plan.seed)
        sources: Iterator[str] = addresses()
        kind = KINDS[plan.transports]
        self._legs: dict[Returning, list[Leg]] = {
            kind(auth, next(sources)): [] for auth in plan.auths
        }
        self._by_fd: dict[int, Leg] = {}
        self._connecting: set[int] = set()
        # Closed at the end of a turn: before, a new socket could get the number of an old one, of
        # which the same turn may still have something to tell.
        self._left: list[socket.socket] = []
        # Who comes again, and when; a number decides between equal moments.
        self._later: list[tuple[int, int, Returning]] = []
        self._epoll = select.epoll()
        self._joined_ns: list[int] = []
        self._settled_ns: list[int] = []
        self._refused: Counter[str] = Counter()

    def run(self) -> ReturnOutcome:
        """Come back, all of them, and leave when stdin ends.

        Raises:
            LineError: It takes too long, or a client that had joined was cut off.
        """
        began_ns, cpu_s = perf_counter_ns(), process_time()
        for client in self._legs:
            self._begin(client)
        while len(self._settled_ns) < len(self._legs):
            if perf_counter_ns() - began_ns > LIMIT_S * 1e9:
                raise LineError(f"only {len(self._joined_ns)} have joined: {self._refused}")
            self._turn()
        cpu_s = process_time() - cpu_s
        say(JOINED)
        while not select.select([sys.stdin], [], [], 0)[0]:
            self._turn()
        for leg in self._by_fd.values():
            leg.socket.close()
        joined_s, settled_s = (
            [(at_ns - began_ns) / 1e9 for at_ns in moments]
            for moments in (self._joined_ns, self._settled_ns)
        )
        return ReturnOutcome(joined_s, settled_s, dict(self._refused), cpu_s)

    def _begin(self, client: Returning) -> None:
        client.begin(partial(self._dial, client))

    def _dial(self, client: Returning, request: bytes, read: Read) -> socket.socket:
        """Begin a connection from the client's own address, without waiting for it."""
        new = socket.socket()
        new.setblocking(False)
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        new.bind((client.source, 0))
        code = new.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        leg = Leg(client, new, request, read)
        self._legs[client].append(leg)
        self._by_fd[new.fileno()] = leg
        self._connecting.add(new.fileno())
        self._epoll.register(new, select.EPOLLOUT)
        return new

    def _turn(self) -> None:
        now_ns = perf_counter_ns()
        while self._later and self._later[0][0] <= now_ns:
            self._begin(heapq.heappop(self._later)[2])
        for fd, _ in self._epoll.poll(0.01):
            leg = self._by_fd.get(fd)
            if leg is None:
                continue
            try:
                self._serve(fd, leg)
            except (OSError, LineError, FrameError) as error:
                self._come_again(leg.client, str(error))
        while self._left:
            self._left.pop().close()

    def _serve(self, fd: int, leg: Leg) -> None:
        if fd in self._connecting:
            self._connected(fd, leg)
            return
        client, now_ns = leg.client, perf_counter_ns()
        was_joined, was_settled = client.joined, client.settled
        leg.read(leg.socket.recv(_READ_BYTES), now_ns)
        if client.joined and not was_joined:
            self._joined_ns.append(now_ns)
        if client.settled and not was_settled:
            self._settled_ns.append(now_ns)
            self._leave(client, but=client.socket)

    def _connected(self, fd: int, leg: Leg) -> None:
        code = leg.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        leg.socket.sendall(leg.request)
        self._connecting.discard(fd)
        self._epoll.modify(fd, select.EPOLLIN)

    def _leave(self, client: Returning, but: socket.socket | None = None) -> None:
        """End the client's network connections, `but` for one."""
        legs = self._legs[client]
        self._legs[client] = [leg for leg in legs if leg.socket is but]
        for leg in legs:
            if leg.socket is but:
                continue
            fd = leg.socket.fileno()
            self._epoll.unregister(fd)
            self._connecting.discard(fd)
            del self._by_fd[fd]
            self._left.append(leg.socket)

    def _come_again(self, client: Returning, said: str) -> None:
        if client.joined:
            raise LineError(f"a client that had joined was cut off: {said}")
        self._leave(client)
        self._refused[_kind(said)] += 1
        at_ns = perf_counter_ns() + int(client.delay_s(self._random) * 1e9)
        heapq.heappush(self._later, (at_ns, self._refused.total(), client))


def _kind(said: str) -> str:
    """What refused a client: an error's code, or the words of the system."""
    _, found, rest = said.partition('"code":"')
    return rest.partition('"')[0] if found else said[:60]


if __name__ == "__main__":
    gc.disable()  # a pause to collect garbage would look like the server's
    tell(Storm(read_plan(ReturnPlan)).run())
