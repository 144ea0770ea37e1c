"""Thousands of connections in one process, on one epoll: a few microseconds for each read."""

import resource
import select
import ssl
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat
from time import perf_counter_ns
from typing import Final

from benchmarks.alarm import Alarm
from benchmarks.line import Line, LineError
from benchmarks.target import Target

# Handshakes under way at a time, like a busy minute's, not like a restart's.
AT_A_TIME: Final = 64
_READ_BYTES: Final = 16_384
_JOIN_LIMIT_NS: Final = 120_000_000_000
# Of 64 that wait the first is let in sooner, however busy the server is.
_STALL_LIMIT_NS: Final = 20_000_000_000
# Besides the connections: files of the interpreter, pipes, the epoll itself.
_OTHER_FILES: Final = 100


class Crowd:
    """Many lines, read as their bytes come."""

    def __init__(self, lines: Sequence[Line]) -> None:
        raise_file_limit(len(lines))
        self._lines = lines
        self._opened: list[Line] = []
        # Reads what has come to a file.
        self._readers: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()

    def join(self, url: str, *, one_address: bool = False) -> None:
        """Connect all lines, a few at a time, each from an address of its own or all from one.

        Raises:
            LineError: The server refused one, or took too long.
            OSError: There is no server.
            ValueError: There cannot be one at this URL.
        """
        target = Target.of(url)
        join_limit_ns = perf_counter_ns() + _JOIN_LIMIT_NS
        sources = repeat(None) if one_address else addresses()
        joining: list[Line] = []
        for line, source in zip(self._lines, sources, strict=False):
            line.open(target.host, target.port, source, target.tls, target.request)
            self._opened.append(line)
            self._readers[line.socket.fileno()] = partial(_read, line)
            self._epoll.register(line.socket, select.EPOLLIN)
            joining.append(line)
            if len(joining) >= AT_A_TIME:
                joining = self._some_joined(joining, join_limit_ns)
        while joining:
            joining = self._some_joined(joining, join_limit_ns)

    def _some_joined(self, joining: list[Line], limit_ns: int) -> list[Line]:
        """Wait until some have joined, and return the others. Raises LineError if none does."""
        limit_ns = min(limit_ns, perf_counter_ns() + _STALL_LIMIT_NS)
        while perf_counter_ns() <= limit_ns:
            self.turn(limit_ns)
            others = [line for line in joining if not line.joined]
            if len(others) < len(joining):
                return others
        raise LineError(f"{len(joining)} connections wait to join for too long")

    def turn(self, until_ns: int) -> None:
        """Wait for bytes until a moment of `perf_counter_ns`, and have each line read its own."""
        wait_s = max(0.0, (until_ns - perf_counter_ns()) / 1e9)
        for fd, _ in self._epoll.poll(wait_s):
            self._readers[fd]()

    def wake_by(self, alarm: Alarm) -> None:
        """Have a turn end when this alarm rings, too."""
        self._readers[alarm.fileno()] = alarm.hush
        self._epoll.register(alarm, select.EPOLLIN)

    def close(self) -> None:
        """End every connection."""
        self._epoll.close()
        for line in self._opened:
            line.socket.close()


def _read(line: Line) -> None:
    try:
        data = line.socket.recv(_READ_BYTES)
        # What TLS has decrypted already, no poll will tell.
        while isinstance(line.socket, ssl.SSLSocket) and line.socket.pending():
            data += line.socket.recv(_READ_BYTES)
    except (BlockingIOError, ssl.SSLWantReadError):
        return
    except OSError as error:
        raise LineError(f"a connection broke: {error}") from error
    line.received(data, perf_counter_ns())


def addresses() -> Iterator[str]:
    """Loopback addresses, one after another, as players come from addresses of their own."""
    for number in range(256, 1 << 24):
        yield f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def raise_file_limit(connections: int) -> None:
    """Let this process, and those it starts, have this many connections.

    Raises:
        LineError: The system allows fewer.
    """
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise LineError(f"{wanted} files are needed, and `ulimit -Hn` allows {hard}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
