"""Clients that all come back at once, in a process of their own, as after a server's restart.

Each connects, joins, and comes again like the official JavaScript client if it is refused: after 1
to 5 seconds, randomised, or when the server says.
"""

import errno
import gc
import heapq
import os
import select
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from random import Random
from time import perf_counter_ns
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from benchmarks.crowd import addresses
from benchmarks.line import REQUEST, Line, LineError
from benchmarks.worker import read_plan, say, tell

JOINED: Final = "joined"

_READ_BYTES: Final = 16_384
# Longer than any storm that is worth measuring.
LIMIT_S: Final = 120.0
_FIRST_DELAY_S: Final = 1.0
_LONGEST_DELAY_S: Final = 5.0
_RETRY_AFTER: Final = b"\r\nRetry-After: "


class ReturnPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A client for each `auth` of the handshake."""

    url: str
    auths: list[dict[str, str]]
    seed: int


class ReturnOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """When each client had joined, in seconds after the storm began, and what refused the others.

    `refused` counts attempts that were answered with an error or cut off, by what was said.
    """

    joined_s: list[float]
    refused: dict[str, int]


class Returning(Line):
    """A client that does not give up."""

    __slots__ = ("attempts", "source")

    def __init__(self, auth: Mapping[str, Any], source: str) -> None:
        super().__init__(auth)
        self.source = source
        self.attempts = 0

    def begin(self, host: str, port: int) -> None:
        """Start to connect, without waiting for it."""
        self.attempts += 1
        self.restart()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((self.source, 0))
        code = self.socket.connect_ex((host, port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def connected(self) -> None:
        """The network connection is there: ask for a WebSocket. Raises OSError if it is not."""
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self.socket.sendall(REQUEST)

    def delay_s(self, said: str, random: Random) -> float:
        """How long to wait before the next attempt."""
        _, found, rest = said.encode().partition(_RETRY_AFTER)
        if found:
            return int(rest.split(b"\r\n")[0]) * random.uniform(1.0, 1.5)
        longest_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** (self.attempts - 1))
        return longest_s * random.uniform(0.5, 1.5)


class Storm:
    """All clients, on one epoll."""

    def __init__(self, plan: ReturnPlan) -> None:
        parts = urlsplit(plan.url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._random = Random(plan.seed)
        sources: Iterator[str] = addresses()
        self._clients = [Returning(auth, next(sources)) for auth in plan.auths]
        self._by_fd: dict[int, Returning] = {}
        self._connecting: set[int] = set()
        # Who comes again, and when; a number decides between equal moments.
        self._later: list[tuple[int, int, Returning]] = []
        self._epoll = select.epoll()
        self._joined_ns: list[int] = []
        self._refused: Counter[str] = Counter()

    def run(self) -> ReturnOutcome:
        """Come back, all of them, and leave when stdin ends.

        Raises:
            LineError: It takes too long, or a client that had joined was cut off.
        """
        began_ns = perf_counter_ns()
        for client in self._clients:
            self._begin(client)
        while len(self._joined_ns) < len(self._clients):
            if perf_counter_ns() - began_ns > LIMIT_S * 1e9:
                raise LineError(f"only {len(self._joined_ns)} have joined: {self._refused}")
            self._turn()
        say(JOINED)
        while not select.select([sys.stdin], [], [], 0)[0]:
            self._turn()
        for client in self._clients:
            client.socket.close()
        joined_s = [(at_ns - began_ns) / 1e9 for at_ns in self._joined_ns]
        return ReturnOutcome(joined_s, dict(self._refused))

    def _begin(self, client: Returning) -> None:
        client.begin(self._host, self._port)
        fd = client.socket.fileno()
        self._by_fd[fd] = client
        self._connecting.add(fd)
        self._epoll.register(fd, select.EPOLLOUT)

    def _turn(self) -> None:
        now_ns = perf_counter_ns()
        while self._later and self._later[0][0] <= now_ns:
            self._begin(heapq.heappop(self._later)[2])
        for fd, _ in self._epoll.poll(0.01):
            client = self._by_fd[fd]
            try:
                self._serve(fd, client)
            except (OSError, LineError) as error:
                self._come_again(fd, client, str(error))

    def _serve(self, fd: int, client: Returning) -> None:
        if fd in self._connecting:
            client.connected()
            self._connecting.discard(fd)
            self._epoll.modify(fd, select.EPOLLIN)
            return
        was_joined, now_ns = client.joined, perf_counter_ns()
        client.received(client.socket.recv(_READ_BYTES), now_ns)
        if client.joined and not was_joined:
            self._joined_ns.append(now_ns)

    def _come_again(self, fd: int, client: Returning, said: str) -> None:
        if client.joined:
            raise LineError(f"a client that had joined was cut off: {said}")
        self._epoll.unregister(fd)
        client.socket.close()
        self._connecting.discard(fd)
        self._refused[_kind(said)] += 1
        at_ns = perf_counter_ns() + int(client.delay_s(said, self._random) * 1e9)
        heapq.heappush(self._later, (at_ns, self._refused.total(), client))


def _kind(said: str) -> str:
    """What refused a client: an error's code, or the words of the system."""
    _, found, rest = said.partition('"code":"')
    return rest.partition('"')[0] if found else said[:60]


if __name__ == "__main__":
    gc.disable()  # a pause to collect garbage would look like the server's
    tell(Storm(read_plan(ReturnPlan)).run())
